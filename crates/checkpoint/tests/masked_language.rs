//! Heads of masked language modelling: found under every family's names, saved under the same, new where there is none.

#[path = "support/golden/mod.rs"]
mod golden;

use golden::models;
use serin_checkpoint::WeightFiles;
use serin_checkpoint::model::{FolderContents, LoadedFolder, save_model_folder};
use serin_model::{Family, Initializer, ModelConfig, Task};
use serin_tensor::DType;
use std::convert::Infallible;
use std::path::Path;

fn config(family: Family, tied: bool) -> ModelConfig {
    let json = serde_json::json!({
        "model_type": family.model_type(), "vocab_size": 20, "max_position_embeddings": 12, "tie_word_embeddings": tied,
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 6,
        "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 6,
    });
    ModelConfig::from_json(&json).unwrap().for_masked_language()
}

fn save(folder: &Path, config: &ModelConfig) {
    let mut parameters = Initializer { seed: 3, range: 0.5 };
    let contents = FolderContents { config, dtype: DType::F32, parameters: &mut parameters, extra_files: &[] };
    save_model_folder(folder, contents, |_| Ok::<(), Infallible>(())).unwrap();
}

/// The names that `save_pretrained` of transformers 5.24 gives the tensors of each head.
#[test]
fn names_are_those_of_transformers() {
    let roberta = ["lm_head.bias", "lm_head.dense.bias", "lm_head.dense.weight", "lm_head.layer_norm.bias"];
    let bert = ["cls.predictions.bias", "cls.predictions.transform.LayerNorm.weight"];
    let distilbert = ["vocab_layer_norm.bias", "vocab_projector.bias", "vocab_transform.weight"];
    let expected: [(Family, &[&str], &str); 3] = [
        (Family::Roberta, &roberta, "lm_head.decoder.weight"),
        (Family::Bert, &bert, "cls.predictions.decoder.weight"),
        (Family::DistilBert, &distilbert, "vocab_projector.weight"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (family, names, decoder) in expected {
        let target = folder.path().join(family.model_type());
        save(&target, &config(family, true));
        let weights = WeightFiles::open(&target).unwrap();
        assert!(names.iter().all(|name| weights.get(name).is_some()), "{names:?}");
        assert!(weights.get(decoder).is_none(), "a tied decoder is not stored");
        save(&target, &config(family, false));
        let weights = WeightFiles::open(&target).unwrap();
        assert_eq!(weights.get(decoder).unwrap().shape, [20, 8]);
    }
}

#[test]
fn what_was_saved_is_found_again_tied_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for family in Family::ALL {
        for tied in [true, false] {
            let target = folder.path().join(format!("{}-{tied}", family.model_type()));
            save(&target, &config(family, tied));
            let loaded = LoadedFolder::open_masked_language(&target).unwrap();
            assert_eq!(loaded.config().task, Task::MaskedLanguage { tied });
            assert!(loaded.has_trained_head(), "{}", loaded.report());
            let architecture = loaded.config().raw["architectures"][0].as_str().unwrap().to_owned();
            assert!(architecture.ends_with("ForMaskedLM"), "{architecture}");
            let report = loaded.report();
            assert!(report.new.is_empty() && report.unused.is_empty(), "{report}");
            let classifier = LoadedFolder::open(&target).unwrap();
            assert!(!classifier.has_trained_head());
            assert!(classifier.report().to_string().contains("of the pretraining task"));
        }
    }
}

#[test]
fn a_classifier_gets_a_new_head_and_its_own_is_left() {
    let loaded = LoadedFolder::open_masked_language(&models().join("roberta")).unwrap();
    assert!(!loaded.has_trained_head());
    let report = loaded.report().to_string();
    assert!(report.contains("New, drawn at random: 5 tensors (lm_head.dense.weight,"), "{report}");
    assert!(report.contains("of a classifier, which masked language modelling does not have"), "{report}");
}
