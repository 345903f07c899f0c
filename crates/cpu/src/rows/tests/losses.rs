//! The three losses against f64, and their gradients against central differences.

use super::*;
use serin_ops::LossKind;

const KINDS: [LossKind; 3] = [LossKind::SoftmaxCrossEntropy, LossKind::SigmoidCrossEntropy, LossKind::SquaredError];

/// The loss of a row by its textbook formula; fine for moderate logits.
fn textbook(kind: LossKind, logits: &[f64], targets: &[f64]) -> f64 {
    let pairs = logits.iter().zip(targets);
    match kind {
        LossKind::SoftmaxCrossEntropy => {
            let total: f64 = logits.iter().map(|z| z.exp()).sum();
            pairs.map(|(z, t)| -t * (z.exp() / total).ln()).sum()
        }
        LossKind::SigmoidCrossEntropy => {
            let term = |(z, t): (&f64, &f64)| {
                let p = 1.0 / (1.0 + (-z).exp());
                -t * p.ln() - (1.0 - t) * (1.0 - p).ln()
            };
            pairs.map(term).sum()
        }
        LossKind::SquaredError => pairs.map(|(z, t)| (z - t).powi(2)).sum(),
    }
}

fn cpu() -> Cpu {
    Cpu::new(CpuOptions { threads: 1, isa: Isa::detect() }).unwrap()
}

#[test]
fn losses_and_gradients_agree_with_f64() {
    let cpu = cpu();
    for kind in KINDS {
        for (rows, labels) in shapes().filter(|&(rows, labels)| rows * labels <= 5000) {
            let [logits, targets] = [random(DType::F32, rows * labels, 1), random(DType::F32, rows * labels, 2)];
            let mut losses = random(DType::F32, rows, 3);
            let mut gradient = random(DType::F32, rows * labels, 4);
            let scale = 512.0;
            cpu.loss(kind, &logits, &targets, rows, labels, scale, &mut losses, Some(&mut gradient));
            let (z, t) = (values(&logits), values(&targets));
            let pairs = || z.chunks(labels).zip(t.chunks(labels));
            let want: Vec<f64> = pairs().map(|(z, t)| textbook(kind, z, t)).collect();
            assert_close("loss", &losses, &want, |_| 1e-9 * labels as f64);
            let slopes: Vec<f64> =
                pairs().flat_map(|(z, t)| slopes(kind, z, t)).map(|d| d * f64::from(scale)).collect();
            assert_close("gradient", &gradient, &slopes, |_| 1e-6 * f64::from(scale));
            let mut alone = random(DType::F32, rows, 5);
            cpu.loss(kind, &logits, &targets, rows, labels, scale, &mut alone, None);
            assert_eq!(alone.as_bytes(), losses.as_bytes(), "the loss without a gradient is the same");
        }
    }
}

fn slopes(kind: LossKind, logits: &[f64], targets: &[f64]) -> Vec<f64> {
    let moved = |label: usize, step: f64| {
        let mut logits = logits.to_vec();
        logits[label] += step;
        textbook(kind, &logits, targets)
    };
    (0..logits.len()).map(|label| (moved(label, 1e-4) - moved(label, -1e-4)) / 2e-4).collect()
}

/// One row's loss and gradient.
fn one_row(kind: LossKind, logits: &[f32], targets: &[f32]) -> (f64, Vec<f64>) {
    let [z, t] = [guarded(DType::F32, logits), guarded(DType::F32, targets)];
    let (mut loss, mut gradient) = (random(DType::F32, 1, 1), random(DType::F32, logits.len(), 2));
    cpu().loss(kind, &z, &t, 1, logits.len(), 1.0, &mut loss, Some(&mut gradient));
    (values(&loss)[0], values(&gradient))
}

#[test]
fn huge_logits_give_finite_losses() {
    let (loss, gradient) = one_row(LossKind::SoftmaxCrossEntropy, &[1e4, -1e4, 0.0], &[0.0, 1.0, 0.0]);
    assert_eq!((loss, gradient), (2e4, vec![1.0, -1.0, 0.0]));
    let (loss, gradient) = one_row(LossKind::SigmoidCrossEntropy, &[1e4, -1e4], &[0.0, 1.0]);
    assert_eq!((loss, gradient), (2e4, vec![1.0, -1.0]));
    let (loss, gradient) = one_row(LossKind::SigmoidCrossEntropy, &[1e4, -1e4], &[1.0, 0.0]);
    assert_eq!((loss, gradient), (0.0, vec![0.0, 0.0]));
}

#[test]
fn an_infinite_logit_without_a_target_costs_nothing() {
    let (loss, gradient) = one_row(LossKind::SoftmaxCrossEntropy, &[0.0, f32::NEG_INFINITY], &[1.0, 0.0]);
    assert_eq!((loss, gradient), (0.0, vec![0.0, 0.0]));
}

#[test]
fn a_logit_that_is_no_number_shows_in_the_loss() {
    for kind in KINDS {
        let (loss, gradient) = one_row(kind, &[0.5, f32::NAN], &[0.0, 1.0]);
        assert!(loss.is_nan() && gradient[1].is_nan(), "{kind:?}");
    }
}
