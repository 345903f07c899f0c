//! A model in training, stepped as `golden/model_goldens.py` steps it.

use std::collections::HashMap;

use serin_checkpoint::model::file_name;
use serin_model::{Batch, Model, ParameterKind, Targets, TrainableMut, Workspace};
use serin_ops::{AdamwSlot, AdamwStep, Backend};
use serin_tensor::DType;

use super::{Case, number, widen};

/// A parameter's numbers, read back.
pub(crate) struct Parameter {
    pub(crate) values: Vec<f64>,
    pub(crate) rows: usize,
}

/// A model in training.
pub(crate) struct Run<'a, B: Backend> {
    backend: &'a B,
    pub(crate) model: Model<B>,
    space: Workspace<B>,
    moments: Vec<[B::Buffer; 2]>,
    betas: [f64; 2],
    epsilon: f32,
    weight_decay: f32,
}

impl<'a, B: Backend> Run<'a, B> {
    pub(crate) fn new(case: &Case, backend: &'a B) -> Run<'a, B> {
        let mut model = case.model(backend, case.freezing());
        let sizes = ["", "second/"].map(|prefix| case.golden.values(&format!("{prefix}lengths")));
        let tokens = sizes.iter().map(|lengths| lengths.iter().sum::<f64>() as usize).max().unwrap_or(0);
        let space = model.workspace(backend, tokens, sizes[0].len()).expect("memory");
        let moment = |len| backend.buffer(DType::F32, len).expect("memory");
        let moments =
            model.trainable().iter().map(|trainable| [moment(trainable.len), moment(trainable.len)]).collect();
        let optimizer = &case.settings["optimizer"];
        Run {
            backend,
            model,
            space,
            moments,
            betas: [0, 1].map(|index| number(&optimizer["betas"][index])),
            epsilon: number(&optimizer["eps"]) as f32,
            weight_decay: number(&optimizer["weight_decay"]) as f32,
        }
    }

    /// Forward and backward of a whole batch from zeroed gradients: the mean loss and the logits.
    pub(crate) fn pass(&mut self, batch: &Batch, targets: &Targets) -> (f64, Vec<f32>) {
        self.model.zero_gradients(self.backend);
        self.model.forward_trunk(self.backend, &mut self.space, batch, None);
        let scale = (1.0 / targets.normalizer) as f32;
        let output = self.model.train_micro_batch(self.backend, &mut self.space, batch, targets, scale, None);
        let output = output.expect("a pass");
        (output.loss_sum / targets.normalizer, output.logits)
    }

    pub(super) fn gradient_norm(&mut self) -> f64 {
        gradient_norm(self.backend, &mut self.model)
    }

    /// Learning rates of encoder and head; BERT's pooler is the encoder's, as in `golden/model_goldens.py`.
    pub(crate) fn step(&mut self, step: u64, rates: [f64; 2], clip: f64, exempt_norms_and_biases: bool) {
        let family = self.model.config().family;
        let mut trainable = self.model.trainable();
        let parts = trainable.iter_mut().zip(&mut self.moments);
        let mut slots: Vec<AdamwSlot<'_, B>> = parts
            .map(|(trainable, [first_moment, second_moment])| {
                let spec = &trainable.specs[0];
                let exempt = exempt_norms_and_biases && !spec.kind.usually_decayed();
                AdamwSlot {
                    parameter: &mut *trainable.values,
                    gradient: &*trainable.gradient,
                    first_moment,
                    second_moment,
                    len: trainable.len,
                    learning_rate: rates[usize::from(is_head(&file_name(family, &spec.name)))] as f32,
                    weight_decay: if exempt { 0.0 } else { self.weight_decay },
                }
            })
            .collect();
        let [beta1, beta2] = self.betas;
        let gradient_scale = clip as f32;
        self.backend.adamw(&mut slots, AdamwStep { beta1, beta2, epsilon: self.epsilon, step, gradient_scale });
        self.model.refresh(self.backend);
    }

    /// Values or gradients of all trained parameters, by their names in the checkpoint.
    pub(super) fn read(
        &mut self,
        which: impl for<'b> Fn(TrainableMut<'b, B>) -> &'b mut B::Buffer,
    ) -> HashMap<String, Parameter> {
        read(self.backend, &mut self.model, which)
    }
}

/// The norm over the gradients of all trained parameters.
pub(crate) fn gradient_norm<B: Backend>(backend: &B, model: &mut Model<B>) -> f64 {
    let trainable = model.trainable();
    let gradients: Vec<_> = trainable.iter().map(|trainable| (&*trainable.gradient, trainable.len)).collect();
    let norm = backend.gradient_norm(&gradients).expect("a norm");
    assert!(norm.finite);
    norm.sum_of_squares.sqrt()
}

/// Values or gradients of all trained parameters, by their names in the checkpoint.
pub(crate) fn read<B: Backend>(
    backend: &B,
    model: &mut Model<B>,
    which: impl for<'b> Fn(TrainableMut<'b, B>) -> &'b mut B::Buffer,
) -> HashMap<String, Parameter> {
    let family = model.config().family;
    let mut all = HashMap::new();
    for trainable in model.trainable() {
        let (specs, len) = (trainable.specs, trainable.len);
        let mut values = vec![0.0; len];
        backend.read(which(trainable), 0, &mut values).expect("values");
        let mut rest = values.as_slice();
        for spec in specs {
            let (own, others) = rest.split_at(spec.len());
            rest = others;
            let is_matrix = matches!(spec.kind, ParameterKind::Matrix | ParameterKind::Table);
            let rows = if is_matrix { spec.shape[0] } else { 0 };
            all.insert(file_name(family, &spec.name), Parameter { values: widen(own), rows });
        }
    }
    all
}

fn is_head(name: &str) -> bool {
    name.starts_with("classifier.") || name.starts_with("pre_classifier.")
}
