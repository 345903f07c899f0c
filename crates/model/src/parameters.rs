//! The parameters of a model under one set of names, whatever a checkpoint calls them.
//!
//! Encoder parameters have the names of `transformers`' BERT without its prefix
//! (`encoder.layer.3.attention.self.query.weight`); a classifier's head has `head.dense.*` and `head.output.*`, that of masked
//! language modelling `lm_head.dense.*`, `lm_head.norm.*`, and `lm_head.bias` or, untied, `lm_head.decoder.*`.

use crate::config::{ModelConfig, Task};
use crate::error::ModelError;
use std::fmt;

/// The part of the model a parameter belongs to, from the input to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The three tables and their norm.
    Embeddings,
    /// An encoder layer, from 0.
    Layer(usize),
    /// The head.
    Head,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Embeddings => f.write_str("embeddings"),
            Group::Layer(layer) => write!(f, "layer {layer}"),
            Group::Head => f.write_str("head"),
        }
    }
}

/// What a parameter is, which decides how it starts and whether it is commonly decayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// An embedding table.
    Table,
    /// The matrix of a linear layer, `[out, in]`.
    Matrix,
    /// The bias of a linear layer.
    Bias,
    /// γ of a layer norm.
    NormWeight,
    /// β of a layer norm.
    NormBias,
}

impl ParameterKind {
    /// Whether `transformers`' `Trainer` decays it: everything but biases and norms.
    pub const fn usually_decayed(self) -> bool {
        matches!(self, ParameterKind::Table | ParameterKind::Matrix)
    }
}

/// A parameter of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Our name for it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where it belongs.
    pub group: Group,
    /// What it is.
    pub kind: ParameterKind,
}

impl ParameterSpec {
    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where the values of parameters come from: a checkpoint, or an [`Initializer`](crate::Initializer).
pub trait ParameterSource {
    /// The values of a parameter, row-major, exactly `spec.len()` of them.
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError>;
}

impl ModelConfig {
    /// Every parameter, from the input to the output.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut list = List { specs: Vec::new(), group: Group::Embeddings };
        let hidden = self.hidden;
        list.push("embeddings.word_embeddings.weight", &[self.vocab, hidden], ParameterKind::Table);
        list.push("embeddings.position_embeddings.weight", &[self.max_positions, hidden], ParameterKind::Table);
        if self.token_types > 0 {
            list.push("embeddings.token_type_embeddings.weight", &[self.token_types, hidden], ParameterKind::Table);
        }
        list.norm("embeddings.LayerNorm", hidden);
        for layer in 0..self.layers {
            list.group = Group::Layer(layer);
            let name = |part: &str| format!("encoder.layer.{layer}.{part}");
            for projection in ["query", "key", "value"] {
                list.linear(&name(&format!("attention.self.{projection}")), hidden, hidden);
            }
            list.linear(&name("attention.output.dense"), hidden, hidden);
            list.norm(&name("attention.output.LayerNorm"), hidden);
            list.linear(&name("intermediate.dense"), self.intermediate, hidden);
            list.linear(&name("output.dense"), hidden, self.intermediate);
            list.norm(&name("output.LayerNorm"), hidden);
        }
        list.group = Group::Head;
        match self.task {
            Task::Classification => {
                list.linear("head.dense", hidden, hidden);
                list.linear("head.output", self.labels.len(), hidden);
            }
            Task::MaskedLanguage { tied } => {
                list.linear("lm_head.dense", hidden, hidden);
                list.norm("lm_head.norm", hidden);
                if tied {
                    list.push("lm_head.bias", &[self.vocab], ParameterKind::Bias);
                } else {
                    list.linear("lm_head.decoder", self.vocab, hidden);
                }
            }
        }
        list.specs
    }
}

struct List {
    specs: Vec<ParameterSpec>,
    group: Group,
}

impl List {
    fn push(&mut self, name: &str, shape: &[usize], kind: ParameterKind) {
        self.specs.push(ParameterSpec { name: name.to_string(), shape: shape.to_vec(), group: self.group, kind });
    }

    fn linear(&mut self, name: &str, out_features: usize, in_features: usize) {
        self.push(&format!("{name}.weight"), &[out_features, in_features], ParameterKind::Matrix);
        self.push(&format!("{name}.bias"), &[out_features], ParameterKind::Bias);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.push(&format!("{name}.weight"), &[width], ParameterKind::NormWeight);
        self.push(&format!("{name}.bias"), &[width], ParameterKind::NormBias);
    }
}
