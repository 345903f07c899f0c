//! Model folders in every shape they come in: read to PyTorch's numbers, or refused with a reason.

#[path = "support/golden/mod.rs"]
mod golden;

use std::fs;
use std::path::{Path, PathBuf};

use golden::{Tensors, models};
use serde_json::{Value, json};
use serin_checkpoint::model::{LoadedFolder, RecordedText};
use serin_checkpoint::save::write_safetensors;
use serin_checkpoint::{TensorView, WeightFiles};
use serin_model::{BuildOptions, Freezing, Model, ParameterSource, ProblemType};
use serin_ops::Backend;
use serin_ops::reference::Reference;
use serin_tensor::DType;

const BACKEND: Reference<f64> = Reference::new();

fn variant(name: &str) -> PathBuf {
    models().join("variants").join(name)
}

fn open(name: &str) -> LoadedFolder {
    LoadedFolder::open(&variant(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn build(folder: &LoadedFolder, freezing: Freezing) -> Result<Model<Reference<f64>>, serin_model::ModelError> {
    let options = BuildOptions { freezing, dtype: DType::F32 };
    Model::build(&BACKEND, folder.config().clone(), &mut folder.source(1), options)
}

/// What the model makes of the golden's batch: logits, or the last layer's first rows.
fn computed(folder: &LoadedFolder, golden: &Tensors) -> (Vec<f32>, Vec<f64>) {
    let batch = golden.batch(folder.config(), "");
    if golden.has("logits") {
        let model = build(folder, Freezing::All).unwrap();
        let mut space = model.workspace(&BACKEND, batch.tokens(), batch.sequences()).unwrap();
        return (model.infer(&BACKEND, &mut space, &batch).unwrap(), golden.values("logits"));
    }
    let width = folder.config().hidden;
    let model = build(folder, Freezing::Layers(folder.config().layers)).unwrap();
    let mut space = model.workspace(&BACKEND, batch.tokens(), batch.sequences()).unwrap();
    model.forward_trunk(&BACKEND, &mut space, &batch, None);
    let mut bytes = vec![0; batch.sequences() * width * 4];
    model.read_trunk(&BACKEND, &space, 0, &mut bytes).unwrap();
    let got = bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    let all = golden.values("last_hidden_state");
    let first = |&start: &u32| all[start as usize * width..][..width].to_vec();
    (got, batch.offsets[..batch.sequences()].iter().flat_map(first).collect())
}

#[test]
fn every_variant_gives_the_numbers_of_pytorch() {
    let mut checked = 0;
    for entry in fs::read_dir(models().join("variants")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("fail_") {
            continue;
        }
        let (got, expected) = computed(&open(&name), &Tensors::open(&path.join("golden.safetensors")));
        assert_eq!(got.len(), expected.len(), "{name}");
        // The model computes in f64; one rounding to f32 in the golden and one on the way back.
        let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            let error = (f64::from(*got) - expected).abs();
            assert!(error <= 2.0 * DType::F32.unit_roundoff() * largest, "{name}: {got} for {expected}");
        }
        checked += 1;
    }
    assert_eq!(checked, 17);
}

fn refusal(name: &str) -> String {
    match LoadedFolder::open(&variant(name)) {
        Err(error) => error.to_string(),
        Ok(folder) => match build(&folder, Freezing::All) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{name} was accepted"),
        },
    }
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[test]
fn damaged_checkpoints_are_refused_by_name() {
    let output = "roberta.encoder.layer.0.output.dense.weight";
    assert_contains(&refusal("fail_missing_tensor"), &["fail_missing_tensor/model.safetensors", output, "missing"]);
    let shapes = ["[40, 32]", "[32, 40]"];
    assert_contains(
        &refusal("fail_wrong_shape"),
        &["fail_wrong_shape/model.safetensors", output, shapes[0], shapes[1]],
    );
    let nan = "roberta.encoder.layer.0.attention.output.dense.weight";
    assert_contains(&refusal("fail_nan"), &["fail_nan/model.safetensors", nan, "NaN at [3, 5]"]);
    let refused = refusal("fail_bin_runs_code");
    assert_contains(&refused, &["fail_bin_runs_code/pytorch_model.bin", "system", "refused"]);
}

/// A copy of a golden folder whose `config.json` was edited.
fn edited(source: &Path, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(config.as_object_mut().unwrap());
    fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    folder
}

#[test]
fn a_configuration_that_contradicts_the_tensors_is_refused_by_key() {
    for (case, key, wrong, shape) in [
        ("variants/plain", "vocab_size", 50, "[48, 32]"),
        ("variants/plain", "max_position_embeddings", 40, "[42, 32]"),
        ("variants/plain", "type_vocab_size", 2, "[1, 32]"),
        ("variants/plain", "hidden_size", 64, "[48, 32]"),
        ("variants/plain", "intermediate_size", 80, "[40, 32]"),
        ("variants/plain", "num_hidden_layers", 2, "1 layers"),
        ("roberta", "num_hidden_layers", 2, "3 layers"),
        ("distilbert", "dim", 48, "[64, 32]"),
        ("distilbert", "hidden_dim", 48, "[56, 32]"),
        ("distilbert", "n_layers", 1, "2 layers"),
    ] {
        let folder = edited(&models().join(case), |config| drop(config.insert(key.into(), wrong.into())));
        let error = LoadedFolder::open(folder.path()).unwrap_err().to_string();
        assert_contains(&error, &["config.json", &format!("'{key}'"), &wrong.to_string(), shape, "hint: "]);
    }
    let labels = json!({"0": "a", "1": "b", "2": "c"});
    let folder = edited(&variant("plain"), |config| drop(config.insert("id2label".into(), labels)));
    let error = LoadedFolder::open(folder.path()).unwrap_err().to_string();
    assert_contains(&error, &["config.json", "'id2label'", "3 labels", "classifier.out_proj.weight", "[2, 32]"]);
}

#[test]
fn another_familys_tensors_are_recognised() {
    let folder = edited(&models().join("bert"), |config| drop(config.insert("model_type".into(), "roberta".into())));
    assert_contains(&LoadedFolder::open(folder.path()).unwrap_err().to_string(), &["'bert.'", "model_type", "roberta"]);
}

#[test]
fn no_configuration_makes_it_panic() {
    let odd = [
        json!(null),
        json!(-1),
        json!(0),
        json!(1),
        json!(2),
        json!(7.5),
        json!(1e300),
        json!(u64::MAX),
        json!("x"),
        json!(""),
        json!([]),
        json!([1]),
        json!({}),
        json!({"0": 1}),
        json!({"x": "y"}),
        json!(true),
        json!(false),
    ];
    for case in ["variants/plain", "distilbert"] {
        let folder = edited(&models().join(case), |_| {});
        let path = folder.path().join("config.json");
        let text = fs::read(&path).unwrap();
        for cut in (0..text.len()).step_by(3) {
            fs::write(&path, &text[..cut]).unwrap();
            assert!(LoadedFolder::open(folder.path()).is_err());
        }
        let whole: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
        for (key, value) in whole.keys().flat_map(|key| odd.iter().map(move |value| (key, value))) {
            let mut config = whole.clone();
            config.insert(key.clone(), value.clone());
            fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
            // Some keys may hold anything; what opens must also build, or say why not.
            if let Ok(folder) = LoadedFolder::open(folder.path()) {
                assert!(build(&folder, Freezing::Nothing).is_ok(), "{key}: {value}");
                assert!(folder.inspect().is_ok());
            }
        }
    }
}

/// Such a path has no last name, so there is nothing beside it to recover.
#[test]
fn a_folder_may_be_named_by_dots() {
    let folder = edited(&variant("plain"), |_| {});
    fs::create_dir(folder.path().join("inner")).unwrap();
    assert!(LoadedFolder::open(&folder.path().join("inner/..")).is_ok());
}

#[test]
fn folders_without_configuration_or_with_a_broken_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = || LoadedFolder::open(folder.path()).unwrap_err().to_string();
    assert_contains(&error(), &["config.json", "hint: "]);
    fs::write(folder.path().join("config.json"), "{\"model_type\":").unwrap();
    assert_contains(&error(), &["config.json", "not valid JSON"]);
    fs::write(folder.path().join("config.json"), "{\"model_type\": \"gpt2\"}").unwrap();
    assert_contains(&error(), &["config.json", "gpt2", "roberta"]);
    fs::write(folder.path().join("config.json"), "{\"model_type\": \"roberta\", \"hidden_size\": \"x\"}").unwrap();
    assert_contains(&error(), &["config.json", "hidden_size"]);
    let missing = LoadedFolder::open(&folder.path().join("nowhere")).unwrap_err().to_string();
    assert_contains(&missing, &["nowhere"]);
}

#[test]
fn the_report_says_what_was_read_left_and_new() {
    let report = open("plain").report();
    assert_eq!((report.tensors, report.new_parameters.len(), report.unused_tensors.len()), (25, 0, 0));
    assert_eq!(report.to_string().lines().count(), 1);
    assert_contains(&report.taken, &["25 tensors", &report.parameters.to_string(), "F32", "model.safetensors"]);
    assert_contains(&open("sharded").report().taken, &["model-00001-of-0000"]);
    assert_contains(&open("bf16").report().taken, &["BF16"]);

    let report = open("masked_lm").report();
    assert_contains(&report.new.join("\n"), &["4 tensors", "classifier.dense.weight", "normal"]);
    assert_contains(&report.unused.join("\n"), &["5 tensors", "lm_head.", "pretraining", "normal"]);
    assert_contains(&open("position_ids").report().to_string(), &["roberta.embeddings.position_ids", "counters"]);
    assert_contains(&open("pooler").report().to_string(), &["2 tensors", "roberta.pooler.dense", "normal"]);
    let json = serde_json::to_value(report).unwrap();
    assert_eq!(json["unused_tensors"].as_array().unwrap().len(), 5);
}

#[test]
fn only_a_whole_head_counts_as_trained() {
    assert!(open("plain").has_trained_head() && open("gamma_beta").has_trained_head());
    assert!(!open("masked_lm").has_trained_head() && !open("encoder_only").has_trained_head());
    let mut folder = open("plain");
    folder.prepare_labels(Some(&strings(&["negative", "positive", "other"])), None).unwrap();
    assert!(!folder.has_trained_head());
}

fn strings(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.to_owned()).collect()
}

