//! The whole model on the CPU, on every instruction set of the machine, against PyTorch; and what must agree bit for bit.

#[path = "../../checkpoint/tests/support/golden/mod.rs"]
mod golden;

use golden::{Case, Precision, Run, cases, models};
use serin_cpu::{Cpu, CpuOptions, Isa, IsaLevel};
use serin_model::{Batch, Freezing, Model, Sequence, Workspace};
use serin_ops::Backend;
use serin_tensor::DType;

const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];

/// Storage of a type throughout. The goldens say how far float32 is off; another roundoff is off in proportion. The slack is
/// that of float32: sums in another order.
fn precision(dtype: DType) -> Precision {
    Precision { unit_roundoff: dtype.unit_roundoff(), dtype, ..Precision::SINGLE }
}

fn cpu(level: IsaLevel, threads: usize) -> Cpu {
    Cpu::new(CpuOptions { threads, isa: Isa::detect().up_to(level) }).expect("threads")
}

/// Checks every case on every level of the machine; names the levels that it lacks.
fn on_every_level(precision: Precision, check: impl Fn(&mut Case, &Cpu)) {
    let levels = Isa::detect().levels();
    for level in IsaLevel::ALL.into_iter().filter(|level| !levels.contains(level)) {
        eprintln!("not run: {level}, which this machine lacks");
    }
    for level in levels {
        let cpu = cpu(level, 2);
        for path in cases() {
            let mut case = Case::open(&path, precision);
            case.name = format!("{} on {level} in {}", case.name, precision.dtype);
            check(&mut case, &cpu);
            case.finish();
        }
    }
}

#[test]
fn hidden_states_in_single_precision() {
    on_every_level(Precision::SINGLE, |case, cpu| case.check_hidden_states(cpu));
}

#[test]
fn logits_loss_and_gradients_in_single_precision() {
    on_every_level(Precision::SINGLE, |case, cpu| case.check_gradients(cpu));
}

#[test]
fn ten_steps_in_single_precision() {
    // Adam divides a gradient by its own size: where that is next to nothing, its rounding moves the weight. PyTorch's
    // activations are good to about one roundoff, vectorised ones to 8 (see `serin-conformance`).
    const ACTIVATION_ROUNDOFFS: f64 = 8.0;
    on_every_level(Precision::SINGLE, |case, cpu| {
        for kind in ["final", "warmup/final"] {
            let error = &mut case.settings["float32_relative_errors"][kind];
            *error = error.as_f64().map(|error| ACTIVATION_ROUNDOFFS * error).into();
        }
        case.check_steps(cpu, "");
        if case.has_warmup() {
            case.check_steps(cpu, "warmup/");
        }
    });
}

fn check_half(dtype: DType) {
    on_every_level(precision(dtype), |case, cpu| {
        // One number may be right by luck, and is by that of float32 no more than the logits it is made of.
        let errors = &mut case.settings["float32_relative_errors"];
        let [loss, logits] = ["loss", "logits"].map(|kind| errors[kind].as_f64().expect("an error"));
        errors["loss"] = loss.max(logits).into();
        case.check_hidden_states(cpu);
        case.check_gradients(cpu);
    });
}

#[test]
fn hidden_states_logits_loss_and_gradients_in_bf16() {
    check_half(DType::BF16);
}

#[test]
fn hidden_states_logits_loss_and_gradients_in_fp16() {
    check_half(DType::F16);
}

fn open(name: &str, dtype: DType) -> Case {
    Case::open(&models().join(name), precision(dtype))
}

/// Calls `check` for a RoBERTa with heads of 64 (as all models in use have), and one with others, on all levels and types.
fn each(check: impl Fn(&Case, IsaLevel)) {
    for name in ["roberta_head64", "bert_headdim12"] {
        for dtype in DTYPES {
            let case = open(name, dtype);
            Isa::detect().levels().into_iter().for_each(|level| check(&case, level));
        }
    }
}

fn space(model: &Model<Cpu>, cpu: &Cpu, batch: &Batch) -> Workspace<Cpu> {
    model.workspace(cpu, batch.tokens(), batch.sequences()).expect("memory")
}

