//! AdamW over groups of parameters, and what it remembers of each.

use crate::settings::TrainSettings;
use serin_model::{Group, Model, ModelError, ParameterKind, ParameterSpec};
use serin_ops::{AdamwSlot, AdamwStep, Backend};
use serin_tensor::DType;
use std::fmt;

/// The first and second moments of one trained buffer.
pub struct Moments<B: Backend> {
    /// m.
    pub first: B::Buffer,
    /// v.
    pub second: B::Buffer,
    /// Elements of each.
    pub len: usize,
}

/// AdamW with the moments of every trained parameter of one model.
pub struct Optimizer<B: Backend> {
    moments: Vec<Moments<B>>,
    /// Steps made, skipped ones not counted.
    pub steps: u64,
}

/// A group of parameters with one learning rate and one decay.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSummary {
    /// "encoder", "head", with "no decay" where that is so.
    pub name: String,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Weight decay.
    pub weight_decay: f32,
    /// Tensors.
    pub tensors: usize,
    /// Parameters.
    pub parameters: usize,
}

impl<B: Backend> Optimizer<B> {
    /// Moments of zero.
    pub fn new(backend: &B, model: &mut Model<B>) -> Result<Optimizer<B>, ModelError> {
        let moments = |len| -> Result<Moments<B>, ModelError> {
            let (first, second) = (backend.buffer(DType::F32, len)?, backend.buffer(DType::F32, len)?);
            Ok(Moments { first, second, len })
        };
        let moments = model.trainable().iter().map(|trainable| moments(trainable.len)).collect::<Result<_, _>>()?;
        Ok(Optimizer { moments, steps: 0 })
    }

    /// What is remembered, in the order of [`Model::trainable`].
    pub fn moments_mut(&mut self) -> &mut [Moments<B>] {
        &mut self.moments
    }

    /// One step: the gradients times `gradient_scale` (inverse loss scale and clipping), rates times `factor`.
    pub fn step(
        &mut self,
        backend: &B,
        model: &mut Model<B>,
        settings: &TrainSettings,
        factor: f64,
        gradient_scale: f32,
    ) {
        self.steps += 1;
        let mut slots: Vec<AdamwSlot<'_, B>> = model
            .trainable()
            .into_iter()
            .zip(&mut self.moments)
            .map(|(trainable, moments)| {
                let (rate, weight_decay) = rates(settings, &trainable.specs[0]);
                AdamwSlot {
                    parameter: trainable.values,
                    gradient: trainable.gradient,
                    first_moment: &mut moments.first,
                    second_moment: &mut moments.second,
                    len: trainable.len,
                    learning_rate: (f64::from(rate) * factor) as f32,
                    weight_decay,
                }
            })
            .collect();
        let step = AdamwStep {
            beta1: settings.adam_beta1,
            beta2: settings.adam_beta2,
            epsilon: settings.adam_epsilon,
            step: self.steps,
            gradient_scale,
        };
        backend.adamw(&mut slots, step);
        model.refresh(backend);
    }
}

/// Peak learning rate and decay of a parameter.
fn rates(settings: &TrainSettings, spec: &ParameterSpec) -> (f32, f32) {
    let rate = if spec.group == Group::Head { settings.head_learning_rate } else { settings.learning_rate };
    (rate, if decays(settings, spec.kind) { settings.weight_decay } else { 0.0 })
}

fn decays(settings: &TrainSettings, kind: ParameterKind) -> bool {
    !settings.no_decay_norm_bias || kind.usually_decayed()
}

/// The groups of a model's trained parameters, as printed before the first step.
pub fn group_table<B: Backend>(model: &mut Model<B>, settings: &TrainSettings) -> Vec<GroupSummary> {
    let mut groups: Vec<GroupSummary> = Vec::new();
    for trainable in model.trainable() {
        for spec in trainable.specs {
            let (learning_rate, weight_decay) = rates(settings, spec);
            let part = if spec.group == Group::Head { "head" } else { "encoder" };
            let suffix = if decays(settings, spec.kind) { "" } else { ", no decay" };
            let name = format!("{part}{suffix}");
            let index = groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
                groups.push(GroupSummary { name, learning_rate, weight_decay, tensors: 0, parameters: 0 });
                groups.len() - 1
            });
            groups[index].tensors += 1;
            groups[index].parameters += spec.len();
        }
    }
    groups
}

impl fmt::Display for GroupSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GroupSummary { name, learning_rate, weight_decay, tensors, parameters } = self;
        write!(
            f,
            "{name:<18} lr {learning_rate:<8e} decay {weight_decay:<6} {tensors:>4} tensors {parameters:>12} parameters"
        )
    }
}
