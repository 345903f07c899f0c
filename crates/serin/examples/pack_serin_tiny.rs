//! Makes the folder that ships inside: a classifier and the masked-language head of the encoder it was made from, in bf16.
//!
//! ```text
//! cargo run --release --example pack_serin_tiny -- CLASSIFIER ENCODER CARD OUT
//! ```
//!
//! `scripts/serin-tiny.sh` calls it. Both heads stand on the classifier's encoder: the file opens as
//! `RobertaForSequenceClassification` and as `RobertaForMaskedLM`.

use half::bf16;
use serin_checkpoint::save::{TensorToSave, replace_dir_atomic, write_safetensors};
use serin_checkpoint::tensors::read_f32;
use serin_checkpoint::{Dtype, TensorView, WeightFiles};
use std::borrow::Cow;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that are taken as they are.
const COPIED: [&str; 4] = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "serin.json"];

struct Rounded<'a>(TensorView<'a>);

impl TensorToSave for Rounded<'_> {
    fn name(&self) -> &str {
        self.0.name
    }

    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        let values = read_f32(&self.0).unwrap_or_default();
        Cow::Owned(values.into_iter().flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [classifier, encoder, card, out] = paths.as_slice() else {
        return Err(
            "four arguments: the classifier's folder, the encoder's folder, the model card, the folder to make".into(),
        );
    };
    let (labelled, pretrained) = (WeightFiles::open(classifier)?, WeightFiles::open(encoder)?);
    let heads = pretrained.views().filter(|view| view.name.starts_with("lm_head."));
    let tensors: Vec<Rounded<'_>> = labelled.views().chain(heads).map(Rounded).collect();
    let config = config(&classifier.join("config.json"))?;
    replace_dir_atomic(out, |staging| -> Result<(), Box<dyn Error>> {
        write_safetensors(&staging.join("model.safetensors"), &tensors)?;
        for name in COPIED {
            fs::copy(classifier.join(name), staging.join(name))?;
        }
        fs::copy(card, staging.join("README.md"))?;
        Ok(fs::write(staging.join("config.json"), &config)?)
    })?;
    Ok(())
}

/// The classifier's, with the type that its weights now have.
fn config(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    config["torch_dtype"] = "bfloat16".into();
    Ok(serde_json::to_vec_pretty(&config)?)
}
