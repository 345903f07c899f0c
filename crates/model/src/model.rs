//! A model on a device: its parameters, what of it is trained, and the way in and out of its parts.

use crate::activations::{Capacity, EmbeddingActivations, Gradients, HeadActivations, LayerActivations};
use crate::config::{ModelConfig, Task};
use crate::error::ModelError;
use crate::masked_language::MaskedLanguageSpace;
use crate::parameters::{Group, ParameterSource, ParameterSpec};
use crate::weights::{Embeddings, Head, Layer, LayerNorm, Linear, Loader, Projections, Vector};
use serin_ops::Backend;
use serin_tensor::DType;

/// Which part of the model, from the input on, keeps its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freezing {
    /// Everything: for evaluation and prediction.
    All,
    /// Nothing: embeddings, all layers and the head are trained.
    Nothing,
    /// The embeddings and this many layers.
    Layers(usize),
}

/// How to build a model.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions {
    /// What is not trained.
    pub freezing: Freezing,
    /// The storage type of the encoder's activations and packed weights.
    pub dtype: DType,
}

/// A model on a device.
pub struct Model<B: Backend> {
    pub(crate) config: ModelConfig,
    pub(crate) embeddings: Embeddings<B>,
    pub(crate) layers: Vec<Layer<B>>,
    pub(crate) head: Head<B>,
    pub(crate) freezing: Freezing,
    pub(crate) dtype: DType,
}

/// A trained parameter (or the fused parts of a projection) and its gradient.
pub struct TrainableMut<'a, B: Backend> {
    /// The parameters in it, one after another.
    pub specs: &'a [ParameterSpec],
    /// θ, f32.
    pub values: &'a mut B::Buffer,
    /// Its gradient, f32.
    pub gradient: &'a mut B::Buffer,
    /// Elements of both.
    pub len: usize,
}

impl<B: Backend> Model<B> {
    /// Reads every parameter from `source` and lays it out on the device.
    pub fn build(
        backend: &B,
        config: ModelConfig,
        source: &mut dyn ParameterSource,
        options: BuildOptions,
    ) -> Result<Model<B>, ModelError> {
        let frozen = options.freezing.frozen_layers(&config)?;
        let trains = options.freezing != Freezing::All;
        if config.task != Task::Classification && options.freezing.trains(Group::Embeddings) != trains {
            return Err(ModelError::FrozenEmbeddings);
        }
        let mut loader = Loader { backend, source, dtype: options.dtype };
        let embeddings = loader.embeddings(&config, options.freezing == Freezing::Nothing)?;
        let layers = (0..config.layers)
            .map(|layer| loader.layer(&config, layer, trains && layer >= frozen, config.goes_on_with_first_rows(layer)))
            .collect::<Result<Vec<_>, _>>()?;
        let head = loader.head(&config, trains)?;
        Ok(Model { config, embeddings, layers, head, freezing: options.freezing, dtype: options.dtype })
    }

    /// The numbers that define the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The storage type of activations.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Layers below the trained part; they and the embeddings are the *trunk*.
    pub fn trunk_layers(&self) -> usize {
        match self.freezing {
            Freezing::All | Freezing::Nothing => 0,
            Freezing::Layers(layers) => layers,
        }
    }

    /// Whether the embeddings (and with them `trunk_layers`) are frozen while the rest is trained.
    pub fn has_frozen_trunk(&self) -> bool {
        matches!(self.freezing, Freezing::Layers(_))
    }

    /// Rows that the trunk gives for a micro-batch: one a token, or one a sequence when all layers are in it.
    pub fn trunk_rows(&self, tokens: usize, sequences: usize) -> usize {
        if self.trunk_layers() == self.config.layers { sequences } else { tokens }
    }

