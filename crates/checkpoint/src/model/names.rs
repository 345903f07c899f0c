//! Our parameter names and those in checkpoints of each family, with the spellings of old and wrapped files.

use std::borrow::Cow;
use std::collections::HashMap;

use serin_model::{Family, ParameterSpec};

use crate::CheckpointError;
use crate::tensors::WeightFiles;

/// DistilBERT's names inside a layer.
const DISTILBERT_LAYER: [(&str, &str); 8] = [
    ("attention.self.query.", "attention.q_lin."),
    ("attention.self.key.", "attention.k_lin."),
    ("attention.self.value.", "attention.v_lin."),
    ("attention.output.dense.", "attention.out_lin."),
    ("attention.output.LayerNorm.", "sa_layer_norm."),
    ("intermediate.dense.", "ffn.lin1."),
    ("output.dense.", "ffn.lin2."),
    ("output.LayerNorm.", "output_layer_norm."),
];

/// The attribute of the classifier that holds the encoder, and so the prefix of the encoder's tensors.
pub(super) const fn base_prefix(family: Family) -> &'static str {
    match family {
        Family::Roberta | Family::XlmRoberta | Family::Camembert => "roberta.",
        Family::Bert => "bert.",
        Family::DistilBert => "distilbert.",
    }
}

/// The name under which `transformers` stores a parameter of ours
/// ([`ModelConfig::parameters`](serin_model::ModelConfig::parameters)).
pub fn file_name(family: Family, parameter: &str) -> String {
    if let Some(part) = parameter.strip_prefix("head.dense.") {
        return match family {
            Family::Bert => format!("bert.pooler.dense.{part}"),
            Family::DistilBert => format!("pre_classifier.{part}"),
            _ => format!("classifier.dense.{part}"),
        };
    }
    if let Some(part) = parameter.strip_prefix("head.output.") {
        return match family {
            Family::Bert | Family::DistilBert => format!("classifier.{part}"),
            _ => format!("classifier.out_proj.{part}"),
        };
    }
    if let Some(part) = parameter.strip_prefix("lm_head.") {
        return masked_language_name(family, part);
    }
    let name = match family {
        Family::DistilBert => Cow::Owned(distilbert_name(parameter)),
        _ => Cow::Borrowed(parameter),
    };
    format!("{}{name}", base_prefix(family))
}

/// Of a head that predicts masked tokens: `part` is what follows `lm_head.` in our name.
fn masked_language_name(family: Family, part: &str) -> String {
    let (layer, kind) = part.split_once('.').unwrap_or(("decoder", part));
    match (family, layer) {
        (Family::Bert, "norm") => format!("cls.predictions.transform.LayerNorm.{kind}"),
        (Family::Bert, "dense") => format!("cls.predictions.transform.dense.{kind}"),
        (Family::Bert, _) => format!("cls.predictions.{part}"),
        (Family::DistilBert, "norm") => format!("vocab_layer_norm.{kind}"),
        (Family::DistilBert, "dense") => format!("vocab_transform.{kind}"),
        (Family::DistilBert, _) => format!("vocab_projector.{kind}"),
        (_, "norm") => format!("lm_head.layer_norm.{kind}"),
        (_, _) => format!("lm_head.{part}"),
    }
}

/// The decoder's bias is two parameters in `transformers`: the head's own and that of the decoder, which are the same one
/// unless the decoder is untied. Some versions stored both, some only the other.
fn second_name(family: Family, parameter: &str) -> Option<&'static str> {
    match (family, parameter) {
        (Family::Bert, "lm_head.bias") => Some("cls.predictions.decoder.bias"),
        (Family::Bert, "lm_head.decoder.bias") => Some("cls.predictions.bias"),
        (Family::Roberta | Family::XlmRoberta | Family::Camembert, "lm_head.bias") => Some("lm_head.decoder.bias"),
        (Family::Roberta | Family::XlmRoberta | Family::Camembert, "lm_head.decoder.bias") => Some("lm_head.bias"),
        _ => None,
    }
}

fn distilbert_name(parameter: &str) -> String {
    let Some((layer, part)) = parameter.strip_prefix("encoder.layer.").and_then(|rest| rest.split_once('.')) else {
        return parameter.to_owned();
    };
    let renamed = DISTILBERT_LAYER.iter().find_map(|(ours, theirs)| Some((theirs, part.strip_prefix(ours)?)));
    match renamed {
        Some((theirs, end)) => format!("transformer.layer.{layer}.{theirs}{end}"),
        None => parameter.to_owned(),
    }
}

/// A tensor's name without what wrappers put before it, and with today's names for γ and β.
///
/// `module.` is left by `torch.nn.DataParallel`, `model.` by PyTorch Lightning; TensorFlow's gamma and beta live on in
/// checkpoints converted before 2019.
pub(super) fn plain_name(name: &str) -> Cow<'_, str> {
    let mut rest = name;
    while let Some(inner) = rest.strip_prefix("module.").or_else(|| rest.strip_prefix("model.")) {
        rest = inner;
    }
    if let Some(norm) = rest.strip_suffix("LayerNorm.gamma") {
        return Cow::Owned(format!("{norm}LayerNorm.weight"));
    }
    match rest.strip_suffix("LayerNorm.beta") {
        Some(norm) => Cow::Owned(format!("{norm}LayerNorm.bias")),
        None => Cow::Borrowed(rest),
    }
}

/// Which tensor holds which parameter, and the tensors that hold none, in the order of the files.
pub(super) struct Located {
    /// Our name to the tensor's name in the file.
    pub(super) tensors: HashMap<String, String>,
    pub(super) unused: Vec<String>,
}

/// Finds the tensors of `specs`, under their own names or, for a bare encoder, without its prefix.
pub(super) fn locate(
    family: Family,
    specs: &[ParameterSpec],
    weights: &WeightFiles,
) -> Result<Located, CheckpointError> {
    let prefix = base_prefix(family);
    let mut accepted: HashMap<String, &str> = HashMap::new();
    for spec in specs {
        let name = file_name(family, &spec.name);
        if let Some(bare) = name.strip_prefix(prefix) {
            accepted.insert(bare.to_owned(), &spec.name);
        }
        accepted.insert(name, &spec.name);
    }
    let mut located = Located { tensors: HashMap::new(), unused: Vec::new() };
    for view in weights.views() {
        let Some(&parameter) = accepted.get(plain_name(view.name).as_ref()) else {
            located.unused.push(view.name.to_owned());
            continue;
        };
        if let Some(other) = located.tensors.insert(parameter.to_owned(), view.name.to_owned()) {
            let reason = format!("stands for the same parameter as '{other}': which one is meant?");
            return Err(CheckpointError::tensor(view.path, view.name, reason));
        }
    }
    for spec in specs {
        let second = second_name(family, &spec.name).filter(|_| !located.tensors.contains_key(&spec.name));
        let index = second.and_then(|second| located.unused.iter().position(|name| plain_name(name) == second));
        if let Some(index) = index {
            located.tensors.insert(spec.name.clone(), located.unused.remove(index));
        }
    }
    Ok(located)
}

/// Whether a label is a placeholder for its id: `LABEL_2`, or the number itself.
pub(super) fn is_generic_label(id: usize, label: &str) -> bool {
    let number = label.get(..6).filter(|start| start.eq_ignore_ascii_case("LABEL_")).map_or(label, |_| &label[6..]);
    number.parse() == Ok(id)
}
