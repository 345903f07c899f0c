//! Model folders out: the same bits as came in, the same names, and nothing half-written.

#[path = "support/golden/mod.rs"]
mod golden;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use golden::{Case, Precision, Run, cases, models};
use serin_checkpoint::model::{FolderContents, LoadedFolder, ModelParameters, save_model_folder, write_model_files};
use serin_checkpoint::{CheckpointError, Dtype, WeightFiles};
use serin_model::{Freezing, Initializer, ModelConfig, ModelError, ParameterSource, ParameterSpec};
use serin_ops::reference::Reference;
use serin_tensor::DType;

fn no_tokenizer(_: &Path) -> Result<(), Infallible> {
    Ok(())
}

fn save(folder: &Path, config: &ModelConfig, dtype: DType, parameters: &mut dyn ParameterSource) {
    let contents = FolderContents { config, dtype, parameters, extra_files: &[] };
    save_model_folder(folder, contents, no_tokenizer).unwrap();
}

type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn stored(folder: &Path) -> Stored {
    let weights = WeightFiles::open(folder).unwrap();
    weights.views().map(|view| (view.name.to_owned(), (view.dtype, view.shape, view.data.to_vec()))).collect()
}

#[test]
fn what_was_loaded_is_saved_bit_for_bit_under_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let variants = ["bf16", "fp16", "plain"].map(|name| models().join("variants").join(name));
    for (path, dtype) in
        cases().into_iter().zip([DType::F32; 12]).chain(variants.into_iter().zip([DType::BF16, DType::F16, DType::F32]))
    {
        let loaded = LoadedFolder::open(&path).unwrap();
        save(&target, loaded.config(), dtype, &mut loaded.source(0));
        assert_eq!(stored(&target), stored(&path), "{}", path.display());
        let config = |folder: &Path| -> serde_json::Value {
            serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap()
        };
        assert_eq!(config(&target), config(&path));
    }
}

#[test]
fn sixteen_bits_round_to_nearest_and_are_named_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let loaded = LoadedFolder::open(&models().join("variants/plain")).unwrap();
    save(&target, loaded.config(), DType::BF16, &mut loaded.source(0));
    // PyTorch rounded the same weights.
    assert_eq!(stored(&target), stored(&models().join("variants/bf16")));
    assert_eq!(LoadedFolder::open(&target).unwrap().config().raw["dtype"], "bfloat16");
}

#[test]
fn old_names_are_saved_as_todays() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    for (name, expected) in
        [("module_prefix", "roberta.embeddings.LayerNorm.weight"), ("gamma_beta", "bert.embeddings.LayerNorm.weight")]
    {
        let loaded = LoadedFolder::open(&models().join("variants").join(name)).unwrap();
        save(&target, loaded.config(), DType::F32, &mut loaded.source(0));
        assert!(stored(&target).contains_key(expected), "{name}");
        assert!(LoadedFolder::open(&target).unwrap().report().unused_tensors.is_empty());
    }
}

#[test]
fn trained_parameters_are_saved_and_frozen_ones_copied() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let backend = Reference::<f32>::new();
    let path = models().join("roberta_frozen");
    let case = Case::open(&path, Precision::SINGLE);
    assert_eq!(case.freezing(), Freezing::Layers(2));
    let mut run = Run::new(&case, &backend);
    for trainable in run.model.trainable() {
        trainable.values.values.iter_mut().for_each(|value| *value += 1.0);
    }
    let mut frozen = case.folder.source(0);
    let mut parameters = ModelParameters { model: &mut run.model, backend: &backend, frozen: &mut frozen };
    save(&target, case.config(), DType::F32, &mut parameters);
    let (before, after) = (stored(&path), stored(&target));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, (_, _, bytes)) in &after {
        let trained = name.starts_with("classifier.") || name.starts_with("roberta.encoder.layer.2.");
        let values = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect()
        };
        let by = if trained { 1.0 } else { 0.0 };
        let expected: Vec<f32> = values(&before[name].2).iter().map(|value| value + by).collect();
        assert_eq!(values(bytes), expected, "{name}");
    }
}

/// The best weights of a run are read back into the model that went on training.
#[test]
fn saved_weights_come_back_into_a_model_that_moved_on() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("best");
    let backend = Reference::<f32>::new();
    let case = Case::open(&models().join("roberta_frozen"), Precision::SINGLE);
    let mut run = Run::new(&case, &backend);
    let (batch, targets) = case.batch("");
    let (best, _) = run.pass(&batch, &targets);
    let mut frozen = case.folder.source(0);
    let mut parameters = ModelParameters { model: &mut run.model, backend: &backend, frozen: &mut frozen };
    save(&target, case.config(), DType::F32, &mut parameters);
    run.step(1, [1e-2, 1e-2], 1.0, false);
    assert_ne!(run.pass(&batch, &targets).0, best);
    run.model.import_trained(&backend, &mut LoadedFolder::open(&target).unwrap().source(0)).unwrap();
    assert_eq!(run.pass(&batch, &targets).0, best);
}