    /// Every trained parameter with its gradient, from the input to the output; always in the same order.
    pub fn trainable(&mut self) -> Vec<TrainableMut<'_, B>> {
        let mut vectors = Vec::new();
        self.embeddings.vectors(&mut vectors);
        self.layers.iter_mut().for_each(|layer| layer.vectors(&mut vectors));
        self.head.vectors(&mut vectors);
        let trained = vectors.into_iter().filter(|vector| vector.gradient.is_some());
        trained.map(Vector::trainable).collect()
    }

    /// Sets every gradient to zero.
    pub fn zero_gradients(&mut self, backend: &B) {
        for trainable in self.trainable() {
            backend.fill_zero(trainable.gradient, trainable.len);
        }
    }

    /// Lays out anew every matrix that has a master copy: after an optimizer step.
    pub fn refresh(&mut self, backend: &B) {
        for linear in self.layers.iter_mut().flat_map(Layer::linears).chain(self.head.linears()) {
            if let Some(master) = &linear.master {
                backend.refresh_weight(&mut linear.packed, &master.values);
            }
        }
        if let Head::MaskedLanguage(head) = &mut self.head {
            head.decoder.refresh(backend, &self.embeddings.word);
        }
    }

    /// Replaces the values of every trained parameter by those of `source`.
    pub fn import_trained(&mut self, backend: &B, source: &mut dyn ParameterSource) -> Result<(), ModelError> {
        for trainable in self.trainable() {
            let mut offset = 0;
            for spec in trainable.specs {
                let values = source.values(spec)?;
                backend.write(trainable.values, offset, &values);
                offset += spec.len();
            }
        }
        self.refresh(backend);
        Ok(())
    }

    /// Plans the memory for micro-batches of at most `tokens` tokens and `sequences` sequences.
    pub fn workspace(&self, backend: &B, tokens: usize, sequences: usize) -> Result<Workspace<B>, ModelError> {
        let capacity = Capacity { tokens, sequences };
        let trained_layers = match self.freezing {
            Freezing::All => 0,
            _ => self.config.layers - self.trunk_layers(),
        };
        let rows = || backend.activations(self.dtype, tokens.max(sequences), self.config.hidden);
        let layer = |first_row, training| {
            LayerActivations::plan(backend, &self.config, self.dtype, capacity, first_row, training)
        };
        let trained = (self.config.layers - trained_layers..self.config.layers)
            .map(|index| layer(Some(self.config.goes_on_with_first_rows(index)), true))
            .collect::<Result<Vec<_>, _>>()?;
        let trains = self.freezing != Freezing::All;
        Ok(Workspace {
            placed: Placed::plan(backend, capacity)?,
            capacity,
            embedding: EmbeddingActivations {
                sum: backend.activations(self.dtype, tokens, self.config.hidden)?,
                statistics: match self.freezing {
                    Freezing::Nothing => Some(backend.buffer(DType::F32, tokens * 2)?),
                    _ => None,
                },
            },
            hidden: (0..trained_layers + 1).map(|_| rows()).collect::<Result<_, _>>()?,
            spare: rows()?,
            inference: layer(None, false)?,
            trained,
            head: HeadActivations::plan(backend, &self.config, sequences)?,
            masked: match self.config.task {
                Task::Classification => None,
                Task::MaskedLanguage { .. } => {
                    Some(MaskedLanguageSpace::plan(backend, &self.config, self.dtype, tokens, trains)?)
                }
            },
            gradients: match trains {
                true => Some(Gradients::plan(backend, &self.config, self.dtype, capacity)?),
                false => None,
            },
        })
    }
}

impl Freezing {
    fn frozen_layers(self, config: &ModelConfig) -> Result<usize, ModelError> {
        match self {
            Freezing::All | Freezing::Nothing => Ok(0),
            Freezing::Layers(asked) if asked > config.layers => {
                Err(ModelError::Freezing { asked, layers: config.layers })
            }
            Freezing::Layers(layers) => Ok(layers),
        }
    }

    /// Whether parameters of `group` are trained.
    pub fn trains(self, group: Group) -> bool {
        match (self, group) {
            (Freezing::All, _) => false,
            (Freezing::Nothing, _) | (_, Group::Head) => true,
            (Freezing::Layers(_), Group::Embeddings) => false,
            (Freezing::Layers(frozen), Group::Layer(layer)) => layer >= frozen,
        }
    }
}

/// The memory of a step. Made once, used for every step; nothing is allocated in between.
pub struct Workspace<B: Backend> {
    pub(crate) placed: Placed<B>,
    pub(crate) capacity: Capacity,
    pub(crate) embedding: EmbeddingActivations<B>,
    /// The trunk's output, then each trained layer's.
    pub(crate) hidden: Vec<B::Buffer>,
    /// Changes places with `hidden` in inference.
    pub(crate) spare: B::Buffer,
    pub(crate) inference: LayerActivations<B>,
    pub(crate) trained: Vec<LayerActivations<B>>,
    pub(crate) head: HeadActivations<B>,
    pub(crate) masked: Option<MaskedLanguageSpace<B>>,
    pub(crate) gradients: Option<Gradients<B>>,
}