/// Each sequence as a batch of its own.
fn alone(case: &Case, batch: &Batch) -> Vec<Batch> {
    let sequence = |ends: &[u32]| {
        let rows = ends[0] as usize..ends[1] as usize;
        let types: Vec<u8> = batch.types[rows.clone()].iter().map(|&kind| kind as u8).collect();
        Batch::pack(case.config(), [Sequence { ids: &batch.ids[rows], types: &types }])
    };
    batch.offsets.windows(2).map(sequence).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_text_has_the_same_logits_alone_as_in_a_batch() {
    each(|case, level| {
        let cpu = cpu(level, 2);
        let model = case.model(&cpu, Freezing::All);
        let (batch, _) = case.batch("");
        let together = model.infer(&cpu, &mut space(&model, &cpu, &batch), &batch).expect("logits");
        let apart = alone(case, &batch);
        assert!(apart.len() > 1, "a batch");
        let apart = apart.iter().flat_map(|one| model.infer(&cpu, &mut space(&model, &cpu, one), one).expect("logits"));
        assert_eq!(bits(&together), bits(&apart.collect::<Vec<_>>()), "{} on {level}", case.name);
    });
}

/// The trunk's output as a cache keeps it.
fn trunk(model: &Model<Cpu>, cpu: &Cpu, batch: &Batch) -> Vec<u8> {
    let mut space = space(model, cpu, batch);
    model.forward_trunk(cpu, &mut space, batch, None);
    let rows = model.trunk_rows(batch.tokens(), batch.sequences());
    let mut bytes = vec![0; rows * model.config().hidden * model.dtype().size()];
    model.read_trunk(cpu, &space, 0, &mut bytes).expect("the trunk's output");
    bytes
}

/// Every value and gradient of what is trained.
fn trained(model: &mut Model<Cpu>, cpu: &Cpu) -> Vec<Vec<u32>> {
    let read = |buffer: &_, len| {
        let mut values = vec![0.0; len];
        cpu.read(buffer, 0, &mut values).expect("values");
        bits(&values)
    };
    let all = model.trainable();
    all.iter().flat_map(|one| [read(one.values, one.len), read(one.gradient, one.len)]).collect()
}

#[test]
fn a_cached_trunk_equals_a_computed_one() {
    each(|case, level| {
        let cpu = cpu(level, 2);
        let (batch, targets) = case.batch("");
        for layers in 0..=case.config().layers {
            let what = format!("{} on {level}, {layers} layers frozen", case.name);
            let mut model = case.model(&cpu, Freezing::Layers(layers));
            let computed = trunk(&model, &cpu, &batch);
            let cached: Vec<u8> = alone(case, &batch).iter().flat_map(|one| trunk(&model, &cpu, one)).collect();
            assert!(computed == cached, "{what}: the trunk of a text alone has other bits than in a batch");

            let mut results = Vec::new();
            for from_cache in [false, true] {
                let mut space = space(&model, &cpu, &batch);
                let fill = |space: &mut Workspace<Cpu>| {
                    if from_cache {
                        model.write_trunk(&cpu, space, 0, &cached);
                    } else {
                        model.forward_trunk(&cpu, space, &batch, None);
                    }
                };
                fill(&mut space);
                let logits = model.infer_from_trunk(&cpu, &mut space, &batch).expect("logits");
                fill(&mut space);
                model.zero_gradients(&cpu);
                let output = model.train_micro_batch(&cpu, &mut space, &batch, &targets, 0.5, None).expect("a pass");
                let gradients = trained(&mut model, &cpu);
                results.push((bits(&logits), output.loss_sum.to_bits(), bits(&output.logits), gradients));
            }
            assert!(results[0] == results[1], "{what}: a cached trunk gives other bits");
            let whole = model.infer(&cpu, &mut space(&model, &cpu, &batch), &batch).expect("logits");
            assert_eq!(results[0].0, bits(&whole), "{what}: logits from the trunk and from the texts");
        }
    });
}

#[test]
fn one_thread_trains_as_two_do() {
    each(|case, level| {
        let batches = [case.batch(""), case.batch("second/")];
        let weights = [1, 2].map(|threads| {
            let cpu = cpu(level, threads);
            let mut run = Run::new(case, &cpu);
            let mut losses = Vec::new();
            for step in 0..10 {
                let (batch, targets) = &batches[step % 2];
                losses.push(run.pass(batch, targets).0.to_bits());
                run.step(step as u64 + 1, [1e-3, 1e-3], 1.0, false);
            }
            (losses, trained(&mut run.model, &cpu))
        });
        assert!(weights[0] == weights[1], "{} on {level}: two threads give other weights", case.name);
    });
}
