//! A weight's products depend on its values only.

use super::Property;
use crate::Visitor;
use crate::cases::DTYPES;
use crate::numbers::numbers;
use crate::op::Op;
use crate::trial::Trial;
use serin_ops::{Activation, Backend, InputGradient};
use serin_tensor::DType;

/// Made of values, or of others and then refreshed from a master copy: the same bits, forward and backward.
struct Refresh {
    dtype: DType,
    shape: [usize; 2],
}

impl Property for Refresh {
    fn op(&self) -> Op {
        Op::Weight
    }

    fn label(&self) -> String {
        let [outs, ins] = self.shape;
        format!("{} {outs}x{ins} refreshed as made, trainable as not", self.dtype)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let [outs, ins] = self.shape;
        let rows = 5;
        // Not rounded: a master copy is in f32.
        let (old, new) = (numbers(DType::F32, outs * ins, 1), numbers(DType::F32, outs * ins, 2));
        let master = trial.input(DType::F32, &new);
        let [x, dy] = [(ins, 3), (outs, 4)]
            .map(|(width, seed)| trial.input(self.dtype, &numbers(self.dtype, rows * width, seed)));
        let mut results = Vec::new();
        for (values, trainable, refreshed) in
            [(&new, true, false), (&old, true, true), (&new, false, false), (&old, false, true)]
        {
            let mut weight = trial.weight(values, self.shape, self.dtype, trainable);
            let mut y = trial.output(self.dtype, rows * outs);
            let mut dx = trial.updated(self.dtype, &vec![0.0; rows * ins]);
            trial.call(|backend| {
                if refreshed {
                    backend.refresh_weight(&mut weight, &master);
                }
                backend.linear(&x, &weight, None, Activation::Identity, rows, None, &mut y);
                if trainable {
                    backend.linear_backward_input(&dy, &weight, rows, InputGradient::Store, &mut dx);
                }
            });
            results.push([trial.take("y", &y, rows * outs).bytes, trial.take("dx", &dx, rows * ins).bytes]);
        }
        if results[1] != results[0] || results[3] != results[2] {
            return Err("refreshed from a master copy: other bits than when made of the same values".to_owned());
        }
        if results[2][0] != results[0][0] {
            return Err("not trainable: other bits than trainable".to_owned());
        }
        Ok(())
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for shape in [[1, 1], [17, 33], [64, 96], [100, 31]] {
            visitor.property(Refresh { dtype, shape });
        }
    }
}
