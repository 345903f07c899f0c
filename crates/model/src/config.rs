//! The numbers that define an encoder and its head, whatever the family calls them.

use serde_json::{Map, Value};
use serin_ops::{Activation, AttentionShape};

/// The architectures: all are post-layer-norm encoders and differ in names, positions and heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// RoBERTa (Liu et al. 2019).
    Roberta,
    /// XLM-RoBERTa (Conneau et al. 2020).
    XlmRoberta,
    /// CamemBERT (Martin et al. 2020).
    Camembert,
    /// BERT (Devlin et al. 2019).
    Bert,
    /// DistilBERT (Sanh et al. 2019).
    DistilBert,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 5] =
        [Family::Roberta, Family::XlmRoberta, Family::Camembert, Family::Bert, Family::DistilBert];

    /// `model_type` in `config.json`.
    pub const fn model_type(self) -> &'static str {
        match self {
            Family::Roberta => "roberta",
            Family::XlmRoberta => "xlm-roberta",
            Family::Camembert => "camembert",
            Family::Bert => "bert",
            Family::DistilBert => "distilbert",
        }
    }

    /// The class in `transformers` that has this encoder and the head of `task`.
    pub fn architecture(self, task: Task) -> String {
        let encoder = match self {
            Family::Roberta => "Roberta",
            Family::XlmRoberta => "XLMRoberta",
            Family::Camembert => "Camembert",
            Family::Bert => "Bert",
            Family::DistilBert => "DistilBert",
        };
        let head = match task {
            Task::Classification => "SequenceClassification",
            Task::MaskedLanguage { .. } => "MaskedLM",
        };
        format!("{encoder}For{head}")
    }

    /// Whether position ids start after the padding id, as fairseq's models count them.
    pub const fn positions_follow_padding(self) -> bool {
        matches!(self, Family::Roberta | Family::XlmRoberta | Family::Camembert)
    }
}

/// What stands on the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Labels or a number for a text, from its first token.
    Classification,
    /// The token behind a mask: a transform, and a decoder over the vocabulary.
    MaskedLanguage {
        /// Whether the decoder's matrix is the word embedding.
        tied: bool,
    },
}

/// How logits become predictions and which loss trains them; HF's `problem_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// One label a text: softmax, cross-entropy.
    SingleLabelClassification,
    /// Any number of labels a text: sigmoid, binary cross-entropy.
    MultiLabelClassification,
    /// Real numbers: the logits themselves, mean squared error.
    Regression,
}

impl ProblemType {
    /// The value in `config.json`.
    pub const fn hugging_face_name(self) -> &'static str {
        match self {
            ProblemType::SingleLabelClassification => "single_label_classification",
            ProblemType::MultiLabelClassification => "multi_label_classification",
            ProblemType::Regression => "regression",
        }
    }
}

/// An encoder and its head. `raw` keeps every key of the file it came from, so that nothing is lost on the way out.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The architecture.
    pub family: Family,
    /// What stands on it; a classifier's head unless [`ModelConfig::for_masked_language`] was called.
    pub task: Task,
    /// Rows of the word embedding.
    pub vocab: usize,
    /// Width of a token's vector.
    pub hidden: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Attention heads; they divide `hidden`.
    pub heads: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// The feed-forward block's activation.
    pub activation: Activation,
    /// Dropout after the embeddings and in each block.
    pub hidden_dropout: f32,
    /// Dropout on attention probabilities.
    pub attention_dropout: f32,
    /// Dropout in the head.
    pub classifier_dropout: f32,
    /// Rows of the position table.
    pub max_positions: usize,
    /// Rows of the token type table; 0 without one.
    pub token_types: usize,
    /// ε of every layer norm.
    pub layer_norm_epsilon: f32,
    /// The padding token.
    pub pad_token: u32,
    /// Standard deviation of fresh weights.
    pub initializer_range: f32,
    /// Label names by id.
    pub labels: Vec<String>,
    /// What the file says; `None` where it says nothing.
    pub problem_type: Option<ProblemType>,
    /// The whole file.
    pub raw: Map<String, Value>,
}

