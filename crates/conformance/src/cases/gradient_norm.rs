//! `gradient_norm`.

use super::Case;
use crate::Visitor;
use crate::numbers::numbers;
use crate::op::Op;
use crate::tolerance::of_sum;
use crate::trial::Trial;
use serin_ops::Backend;
use serin_tensor::DType;

struct Norm {
    lengths: Vec<usize>,
    /// A value to put somewhere: (tensor, index, value).
    bad: Option<(usize, usize, f32)>,
}

impl Case for Norm {
    fn op(&self) -> Op {
        Op::GradientNorm
    }

    fn label(&self) -> String {
        let bad = self.bad.map_or(String::new(), |(tensor, index, value)| format!(" {value} at {tensor}, {index}"));
        format!("{:?}{bad}", self.lengths)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let tensors = self.lengths.iter().enumerate().map(|(tensor, &len)| {
            let mut values = numbers(DType::F32, len, tensor as u64);
            if let Some((_, index, value)) = self.bad.filter(|bad| bad.0 == tensor) {
                values[index] = value;
            }
            trial.input(DType::F32, &values)
        });
        let tensors: Vec<B::Buffer> = tensors.collect();
        let gradients: Vec<_> = tensors.iter().zip(self.lengths.iter().copied()).collect();
        let norm = trial.call(|backend| backend.gradient_norm(&gradients)).unwrap_or_else(|error| panic!("{error}"));
        trial.keep_number("finite", f64::from(u8::from(norm.finite)));
        if self.bad.is_none() {
            trial.keep_number("sum_of_squares", norm.sum_of_squares);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut all = vec![vec![0.0]];
        if self.bad.is_none() {
            all.push(vec![of_sum(self.lengths.iter().sum()) * expected[1][0]]);
        }
        all
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for lengths in [vec![], vec![0], vec![1], vec![15, 0, 17], vec![1000, 3], vec![65_536 + 5, 70_000]] {
        visitor.case(Norm { lengths, bad: None });
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for bad in [(0, 0), (0, 16), (1, 65_536), (1, 65_556)] {
            visitor.case(Norm { lengths: vec![17, 65_557], bad: Some((bad.0, bad.1, value)) });
        }
    }
}