impl<B: Backend> Workspace<B> {
    /// Tokens that a micro-batch may have.
    pub fn tokens(&self) -> usize {
        self.capacity.tokens
    }

    /// Sequences that a micro-batch may have.
    pub fn sequences(&self) -> usize {
        self.capacity.sequences
    }

    /// How many sequences of these lengths, from the first on, make a micro-batch: as many as fit, and at least 1.
    pub fn run_length(&self, lengths: impl IntoIterator<Item = usize>) -> usize {
        let mut tokens = 0;
        let fits = |&length: &usize| {
            tokens += length;
            tokens <= self.capacity.tokens
        };
        lengths.into_iter().take(self.capacity.sequences).take_while(fits).count().max(1)
    }
}

/// The indices of the current micro-batch on the device.
pub(crate) struct Placed<B: Backend> {
    pub(crate) ids: B::Indices,
    pub(crate) positions: B::Indices,
    pub(crate) types: B::Indices,
    pub(crate) sequences: B::Sequences,
    /// The first row of each sequence.
    pub(crate) first_rows: B::Indices,
    /// `0..count`.
    pub(crate) every_sequence: B::Indices,
    pub(crate) tokens: usize,
    pub(crate) count: usize,
}

impl<B: Backend> Placed<B> {
    fn plan(backend: &B, capacity: Capacity) -> Result<Placed<B>, ModelError> {
        Ok(Placed {
            ids: backend.indices(capacity.tokens)?,
            positions: backend.indices(capacity.tokens)?,
            types: backend.indices(capacity.tokens)?,
            sequences: backend.sequences(capacity.sequences)?,
            first_rows: backend.indices(capacity.sequences)?,
            every_sequence: backend.indices(capacity.sequences)?,
            tokens: 0,
            count: 0,
        })
    }
}

impl<B: Backend> Embeddings<B> {
    fn vectors<'a>(&'a mut self, all: &mut Vec<&'a mut Vector<B>>) {
        all.extend([&mut self.word, &mut self.position]);
        all.extend(&mut self.token_type);
        all.extend(self.norm.vectors());
    }
}

impl<B: Backend> LayerNorm<B> {
    pub(crate) fn vectors(&mut self) -> [&mut Vector<B>; 2] {
        [&mut self.weight, &mut self.bias]
    }
}

impl<B: Backend> Linear<B> {
    pub(crate) fn vectors(&mut self) -> impl Iterator<Item = &mut Vector<B>> {
        self.master.iter_mut().chain([&mut self.bias])
    }
}

impl<B: Backend> Head<B> {
    fn linears(&mut self) -> impl Iterator<Item = &mut Linear<B>> {
        let (first, second) = match self {
            Head::Classification(head) => (&mut head.dense, Some(&mut head.output)),
            Head::MaskedLanguage(head) => (&mut head.dense, None),
        };
        [first].into_iter().chain(second)
    }

    fn vectors<'a>(&'a mut self, all: &mut Vec<&'a mut Vector<B>>) {
        match self {
            Head::Classification(head) => {
                all.extend([&mut head.dense, &mut head.output].into_iter().flat_map(Linear::vectors));
            }
            Head::MaskedLanguage(head) => head.vectors(all),
        }
    }
}

impl<B: Backend> Projections<B> {
    fn linears(&mut self) -> impl Iterator<Item = &mut Linear<B>> {
        let (first, second) = match self {
            Projections::Fused(linear) => (linear, None),
            Projections::FirstRow { query, key_value } => (query, Some(key_value)),
        };
        [first].into_iter().chain(second)
    }
}

impl<B: Backend> Layer<B> {
    fn linears(&mut self) -> impl Iterator<Item = &mut Linear<B>> {
        let others = [&mut self.attention_output, &mut self.intermediate, &mut self.output];
        self.projections.linears().chain(others)
    }

    fn vectors<'a>(&'a mut self, all: &mut Vec<&'a mut Vector<B>>) {
        all.extend(self.projections.linears().flat_map(Linear::vectors));
        all.extend(self.attention_output.vectors());
        all.extend(self.attention_norm.vectors());
        all.extend(self.intermediate.vectors());
        all.extend(self.output.vectors());
        all.extend(self.output_norm.vectors());
    }
}