/// Rows of the last layer under `wanted` labels: weight and bias of each.
fn last_layer(folder: &LoadedFolder) -> Vec<(Vec<f32>, f32)> {
    let specs = folder.config().parameters();
    let values = |name: &str| {
        let spec = specs.iter().find(|spec| spec.name == name).unwrap();
        folder.source(7).values(spec).unwrap()
    };
    let (weight, bias) = (values("head.output.weight"), values("head.output.bias"));
    weight.chunks(folder.config().hidden).map(<[f32]>::to_vec).zip(bias).collect()
}

/// `expected`: for each wanted label the row of the checkpoint, whose labels are negative, neutral, positive.
#[track_caller]
fn assert_rows(wanted: &[&str], expected: &[Option<usize>], sentence: &[&str]) {
    let mut folder = LoadedFolder::open(&models().join("roberta")).unwrap();
    let stored = last_layer(&folder);
    folder.prepare_labels(Some(&strings(wanted)), None).unwrap();
    let rows = last_layer(&folder);
    assert_eq!(rows.len(), wanted.len());
    for ((row, &from), label) in rows.iter().zip(expected).zip(wanted) {
        match from {
            Some(from) => assert_eq!(row, &stored[from], "{label}"),
            None => {
                assert!(row.1 == 0.0 && !stored.contains(row), "{label}");
                let deviation = row.0.iter().map(|value| value * value).sum::<f32>() / row.0.len() as f32;
                // Standard deviation 0.02 over 64 draws: its own standard error is below 0.002.
                assert!((deviation.sqrt() - 0.02).abs() < 0.01, "{label}: {deviation}");
            }
        }
    }
    assert_contains(&folder.report().carried.join("\n"), sentence);
    assert_eq!(folder.config().raw["id2label"].as_object().unwrap().len(), wanted.len());
}

