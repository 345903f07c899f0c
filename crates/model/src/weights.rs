//! The parameters of a model on a device: laid out for products, and with gradients where they are trained.

use crate::config::{ModelConfig, Task};
use crate::error::ModelError;
use crate::masked_language::{Decoder, MaskedLanguageHead};
use crate::model::TrainableMut;
use crate::parameters::{Group, ParameterKind, ParameterSource, ParameterSpec};
use serin_ops::{Backend, EmbeddingTables, Norm};
use serin_tensor::DType;

/// Reads parameters from a source and lays them out on a device.
pub(crate) struct Loader<'a, B: Backend> {
    pub(crate) backend: &'a B,
    pub(crate) source: &'a mut dyn ParameterSource,
    /// The storage type of encoder weights.
    pub(crate) dtype: DType,
}

/// A parameter in f32 on the device, and its gradient if it is trained.
pub(crate) struct Vector<B: Backend> {
    /// The parameters it holds, one after another: one, or the parts of a fused projection.
    pub(crate) specs: Vec<ParameterSpec>,
    pub(crate) values: B::Buffer,
    pub(crate) gradient: Option<B::Buffer>,
}

impl<B: Backend> Vector<B> {
    pub(crate) fn len(&self) -> usize {
        self.specs.iter().map(ParameterSpec::len).sum()
    }

    /// Values and gradient of a parameter that is trained.
    pub(crate) fn trainable(&mut self) -> TrainableMut<'_, B> {
        let len = self.len();
        let gradient = self.gradient.as_mut().expect("a gradient is only asked of what is trained");
        TrainableMut { specs: &self.specs, values: &mut self.values, gradient, len }
    }

    /// The gradient of a parameter that is trained.
    pub(crate) fn gradient(&mut self) -> &mut B::Buffer {
        self.trainable().gradient
    }
}

/// A linear layer: the matrix in the device's layout, its master copy while it is trained, and the bias.
pub(crate) struct Linear<B: Backend> {
    pub(crate) packed: B::Weight,
    pub(crate) master: Option<Vector<B>>,
    pub(crate) bias: Vector<B>,
    pub(crate) out_features: usize,
    pub(crate) in_features: usize,
}

/// A layer norm.
pub(crate) struct LayerNorm<B: Backend> {
    pub(crate) weight: Vector<B>,
    pub(crate) bias: Vector<B>,
    epsilon: f32,
}

impl<B: Backend> LayerNorm<B> {
    pub(crate) fn norm(&self) -> Norm<'_, B> {
        Norm { weight: &self.weight.values, bias: &self.bias.values, epsilon: self.epsilon }
    }
}

/// The three tables and their norm.
pub(crate) struct Embeddings<B: Backend> {
    pub(crate) word: Vector<B>,
    pub(crate) position: Vector<B>,
    pub(crate) token_type: Option<Vector<B>>,
    pub(crate) norm: LayerNorm<B>,
}

impl<B: Backend> Embeddings<B> {
    pub(crate) fn tables(&self) -> EmbeddingTables<'_, B> {
        EmbeddingTables {
            word: &self.word.values,
            position: &self.position.values,
            token_type: self.token_type.as_ref().map(|table| &table.values),
        }
    }
}

/// The projections of the attention's input.
pub(crate) enum Projections<B: Backend> {
    /// Queries, keys and values of all rows: `[3 * hidden, hidden]`.
    Fused(Linear<B>),
    /// Queries of each sequence's first row, keys and values of all: the last layer of a classifier.
    FirstRow {
        /// `[hidden, hidden]`.
        query: Linear<B>,
        /// `[2 * hidden, hidden]`.
        key_value: Linear<B>,
    },
}

/// An encoder layer.
pub(crate) struct Layer<B: Backend> {
    pub(crate) projections: Projections<B>,
    pub(crate) attention_output: Linear<B>,
    pub(crate) attention_norm: LayerNorm<B>,
    pub(crate) intermediate: Linear<B>,
    pub(crate) output: Linear<B>,
    pub(crate) output_norm: LayerNorm<B>,
}

