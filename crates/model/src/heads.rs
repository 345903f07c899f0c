//! The classification heads, forward and backward, in f32.
//!
//! | family | from the first token's vector |
//! | --- | --- |
//! | RoBERTa, XLM-RoBERTa, CamemBERT | dropout, dense, tanh, dropout, linear |
//! | BERT | dense, tanh (the pooler), dropout, linear |
//! | DistilBERT | dense, ReLU, dropout, linear |

use crate::activations::{Gradients, HeadActivations};
use crate::config::Family;
use crate::dropout::DropoutContext;
use crate::model::{Model, Placed};
use crate::weights::Head;
use serin_ops::{Activation, Backend, DropoutSite, InputGradient};

/// The caller's mistake: it asked another model for the logits of a classifier.
const NO_CLASSIFIER: &str = "a model with another head than a classifier's";

impl<B: Backend> Model<B> {
    fn head_activation(&self) -> Activation {
        if self.config.family == Family::DistilBert { Activation::Relu } else { Activation::Tanh }
    }

    fn drops_head_input(&self) -> bool {
        self.config.family.positions_follow_padding() // the RoBERTa family
    }

    /// Logits of the encoder's output `hidden`, one row a sequence.
    pub(crate) fn forward_head(
        &self,
        backend: &B,
        placed: &Placed<B>,
        hidden: &B::Buffer,
        a: &mut HeadActivations<B>,
        dropout: Option<&DropoutContext>,
    ) {
        let (rows, width) = (placed.count, self.config.hidden);
        let mask = |site| dropout.and_then(|dropout| dropout.head(&self.config, site));
        let Head::Classification(head) = &self.head else { unreachable!("{NO_CLASSIFIER}") };
        backend.gather_rows(hidden, &placed.every_sequence, width, &mut a.input);
        if let Some(mask) = mask(DropoutSite::HeadInput).filter(|_| self.drops_head_input()) {
            backend.dropout(&mut a.input, mask, rows, width);
        }
        head.dense.forward(backend, &a.input, self.head_activation(), rows, None, &mut a.activated);
        backend.gather_rows(&a.activated, &placed.every_sequence, width, &mut a.dropped);
        if let Some(mask) = mask(DropoutSite::HeadOutput) {
            backend.dropout(&mut a.dropped, mask, rows, width);
        }
        head.output.forward(backend, &a.dropped, Activation::Identity, rows, None, &mut a.logits);
    }

    /// From the gradient of the logits to that of the encoder's output, in `g.hidden[0]`, one row a sequence.
    pub(crate) fn backward_head(
        &mut self,
        backend: &B,
        placed: &Placed<B>,
        a: &HeadActivations<B>,
        g: &mut Gradients<B>,
        dropout: Option<&DropoutContext>,
    ) {
        let (rows, width) = (placed.count, self.config.hidden);
        let mask = |site| dropout.and_then(|dropout| dropout.head(&self.config, site));
        let (before_dense, after_dense) = (mask(DropoutSite::HeadInput), mask(DropoutSite::HeadOutput));
        let (activation, drops_input) = (self.head_activation(), self.drops_head_input());
        let Head::Classification(head) = &mut self.head else { unreachable!("{NO_CLASSIFIER}") };
        let [d_activated, d_input] = &mut g.head;
        head.output.backward_weight(backend, &g.logits, &a.dropped, rows);
        backend.linear_backward_input(&g.logits, &head.output.packed, rows, InputGradient::Store, d_activated);
        if let Some(mask) = after_dense {
            backend.dropout(d_activated, mask, rows, width);
        }
        backend.activation_backward(activation, &a.activated, rows, width, d_activated);
        head.dense.backward_weight(backend, d_activated, &a.input, rows);
        backend.linear_backward_input(d_activated, &head.dense.packed, rows, InputGradient::Store, d_input);
        if let Some(mask) = before_dense.filter(|_| drops_input) {
            backend.dropout(d_input, mask, rows, width);
        }
        backend.fill_zero(&mut g.hidden[0], rows * width);
        backend.scatter_add_rows(d_input, &placed.every_sequence, width, &mut g.hidden[0]);
    }
}
