//! The whole model, forward, backward and AdamW, on the emulator and on the card where there is one: against PyTorch, with
//! dropout against the reference, and what must agree bit for bit.

#[path = "../../checkpoint/tests/support/golden/mod.rs"]
mod golden;
mod support;

use golden::{Case, Precision, Run, cases, models, read};
use serin_cuda::Cuda;
use serin_model::{Batch, DropoutContext, Freezing, Model, Sequence, Targets};
use serin_ops::Backend;
use serin_ops::reference::Reference;
use serin_tensor::DType;
use std::collections::HashMap;
use support::on_every_device;

const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];
const DROPOUT: DropoutContext = DropoutContext { seed: 3, step: 17, first_sequence: 0, first_token: 0 };

/// Storage of a type throughout: the goldens say how far float32 is off, and another roundoff is off in proportion.
fn precision(dtype: DType) -> Precision {
    Precision { unit_roundoff: dtype.unit_roundoff(), dtype, ..Precision::SINGLE }
}

/// A RoBERTa with heads of 64, as models in use have; one with heads that tensor cores do not take.
fn two_models(dtype: DType) -> [Case; 2] {
    ["roberta_head64", "bert_headdim12"].map(|name| Case::open(&models().join(name), precision(dtype)))
}

#[test]
fn every_model_in_single_precision_agrees_with_pytorch() {
    // As on the CPU: Adam divides a gradient by its own size, and activations are good to 8 roundoffs.
    const ACTIVATION_ROUNDOFFS: f64 = 8.0;
    on_every_device(|device| {
        for path in cases() {
            let mut case = Case::open(&path, Precision::SINGLE);
            case.check_hidden_states(device);
            case.check_gradients(device);
            for kind in ["final", "warmup/final"] {
                let error = &mut case.settings["float32_relative_errors"][kind];
                *error = error.as_f64().map(|error| ACTIVATION_ROUNDOFFS * error).into();
            }
            case.check_steps(device, "");
            if case.has_warmup() {
                case.check_steps(device, "warmup/");
            }
            case.finish();
        }
    });
}

#[test]
fn every_model_in_half_precision_agrees_with_pytorch() {
    on_every_device(|device| {
        for dtype in [DType::BF16, DType::F16] {
            for path in cases() {
                let mut case = Case::open(&path, precision(dtype));
                case.name = format!("{} in {dtype}", case.name);
                // One number may be right by luck, and is by that of float32 no more than the logits it is made of.
                let errors = &mut case.settings["float32_relative_errors"];
                let [loss, logits] = ["loss", "logits"].map(|kind| errors[kind].as_f64().expect("an error"));
                errors["loss"] = loss.max(logits).into();
                case.check_hidden_states(device);
                case.check_gradients(device);
                case.finish();
            }
        }
    });
}

/// The loss and the gradients of one pass with every dropout on.
fn pass_with_dropout<B: Backend>(
    case: &Case,
    backend: &B,
    batch: &Batch,
    targets: &Targets,
) -> (f64, HashMap<String, golden::Parameter>) {
    let mut model = case.model(backend, Freezing::Nothing);
    let mut space = model.workspace(backend, batch.tokens(), batch.sequences()).expect("memory");
    model.zero_gradients(backend);
    model.forward_trunk(backend, &mut space, batch, Some(&DROPOUT));
    let scale = (1.0 / targets.normalizer) as f32;
    let output = model.train_micro_batch(backend, &mut space, batch, targets, scale, Some(&DROPOUT)).expect("a pass");
    (output.loss_sum / targets.normalizer, read(backend, &mut model, |trainable| trainable.gradient))
}

#[test]
fn dropout_drops_what_the_reference_drops() {
    on_every_device(|device| {
        for dtype in DTYPES {
            for mut case in two_models(dtype) {
                case.name = format!("{} in {dtype} with dropout", case.name);
                let (batch, targets) = case.batch("");
                let (expected_loss, expected) = pass_with_dropout(&case, &Reference::<f64>::new(), &batch, &targets);
                let (loss, gradients) = pass_with_dropout(&case, device, &batch, &targets);
                let (without, _) = Run::new(&case, device).pass(&batch, &targets);
                assert!((loss - without).abs() > 1e-3, "{}: dropout changes nothing", case.name);
                case.compare("logits", "loss", &[loss], &[expected_loss]);
                // The gradient of a key's bias is 0 but for rounding.
                let names = expected.keys().filter(|name| !name.ends_with("key.bias"));
                for name in names.cloned().collect::<Vec<_>>() {
                    case.compare("grad", &name, &gradients[&name].values, &expected[&name].values);
                }
                case.finish();
            }
        }
    });
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every value of what is trained.
fn trained(model: &mut Model<Cuda>, device: &Cuda) -> Vec<Vec<u32>> {
    let read = |buffer: &_, len| {
        let mut values = vec![0.0; len];
        device.read(buffer, 0, &mut values).expect("values");
        bits(&values)
    };
    model.trainable().iter().map(|one| read(one.values, one.len)).collect()
}

#[test]
fn two_runs_train_to_the_same_bits() {
    on_every_device(|device| {
        for dtype in DTYPES {
            for case in two_models(dtype) {
                let batches = [case.batch(""), case.batch("second/")];
                let weights = [(); 2].map(|()| {
                    let mut run = Run::new(&case, device);
                    for step in 0..5 {
                        let (batch, targets) = &batches[step % 2];
                        run.pass(batch, targets);
                        run.step(step as u64 + 1, [1e-3, 1e-3], 1.0, false);
                    }
                    trained(&mut run.model, device)
                });
                assert!(weights[0] == weights[1], "{} in {dtype}", case.name);
            }
        }
    });
}

#[test]
fn a_text_has_the_same_logits_alone_as_in_a_batch() {
    on_every_device(|device| {
        for dtype in DTYPES {
            for case in two_models(dtype) {
                let model = case.model(device, Freezing::All);
                let infer = |batch: &Batch| {
                    let mut space = model.workspace(device, batch.tokens(), batch.sequences()).expect("memory");
                    bits(&model.infer(device, &mut space, batch).expect("logits"))
                };
                let (batch, _) = case.batch("");
                let alone = (0..batch.sequences()).flat_map(|sequence| {
                    let rows = batch.rows(sequence);
                    let types: Vec<u8> = batch.types[rows.clone()].iter().map(|&kind| kind as u8).collect();
                    infer(&Batch::pack(case.config(), [Sequence { ids: &batch.ids[rows], types: &types }]))
                });
                assert_eq!(infer(&batch), alone.collect::<Vec<_>>(), "{} in {dtype}", case.name);
            }
        }
    });
}