/// What stands on the encoder.
pub(crate) enum Head<B: Backend> {
    Classification(ClassificationHead<B>),
    MaskedLanguage(MaskedLanguageHead<B>),
}

/// The classification head, always in f32: it is tiny and its logits are what people see.
pub(crate) struct ClassificationHead<B: Backend> {
    pub(crate) dense: Linear<B>,
    pub(crate) output: Linear<B>,
}

impl<B: Backend> Loader<'_, B> {
    pub(crate) fn embeddings(&mut self, config: &ModelConfig, trained: bool) -> Result<Embeddings<B>, ModelError> {
        let hidden = config.hidden;
        let mut table = |name: &str, rows: usize| {
            let spec =
                spec(format!("embeddings.{name}.weight"), &[rows, hidden], Group::Embeddings, ParameterKind::Table);
            // Frozen tables are only read: half the memory in 16 bits. Trained ones are their own master copy.
            self.vector(vec![spec], if trained { DType::F32 } else { self.dtype }, trained)
        };
        Ok(Embeddings {
            word: table("word_embeddings", config.vocab)?,
            position: table("position_embeddings", config.max_positions)?,
            token_type: match config.token_types {
                0 => None,
                rows => Some(table("token_type_embeddings", rows)?),
            },
            norm: self.norm(config, "embeddings.LayerNorm", Group::Embeddings, trained)?,
        })
    }

    pub(crate) fn layer(
        &mut self,
        config: &ModelConfig,
        layer: usize,
        trained: bool,
        first_row: bool,
    ) -> Result<Layer<B>, ModelError> {
        let group = Group::Layer(layer);
        let (hidden, inner) = (config.hidden, config.intermediate);
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let [query, key, value] = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        let dtype = self.dtype;
        let mut linear =
            |names: &[String], outs: usize, ins: usize| self.linear(names, outs, ins, group, dtype, trained);
        let projections = if first_row {
            let key_value = linear(&[key, value], hidden, hidden)?;
            Projections::FirstRow { query: linear(&[query], hidden, hidden)?, key_value }
        } else {
            Projections::Fused(linear(&[query, key, value], hidden, hidden)?)
        };
        let attention_output = linear(&[name("attention.output.dense")], hidden, hidden)?;
        let intermediate = linear(&[name("intermediate.dense")], inner, hidden)?;
        let output = linear(&[name("output.dense")], hidden, inner)?;
        Ok(Layer {
            projections,
            attention_output,
            attention_norm: self.norm(config, &name("attention.output.LayerNorm"), group, trained)?,
            intermediate,
            output,
            output_norm: self.norm(config, &name("output.LayerNorm"), group, trained)?,
        })
    }

    pub(crate) fn head(&mut self, config: &ModelConfig, trained: bool) -> Result<Head<B>, ModelError> {
        let hidden = config.hidden;
        let tied = match config.task {
            Task::Classification => {
                let mut linear = |name: &str, outs: usize| {
                    self.linear(&[name.to_string()], outs, hidden, Group::Head, DType::F32, trained)
                };
                let (dense, output) = (linear("head.dense", hidden)?, linear("head.output", config.labels.len())?);
                return Ok(Head::Classification(ClassificationHead { dense, output }));
            }
            Task::MaskedLanguage { tied } => tied,
        };
        let dtype = self.dtype;
        Ok(Head::MaskedLanguage(MaskedLanguageHead {
            dense: self.linear(&["lm_head.dense".into()], hidden, hidden, Group::Head, dtype, trained)?,
            norm: self.norm(config, "lm_head.norm", Group::Head, trained)?,
            decoder: self.decoder(config, tied, trained)?,
        }))
    }

    fn decoder(&mut self, config: &ModelConfig, tied: bool, trained: bool) -> Result<Decoder<B>, ModelError> {
        let (vocab, hidden) = (config.vocab, config.hidden);
        let matrix = match tied {
            true => word_embeddings(config),
            false => spec("lm_head.decoder.weight".into(), &[vocab, hidden], Group::Head, ParameterKind::Matrix),
        };
        let bias = if tied { "lm_head.bias" } else { "lm_head.decoder.bias" };
        let bias = spec(bias.into(), &[vocab], Group::Head, ParameterKind::Bias);
        let values = self.read(std::slice::from_ref(&matrix))?;
        let packed = self.backend.weight(&values, vocab, hidden, self.dtype, trained)?;
        let master = match trained && !tied {
            true => Some(self.place(vec![matrix], &values, DType::F32, true)?),
            false => None,
        };
        Ok(Decoder { packed, master, tied, bias: self.vector(vec![bias], DType::F32, trained)? })
    }

    /// A linear layer whose matrix is the matrices of `names` one below another, each `[outs, ins]`.
    fn linear(
        &mut self,
        names: &[String],
        outs: usize,
        ins: usize,
        group: Group,
        dtype: DType,
        trained: bool,
    ) -> Result<Linear<B>, ModelError> {
        let matrix = |name: &String| spec(format!("{name}.weight"), &[outs, ins], group, ParameterKind::Matrix);
        let bias = |name: &String| spec(format!("{name}.bias"), &[outs], group, ParameterKind::Bias);
        let matrices: Vec<_> = names.iter().map(matrix).collect();
        let values = self.read(&matrices)?;
        let packed = self.backend.weight(&values, names.len() * outs, ins, dtype, trained)?;
        let master = match trained {
            true => Some(self.place(matrices, &values, DType::F32, true)?),
            false => None,
        };
        let bias = self.vector(names.iter().map(bias).collect(), DType::F32, trained)?;
        Ok(Linear { packed, master, bias, out_features: names.len() * outs, in_features: ins })
    }

    fn norm(
        &mut self,
        config: &ModelConfig,
        name: &str,
        group: Group,
        trained: bool,
    ) -> Result<LayerNorm<B>, ModelError> {
        let mut vector = |part: &str, kind| {
            self.vector(vec![spec(format!("{name}.{part}"), &[config.hidden], group, kind)], DType::F32, trained)
        };
        let weight = vector("weight", ParameterKind::NormWeight)?;
        let bias = vector("bias", ParameterKind::NormBias)?;
        Ok(LayerNorm { weight, bias, epsilon: config.layer_norm_epsilon })
    }

    fn vector(&mut self, specs: Vec<ParameterSpec>, dtype: DType, trained: bool) -> Result<Vector<B>, ModelError> {
        let values = self.read(&specs)?;
        self.place(specs, &values, dtype, trained)
    }

    fn place(
        &mut self,
        specs: Vec<ParameterSpec>,
        values: &[f32],
        dtype: DType,
        trained: bool,
    ) -> Result<Vector<B>, ModelError> {
        let mut buffer = self.backend.buffer(dtype, values.len())?;
        self.backend.write(&mut buffer, 0, values);
        let gradient = match trained {
            true => Some(self.backend.buffer(DType::F32, values.len())?),
            false => None,
        };
        Ok(Vector { specs, values: buffer, gradient })
    }

    fn read(&mut self, specs: &[ParameterSpec]) -> Result<Vec<f32>, ModelError> {
        let mut all = Vec::new();
        for spec in specs {
            let values = self.source.values(spec)?;
            if values.len() != spec.len() {
                let reason = format!(
                    "`{}` has {} values, its shape {:?} needs {}",
                    spec.name,
                    values.len(),
                    spec.shape,
                    spec.len()
                );
                return Err(ModelError::Parameter(reason));
            }
            match all.is_empty() {
                true => all = values,
                false => all.extend_from_slice(&values),
            }
        }
        Ok(all)
    }
}

fn word_embeddings(config: &ModelConfig) -> ParameterSpec {
    let name = "embeddings.word_embeddings.weight".to_string();
    spec(name, &[config.vocab, config.hidden], Group::Embeddings, ParameterKind::Table)
}

fn spec(name: String, shape: &[usize], group: Group, kind: ParameterKind) -> ParameterSpec {
    ParameterSpec { name, shape: shape.to_vec(), group, kind }
}