#[test]
fn rows_of_the_head_follow_their_labels() {
    let two = ["\"negative\" from row 0", "\"positive\" from row 2", "left behind: \"neutral\""];
    assert_rows(&["negative", "positive"], &[Some(0), Some(2)], &two);
    assert_rows(
        &["Positive", "NEGATIVE"],
        &[Some(2), Some(0)],
        &["\"Positive\" from row 2 (\"positive\")", "left behind"],
    );
    let same = ["taken for the same: \"neg\" and \"negative\", \"pos\" and \"positive\""];
    assert_rows(&["neg", "pos"], &[Some(0), Some(2)], &same);
    assert_rows(&["positive", "neutral", "negative"], &[Some(2), Some(1), Some(0)], &["by label name"]);
    assert_rows(&["negative", "neutral", "positive"], &[Some(0), Some(1), Some(2)], &[]);
    assert_rows(&["positive", "irony"], &[Some(2), None], &["fresh: \"irony\""]);
    assert_rows(&["ham", "spam"], &[None, None], &["starts afresh", "\"ham\", \"spam\"", "\"neutral\""]);
    assert_rows(&["ham", "spam", "eggs"], &[None, None, None], &["starts afresh"]);
    assert_rows(&["LABEL_0", "LABEL_1"], &[None, None], &["starts afresh"]);
}

