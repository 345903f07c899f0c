//! Masked language modelling against PyTorch: logits, loss, every gradient and ten optimizer steps, on the reference in
//! double precision and on the CPU on every instruction set of the machine.

#[path = "../../checkpoint/tests/support/golden/mod.rs"]
mod golden;
#[path = "masked_language/run.rs"]
mod run;

use golden::{Case, Precision};
use run::{check_pass, check_steps, open};
use serin_cpu::{Cpu, CpuOptions, Isa, IsaLevel};
use serin_ops::reference::Reference;
use serin_tensor::DType;

const CASES: [&str; 4] = ["roberta", "roberta_untied", "bert", "distilbert"];

fn in_double_precision(check: impl Fn(&mut Case, &Reference<f64>)) {
    for name in CASES {
        let mut case = open(name, Precision::DOUBLE);
        check(&mut case, &Reference::new());
        case.finish();
    }
}

/// Checks every case on every level of the machine; names the levels that it lacks.
fn on_every_level(precision: Precision, check: impl Fn(&mut Case, &Cpu)) {
    let levels = Isa::detect().levels();
    for level in IsaLevel::ALL.into_iter().filter(|level| !levels.contains(level)) {
        eprintln!("not run: {level}, which this machine lacks");
    }
    for level in levels {
        let cpu = Cpu::new(CpuOptions { threads: 2, isa: Isa::detect().up_to(level) }).expect("threads");
        for name in CASES {
            let mut case = open(name, precision);
            case.name = format!("{name} on {level} in {}", precision.dtype);
            check(&mut case, &cpu);
            case.finish();
        }
    }
}

/// A number or the update of a weight may be right by luck in PyTorch's float32; what it is made of says more.
fn at_least(case: &mut Case, kind: &str, other: &str, factor: f64) {
    let errors = &mut case.settings["float32_relative_errors"];
    let [own, other] = [kind, other].map(|kind| errors[kind].as_f64().expect("an error"));
    errors[kind] = own.max(factor * other).into();
}

#[test]
fn logits_loss_and_gradients_in_double_precision() {
    in_double_precision(check_pass);
}

#[test]
fn ten_steps_in_double_precision() {
    in_double_precision(check_steps);
}

#[test]
fn logits_loss_and_gradients_in_single_precision_on_the_cpu() {
    on_every_level(Precision::SINGLE, |case, cpu| {
        at_least(case, "loss", "logits", 1.0);
        check_pass(case, cpu);
    });
}

#[test]
fn ten_steps_in_single_precision_on_the_cpu() {
    // As for classifiers: vectorised activations are good to 8 roundoffs, PyTorch's to about one.
    const ACTIVATION_ROUNDOFFS: f64 = 8.0;
    on_every_level(Precision::SINGLE, |case, cpu| {
        at_least(case, "losses", "logits", 1.0);
        at_least(case, "final", "final", ACTIVATION_ROUNDOFFS);
        check_steps(case, cpu);
    });
}

#[test]
fn logits_loss_and_gradients_in_bf16_on_the_cpu() {
    let precision = Precision { unit_roundoff: DType::BF16.unit_roundoff(), dtype: DType::BF16, ..Precision::SINGLE };
    on_every_level(precision, |case, cpu| {
        at_least(case, "loss", "logits", 1.0);
        check_pass(case, cpu);
    });
}

/// The comparisons above would be worthless if they let everything pass.
#[test]
fn a_slightly_wrong_setting_is_noticed() {
    let backend = Reference::<f64>::new();
    let mut case = open("roberta", Precision::DOUBLE);
    case.folder.config_mut().layer_norm_epsilon = 1.5e-5;
    check_pass(&mut case, &backend);
    for part in ["logits", "loss", "grad/lm_head.dense.weight", "grad/roberta.embeddings.word_embeddings.weight"] {
        assert!(case.differences.iter().any(|difference| difference.starts_with(part)), "{part}");
    }
    for (key, wrong) in [("weight_decay", 0.0099), ("eps", 2e-6), ("warmup_steps", 2.0)] {
        let mut case = open("roberta", Precision::DOUBLE);
        case.settings["optimizer"][key] = wrong.into();
        check_steps(&mut case, &backend);
        assert!(case.differences.iter().any(|difference| difference.starts_with("final/")), "{key}");
    }
}
