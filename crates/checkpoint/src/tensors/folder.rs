//! Which files of a model folder hold its weights, and what a shard index promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::WeightFiles;
use super::mapped_file::refuse_disguises;
use crate::{CheckpointError, Hint};

/// An index lists a name and a file per tensor; a million tensors stay below this.
const MAX_INDEX_BYTES: u64 = 256 << 20;
/// File names listed in an error.
const LISTED_FILES: usize = 12;

pub(super) enum Found {
    File(PathBuf),
    Shards(Shards),
}

/// The shards of an index file.
pub(super) struct Shards {
    index: PathBuf,
    /// Tensor name and the shard that should hold it.
    promised: Vec<(String, PathBuf)>,
    /// Each shard once, by name.
    pub(super) files: BTreeSet<PathBuf>,
}

/// Finds the weights of a folder in the order that `transformers` looks for them.
pub(super) fn find(folder: &Path) -> Result<Found, CheckpointError> {
    let entries = list(folder)?;
    for (name, sharded) in [
        ("model.safetensors", false),
        ("model.safetensors.index.json", true),
        ("pytorch_model.bin", false),
        ("pytorch_model.bin.index.json", true),
    ] {
        let path = folder.join(name);
        // A dangling link is an error of its own, not an absent file.
        if path.symlink_metadata().is_ok() {
            return if sharded { read_index(folder, path).map(Found::Shards) } else { Ok(Found::File(path)) };
        }
    }
    Err(no_weights(folder, &entries))
}

fn list(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let describe = |error| CheckpointError::io(folder, "open the model folder", error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(describe)? {
        names.push(entry.map_err(describe)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn no_weights(folder: &Path, entries: &[String]) -> CheckpointError {
    let has = |suffix: &str| entries.iter().any(|name| name.ends_with(suffix));
    let hint = if has("adapter_model.safetensors") || has("adapter_model.bin") {
        "this is a PEFT adapter: merge it into its base model (merge_and_unload) and save that".into()
    } else if has(".h5") || has(".msgpack") || has(".onnx") || has(".gguf") {
        "TensorFlow, Flax, ONNX and GGUF weights are not read: save the model as safetensors with transformers".into()
    } else if has(".safetensors") || has(".bin") {
        "name the weight file itself, or rename it to model.safetensors".into()
    } else {
        Hint::NONE
    };
    let mut found = entries.iter().take(LISTED_FILES).cloned().collect::<Vec<_>>().join(", ");
    match entries.len() {
        0 => found.push_str("nothing"),
        count if count > LISTED_FILES => found.push_str(&format!(" and {} more", count - LISTED_FILES)),
        _ => {}
    }
    CheckpointError::NoWeights { folder: folder.to_owned(), found, hint }
}

fn read_index(folder: &Path, index: PathBuf) -> Result<Shards, CheckpointError> {
    let describe = |error| CheckpointError::io(&index, "read the shard index", error);
    if fs::metadata(&index).map_err(describe)?.len() > MAX_INDEX_BYTES {
        return Err(CheckpointError::format(&index, "is too large for a shard index", Hint::NONE));
    }
    let text = fs::read(&index).map_err(describe)?;
    refuse_disguises(&index, &text)?;
    let json: Value = serde_json::from_slice(&text)
        .map_err(|error| CheckpointError::format(&index, format!("is not valid JSON: {error}"), Hint::NONE))?;
    let weight_map = json
        .get("weight_map")
        .and_then(Value::as_object)
        .filter(|map| !map.is_empty())
        .ok_or_else(|| field_error(&index, "weight_map", "must map tensor names to file names"))?;
    let promised = read_weight_map(folder, &index, weight_map)?;
    let files = promised.iter().map(|(_, file)| file.clone()).collect();
    Ok(Shards { index, promised, files })
}

fn read_weight_map(
    folder: &Path,
    index: &Path,
    weight_map: &Map<String, Value>,
) -> Result<Vec<(String, PathBuf)>, CheckpointError> {
    let mut promised = Vec::with_capacity(weight_map.len());
    for (tensor, file) in weight_map {
        let field = || format!("weight_map.{tensor}");
        let file = file.as_str().ok_or_else(|| field_error(index, &field(), "must be a file name"))?;
        let inside = !file.is_empty() && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(field_error(index, &field(), &format!("'{file}' leaves the model folder: refused")));
        }
        promised.push((tensor.clone(), folder.join(file)));
    }
    Ok(promised)
}

fn field_error(path: &Path, field: &str, reason: &str) -> CheckpointError {
    CheckpointError::Field {
        path: path.to_owned(),
        field: field.to_owned(),
        reason: reason.to_owned(),
        hint: Hint::NONE,
    }
}

impl Shards {
    /// Checks that every tensor of the index is in the shard that the index names.
    pub(super) fn check_promises(&self, weights: &WeightFiles) -> Result<(), CheckpointError> {
        for (tensor, file) in &self.promised {
            if weights.file_of(tensor).as_ref() != Some(file) {
                let reason = format!("is promised in {} but is not there", file.display());
                return Err(CheckpointError::tensor(&self.index, tensor, reason));
            }
        }
        Ok(())
    }
}
