//! The head: dense, activation, layer norm, and a decoder whose matrix is the word embedding unless it is untied.

use super::space::MaskedLanguageSpace;
use crate::weights::{LayerNorm, Linear, Vector};
use serin_ops::{Activation, Backend, InputGradient};

/// The head of masked language modelling, in the encoder's storage type.
pub(crate) struct MaskedLanguageHead<B: Backend> {
    /// `[hidden, hidden]`.
    pub(crate) dense: Linear<B>,
    pub(crate) norm: LayerNorm<B>,
    pub(crate) decoder: Decoder<B>,
}

/// The linear layer from a vector to the vocabulary.
pub(crate) struct Decoder<B: Backend> {
    /// `[vocab, hidden]`.
    pub(crate) packed: B::Weight,
    /// Its master copy; none where the word embedding is that, or nothing is trained.
    pub(crate) master: Option<Vector<B>>,
    pub(crate) tied: bool,
    /// `[vocab]`.
    pub(crate) bias: Vector<B>,
}

impl<B: Backend> MaskedLanguageHead<B> {
    pub(crate) fn vectors<'a>(&'a mut self, all: &mut Vec<&'a mut Vector<B>>) {
        all.extend(self.dense.vectors());
        all.extend(self.norm.vectors());
        all.extend(&mut self.decoder.master);
        all.push(&mut self.decoder.bias);
    }

    /// The logits of a chunk of rows of `encoded`.
    pub(super) fn forward(
        &self,
        backend: &B,
        encoded: &B::Buffer,
        activation: Activation,
        width: usize,
        a: &mut MaskedLanguageSpace<B>,
    ) {
        let rows = a.count;
        backend.gather_rows(encoded, &a.indices, width, &mut a.input);
        self.dense.forward(backend, &a.input, activation, rows, Some(&mut a.pre_activation), &mut a.activated);
        let (norm, statistics) = (self.norm.norm(), Some(&mut a.statistics));
        backend.add_layer_norm(&mut a.activated, None, None, norm, rows, width, statistics, &mut a.normalised);
        let (packed, bias) = (&self.decoder.packed, Some(&self.decoder.bias.values));
        backend.linear(&a.normalised, packed, bias, Activation::Identity, rows, None, &mut a.logits);
    }

    /// From the gradient of a chunk's logits, in `a.logits`, to that of the encoder's output, added to `d_encoded`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward(
        &mut self,
        backend: &B,
        word: &mut Vector<B>,
        activation: Activation,
        width: usize,
        vocab: usize,
        a: &mut MaskedLanguageSpace<B>,
        d_encoded: &mut B::Buffer,
    ) {
        let (rows, decoder) = (a.count, &mut self.decoder);
        let [d, d_other] = &mut a.gradients;
        let d_matrix = decoder.master.as_mut().unwrap_or(word).gradient();
        backend.linear_backward_weight(&a.logits, &a.normalised, rows, vocab, width, d_matrix, decoder.bias.gradient());
        backend.linear_backward_input(&a.logits, &decoder.packed, rows, InputGradient::Store, d);
        let saved = "planned for a trained model";
        backend.add_layer_norm_backward(
            d,
            &a.activated,
            &a.statistics,
            &self.norm.weight.values,
            rows,
            width,
            d_other,
            None,
            self.norm.weight.gradient.as_mut().expect(saved),
            self.norm.bias.gradient.as_mut().expect(saved),
        );
        let saved = match activation {
            Activation::Relu | Activation::Tanh => &a.activated,
            _ => &a.pre_activation,
        };
        backend.activation_backward(activation, saved, rows, width, d_other);
        self.dense.backward_weight(backend, d_other, &a.input, rows);
        backend.linear_backward_input(d_other, &self.dense.packed, rows, InputGradient::Store, d);
        backend.scatter_add_rows(d, &a.indices, width, d_encoded);
    }
}

impl<B: Backend> Decoder<B> {
    /// Lays the matrix out anew, after an optimizer step.
    pub(crate) fn refresh(&mut self, backend: &B, word: &Vector<B>) {
        let master = match (&self.master, self.tied) {
            (Some(master), _) => master,
            (None, true) if word.gradient.is_some() => word,
            (None, _) => return,
        };
        backend.refresh_weight(&mut self.packed, &master.values);
    }
}