#[test]
fn fresh_weights_can_be_saved_without_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let config = LoadedFolder::open(&models().join("distilbert")).unwrap().config().clone();
    save(&target, &config, DType::F32, &mut Initializer { seed: 3, range: 0.02 });
    let loaded = LoadedFolder::open(&target).unwrap();
    assert!(loaded.has_trained_head());
    for spec in config.parameters() {
        let expected = Initializer { seed: 3, range: 0.02 }.values(&spec).unwrap();
        assert_eq!(loaded.source(9).values(&spec).unwrap(), expected);
    }
}

#[test]
fn tokenizer_and_further_files_are_part_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let loaded = LoadedFolder::open(&models().join("variants/plain")).unwrap();
    let mut source = loaded.source(0);
    let contents = FolderContents {
        config: loaded.config(),
        dtype: DType::F32,
        parameters: &mut source,
        extra_files: &[("README.md", b"# A model\n"), ("serin.json", b"{\"max_length\": 40}")],
    };
    save_model_folder(&target, contents, |staging| fs::write(staging.join("vocab.json"), "{}")).unwrap();
    let mut names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["README.md", "config.json", "model.safetensors", "serin.json", "vocab.json"]);
    assert_eq!(LoadedFolder::open(&target).unwrap().recorded_text().unwrap().max_length, Some(40));
}

#[test]
fn a_failure_leaves_the_old_folder() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let loaded = LoadedFolder::open(&models().join("variants/plain")).unwrap();
    save(&target, loaded.config(), DType::F32, &mut loaded.source(0));
    let before = stored(&target);

    let mut source = loaded.source(0);
    let contents =
        FolderContents { config: loaded.config(), dtype: DType::F32, parameters: &mut source, extra_files: &[] };
    let error = save_model_folder(&target, contents, |_| Err("no vocabulary")).unwrap_err().to_string();
    assert!(error.contains("tokenizer: no vocabulary"), "{error}");

    let poisoned = LoadedFolder::open(&models().join("variants/fail_nan")).unwrap();
    let mut source = poisoned.source(0);
    let contents =
        FolderContents { config: poisoned.config(), dtype: DType::F32, parameters: &mut source, extra_files: &[] };
    let error = save_model_folder(&target, contents, no_tokenizer).unwrap_err().to_string();
    assert!(error.contains("NaN at [3, 5]"), "{error}");
    assert_eq!(stored(&target), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Every element of every parameter.
struct Constant(f32);

impl ParameterSource for Constant {
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError> {
        Ok(vec![self.0; spec.len()])
    }
}

#[test]
fn numbers_that_the_stored_type_does_not_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let loaded = LoadedFolder::open(&models().join("variants/plain")).unwrap();
    for (value, dtype, expected) in [
        (65_519.0, DType::F16, None),
        (65_520.0, DType::F16, Some("65520 is too large for fp16")),
        (1e5, DType::BF16, None),
        (f32::MAX, DType::BF16, Some("is too large for bf16")),
        (f32::MAX, DType::F32, None),
        (f32::NAN, DType::F32, Some("holds NaN")),
        (f32::INFINITY, DType::F16, Some("holds inf")),
    ] {
        let mut parameters = Constant(value);
        let contents = FolderContents { config: loaded.config(), dtype, parameters: &mut parameters, extra_files: &[] };
        match (save_model_folder(&target, contents, no_tokenizer), expected) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) => {
                let error = error.to_string();
                assert!(
                    error.contains(text) && error.contains("'roberta.embeddings.word_embeddings.weight'"),
                    "{error}"
                );
            }
            (outcome, _) => panic!("{value} as {dtype}: {outcome:?}"),
        }
    }
}

#[test]
fn files_are_written_into_a_folder_that_keeps_its_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let loaded = LoadedFolder::open(&models().join("variants/plain")).unwrap();
    let mut source = loaded.source(0);
    let contents =
        FolderContents { config: loaded.config(), dtype: DType::F32, parameters: &mut source, extra_files: &[] };
    let written: Result<(), CheckpointError> = write_model_files(folder.path(), contents, no_tokenizer);
    written.unwrap();
    assert!(folder.path().join("notes.txt").exists());
    assert_eq!(stored(folder.path()), stored(&models().join("variants/plain")));
}
