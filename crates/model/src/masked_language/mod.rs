//! Masked language modelling: which token stood behind each mask (Devlin et al. 2019; the head is RoBERTa's, BERT's or
//! DistilBERT's, which differ in names only).
//!
//! Only the rows of masked tokens reach the head, and only [`MaskedLanguageSpace::rows`] of them at a time: the logits of a
//! chunk become their own gradient and are gone before the next, so memory does not grow with vocabulary times tokens.

mod head;
mod space;

pub(crate) use head::{Decoder, MaskedLanguageHead};
pub(crate) use space::MaskedLanguageSpace;

use crate::batch::Batch;
use crate::config::Family;
use crate::dropout::DropoutContext;
use crate::error::ModelError;
use crate::model::{Model, Workspace};
use crate::weights::Head;
use serin_ops::{Activation, Backend};

/// The masked tokens of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskedTokens {
    /// Their rows in the batch, all different.
    pub rows: Vec<u32>,
    /// What stands there unmasked, one a row.
    pub targets: Vec<u32>,
}

/// What the head made of masked tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MaskedOutput {
    /// The sum of their cross-entropies, in nats.
    pub loss_sum: f64,
    /// Those whose own token has the highest logit.
    pub correct: u64,
}

impl<B: Backend> Model<B> {
    /// Forward and backward of a micro-batch: adds the gradients of `gradient_scale · Σ losses` over its masked tokens.
    ///
    /// # Errors
    /// [`ModelError::Device`].
    pub fn train_masked(
        &mut self,
        backend: &B,
        space: &mut Workspace<B>,
        batch: &Batch,
        masked: &MaskedTokens,
        gradient_scale: f32,
        dropout: Option<&DropoutContext>,
    ) -> Result<MaskedOutput, ModelError> {
        self.forward_trunk(backend, space, batch, dropout);
        self.forward_trained(backend, space, dropout);
        let g = space.gradients.as_mut().expect("planned for a trained model");
        backend.fill_zero(&mut g.hidden[0], batch.tokens() * self.config.hidden);
        let output = self.each_chunk(backend, space, masked, Some(gradient_scale))?;
        self.backward_trained(backend, space, dropout);
        Ok(output)
    }

    /// The losses of a batch's masked tokens, without dropout.
    ///
    /// # Errors
    /// [`ModelError::Device`].
    pub fn masked_losses(
        &mut self,
        backend: &B,
        space: &mut Workspace<B>,
        batch: &Batch,
        masked: &MaskedTokens,
    ) -> Result<MaskedOutput, ModelError> {
        self.encode(backend, space, batch);
        self.each_chunk(backend, space, masked, None)
    }

    /// The logits `[rows, vocab]` of some rows of a batch, without dropout.
    ///
    /// # Errors
    /// [`ModelError::Device`].
    pub fn token_logits(
        &self,
        backend: &B,
        space: &mut Workspace<B>,
        batch: &Batch,
        rows: &[u32],
    ) -> Result<Vec<f32>, ModelError> {
        self.encode(backend, space, batch);
        let (head, activation, vocab) = (self.masked_language_head(), self.transform_activation(), self.config.vocab);
        let Workspace { hidden, masked: chunk, .. } = space;
        let chunk = chunk.as_mut().expect("planned for this head");
        let mut logits = vec![0.0; rows.len() * vocab];
        for (rows, logits) in rows.chunks(chunk.rows).zip(logits.chunks_mut(chunk.rows * vocab)) {
            chunk.place(backend, rows, &[]);
            head.forward(backend, &hidden[0], activation, self.config.hidden, chunk);
            backend.read(&chunk.logits, 0, logits)?;
        }
        Ok(logits)
    }

    /// Runs the head over all masked tokens, and its backward where there is a `gradient_scale`.
    fn each_chunk(
        &mut self,
        backend: &B,
        space: &mut Workspace<B>,
        masked: &MaskedTokens,
        gradient_scale: Option<f32>,
    ) -> Result<MaskedOutput, ModelError> {
        assert_eq!(masked.rows.len(), masked.targets.len(), "a target a masked token");
        let (activation, width, vocab) = (self.transform_activation(), self.config.hidden, self.config.vocab);
        let Head::MaskedLanguage(head) = &mut self.head else { unreachable!("{ANOTHER_HEAD}") };
        let Workspace { hidden, trained, masked: chunk, gradients, .. } = space;
        let chunk = chunk.as_mut().expect("planned for this head");
        let encoded = if gradient_scale.is_some() { &hidden[trained.len()] } else { &hidden[0] };
        let mut output = MaskedOutput::default();
        let pieces = masked.rows.chunks(chunk.rows).zip(masked.targets.chunks(chunk.rows));
        for (rows, targets) in pieces {
            chunk.place(backend, rows, targets);
            head.forward(backend, encoded, activation, width, chunk);
            let count = rows.len();
            backend.vocabulary_loss(&mut chunk.logits, &chunk.targets, count, vocab, gradient_scale, &mut chunk.losses);
            let mut losses = vec![0.0; 2 * count];
            backend.read(&chunk.losses, 0, &mut losses)?;
            for row in losses.chunks_exact(2) {
                output.loss_sum += f64::from(row[0]);
                output.correct += u64::from(row[1] > 0.0);
            }
            if gradient_scale.is_some() {
                let g = gradients.as_mut().expect("planned for a trained model");
                let word = &mut self.embeddings.word;
                head.backward(backend, word, activation, width, vocab, chunk, &mut g.hidden[0]);
            }
        }
        Ok(output)
    }

    fn masked_language_head(&self) -> &MaskedLanguageHead<B> {
        let Head::MaskedLanguage(head) = &self.head else { unreachable!("{ANOTHER_HEAD}") };
        head
    }

    /// RoBERTa's transform has the exact GELU whatever the encoder has; the others have the encoder's activation.
    fn transform_activation(&self) -> Activation {
        match self.config.family {
            Family::Bert | Family::DistilBert => self.config.activation,
            Family::Roberta | Family::XlmRoberta | Family::Camembert => Activation::Gelu,
        }
    }
}

/// The caller's mistake: it asked a classifier for the logits of tokens.
const ANOTHER_HEAD: &str = "a model with another head than that of masked language modelling";