#[test]
fn placeholders_are_matched_by_id_and_real_names_win() {
    let mut folder = LoadedFolder::open(&models().join("roberta")).unwrap();
    let stored = last_layer(&folder);
    folder.prepare_labels(Some(&strings(&["0", "1", "2"])), None).unwrap();
    assert_eq!(folder.config().labels, ["negative", "neutral", "positive"]);
    assert_eq!(last_layer(&folder), stored);

    let mut folder = open("no_id2label");
    let stored = last_layer(&folder);
    folder.prepare_labels(Some(&strings(&["negative", "positive"])), None).unwrap();
    assert_eq!(folder.config().labels, ["negative", "positive"]);
    assert_eq!(last_layer(&folder), stored);
    assert_contains(&folder.report().carried.join("\n"), &["by id", "\"positive\" from row 1 (\"LABEL_1\")"]);
}

#[test]
fn a_silent_configuration_takes_the_number_of_labels_from_the_tensors() {
    let silent = edited(&models().join("roberta"), |config| {
        ["id2label", "label2id", "problem_type"].iter().for_each(|key| drop(config.remove(*key)));
    });
    let folder = LoadedFolder::open(silent.path()).unwrap();
    assert_eq!(folder.config().labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    assert_eq!(folder.config().raw["id2label"]["2"], "LABEL_2");
    assert!(build(&folder, Freezing::All).is_ok());
}

#[test]
fn the_problem_type_is_what_was_asked_for_or_what_the_labels_imply() {
    let mut folder = open("plain");
    folder.prepare_labels(Some(&strings(&["score"])), None).unwrap();
    assert_eq!(folder.config().problem_type(), ProblemType::Regression);
    folder.prepare_labels(Some(&strings(&["a", "b", "c"])), Some(ProblemType::MultiLabelClassification)).unwrap();
    assert_eq!(folder.config().raw["problem_type"], "multi_label_classification");
    let mut folder = LoadedFolder::open(&models().join("roberta_multilabel")).unwrap();
    folder.prepare_labels(None, None).unwrap();
    assert_eq!(folder.config().problem_type(), ProblemType::MultiLabelClassification);
}

#[test]
fn labels_that_make_no_classifier_are_refused() {
    let mut folder = open("plain");
    assert_contains(&folder.prepare_labels(Some(&[]), None).unwrap_err().to_string(), &["at least one label"]);
    let twice = folder.prepare_labels(Some(&strings(&["a", "b", "a"])), None).unwrap_err().to_string();
    assert_contains(&twice, &["'a'", "twice"]);
}

/// A copy of a golden folder whose tensors were edited.
fn rewritten(source: &Path, edit: impl Fn(&mut TensorView<'_>)) -> tempfile::TempDir {
    let folder = edited(source, |_| {});
    let weights = WeightFiles::open(source).unwrap();
    let names: Vec<String> = weights.views().map(|view| view.name.to_owned()).collect();
    let mut views: Vec<TensorView<'_>> = names.iter().map(|name| weights.get(name).unwrap()).collect();
    views.iter_mut().for_each(edit);
    write_safetensors(&folder.path().join("model.safetensors"), &views).unwrap();
    folder
}

#[test]
fn a_head_of_another_width_starts_afresh_and_says_so() {
    let folder = rewritten(&variant("plain"), |view| {
        if view.name == "classifier.dense.weight" {
            view.shape = vec![16, 64];
        }
    });
    let folder = LoadedFolder::open(folder.path()).unwrap();
    assert!(!folder.has_trained_head());
    let report = folder.report();
    assert_eq!(report.new_parameters, ["head.dense.weight", "head.dense.bias"]);
    assert_contains(&report.to_string(), &["'classifier.dense.weight'", "[16, 64]", "starts afresh"]);
}

#[test]
fn wrapped_names_are_seen_through_and_doubles_refused() {
    let folder = rewritten(&variant("plain"), |view| {
        if view.name == "roberta.embeddings.LayerNorm.bias" {
            view.name = "module.model.embeddings.LayerNorm.beta";
        }
    });
    assert!(LoadedFolder::open(folder.path()).unwrap().report().unused_tensors.is_empty());
    let folder = rewritten(&variant("pooler"), |view| {
        if view.name == "roberta.pooler.dense.bias" {
            view.name = "embeddings.LayerNorm.bias";
        }
    });
    let error = LoadedFolder::open(folder.path()).unwrap_err().to_string();
    assert_contains(&error, &["'roberta.embeddings.LayerNorm.bias'", "'embeddings.LayerNorm.bias'", "same parameter"]);
}

#[test]
fn integers_and_quantised_weights_are_refused() {
    let folder = rewritten(&variant("plain"), |view| {
        if view.name == "roberta.encoder.layer.0.output.dense.weight" {
            view.dtype = serin_checkpoint::Dtype::I32;
        }
    });
    let error = LoadedFolder::open(folder.path()).unwrap_err().to_string();
    assert_contains(&error, &["roberta.encoder.layer.0.output.dense.weight", "I32", "hint: "]);
}

#[test]
fn recorded_text_settings_are_read_back_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(RecordedText::read(folder.path()).unwrap(), None);
    let recorded = RecordedText {
        max_length: Some(512),
        truncation: Some("head_tail".into()),
        head: Some(128),
        normalization: Some("tweet".into()),
        provenance: json!({"base_model": "cardiffnlp/x"}).as_object().unwrap().clone(),
    };
    recorded.write(folder.path()).unwrap();
    assert_eq!(RecordedText::read(folder.path()).unwrap(), Some(recorded));
    for (text, field) in [
        (r#"{"max_length": 0}"#, "'max_length'"),
        (r#"{"max_length": -3}"#, "'max_length'"),
        (r#"{"truncation": "middle"}"#, "'truncation'"),
        (r#"{"normalization": 7}"#, "'normalization'"),
        (r#"{"head": 1.5}"#, "'head'"),
        (r#"{"provenance": []}"#, "'provenance'"),
        ("[]", "not a JSON object"),
        ("{", "not a JSON object"),
    ] {
        fs::write(folder.path().join("serin.json"), text).unwrap();
        assert_contains(&RecordedText::read(folder.path()).unwrap_err().to_string(), &["serin.json", field]);
    }
    fs::write(folder.path().join("serin.json"), r#"{"later": {"version": 9}, "max_length": null}"#).unwrap();
    assert_eq!(RecordedText::read(folder.path()).unwrap(), Some(RecordedText::default()));
}

#[test]
fn inspection_counts_every_part() {
    let inspection = LoadedFolder::open(&models().join("bert")).unwrap().inspect().unwrap();
    let names: Vec<&str> = inspection.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["embeddings", "layer 0", "layer 1", "head"]);
    let weights = WeightFiles::open(&models().join("bert")).unwrap();
    let stored: usize = weights.views().map(|view| view.elements()).sum();
    assert_eq!(inspection.parameters, stored as u64);
    assert_eq!((inspection.max_length, inspection.labels.len(), inspection.trained_head), (40, 3, true));
    let file = inspection.files.iter().find(|file| file.name == "model.safetensors").unwrap();
    assert_eq!(file.bytes, fs::metadata(models().join("bert/model.safetensors")).unwrap().len());
    assert!(!BACKEND.name().is_empty() && serde_json::to_string(&inspection).is_ok());
}