impl ModelConfig {
    /// The shape of attention.
    pub fn attention_shape(&self) -> AttentionShape {
        AttentionShape { heads: self.heads, head_dim: self.hidden / self.heads }
    }

    /// The position id of a sequence's first token.
    pub fn first_position(&self) -> usize {
        if self.family.positions_follow_padding() { self.pad_token as usize + 1 } else { 0 }
    }

    /// Whether a layer gives one row a sequence: all that a classification head reads of the last.
    pub(crate) fn goes_on_with_first_rows(&self, layer: usize) -> bool {
        self.task == Task::Classification && layer + 1 == self.layers
    }

    /// Tokens that a sequence may have, special tokens included: 512 for RoBERTa's 514 positions.
    pub fn max_length(&self) -> usize {
        self.max_positions - self.first_position()
    }

    /// The problem type, decided as `transformers` does where the file is silent: one label is a regression.
    pub fn problem_type(&self) -> ProblemType {
        self.problem_type.unwrap_or(if self.labels.len() == 1 {
            ProblemType::Regression
        } else {
            ProblemType::SingleLabelClassification
        })
    }

    /// The same encoder with the head that masked language modelling trains. The decoder is tied to the word embedding unless
    /// the file says `"tie_word_embeddings": false`.
    pub fn for_masked_language(mut self) -> ModelConfig {
        let tied = self.raw.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(true);
        self.task = Task::MaskedLanguage { tied };
        self
    }

    /// Replaces labels and problem type, in the fields and in `raw`.
    pub fn set_labels(&mut self, labels: Vec<String>, problem_type: ProblemType) {
        let by_id = labels.iter().enumerate().map(|(id, label)| (id.to_string(), Value::from(label.as_str())));
        self.raw.insert("id2label".into(), Value::Object(by_id.collect()));
        let by_name = labels.iter().enumerate().map(|(id, label)| (label.clone(), Value::from(id)));
        self.raw.insert("label2id".into(), Value::Object(by_name.collect()));
        self.raw.insert("problem_type".into(), problem_type.hugging_face_name().into());
        self.raw.shift_remove("num_labels");
        self.labels = labels;
        self.problem_type = Some(problem_type);
    }

    /// Sets the dropout probabilities of the encoder, in the fields and in `raw` under the family's names.
    pub fn set_dropout(&mut self, hidden: Option<f32>, attention: Option<f32>, classifier: Option<f32>) {
        let distil = self.family == Family::DistilBert;
        let mut set = |field: &mut f32, key: &str, value: Option<f32>| {
            if let Some(value) = value {
                *field = value;
                self.raw.insert(key.into(), json_number(value));
            }
        };
        set(&mut self.hidden_dropout, if distil { "dropout" } else { "hidden_dropout_prob" }, hidden);
        let attention_key = if distil { "attention_dropout" } else { "attention_probs_dropout_prob" };
        set(&mut self.attention_dropout, attention_key, attention);
        set(
            &mut self.classifier_dropout,
            if distil { "seq_classif_dropout" } else { "classifier_dropout" },
            classifier,
        );
    }

    /// The file to write: `raw` with this architecture's name and the type that weights are stored in.
    pub fn to_json(&self, weights_dtype: &str) -> Value {
        let mut map = self.raw.clone();
        map.insert("architectures".into(), Value::from(vec![self.family.architecture(self.task)]));
        map.insert("model_type".into(), self.family.model_type().into());
        // transformers 5 writes `dtype`, 4 wrote `torch_dtype`: both read both.
        let key = if map.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        map.insert(key.into(), weights_dtype.into());
        Value::Object(map)
    }
}

/// The shortest decimal that is this f32: 0.1 and not 0.10000000149.
fn json_number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}
