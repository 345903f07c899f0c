//! What is learned, and who can go on with it.

use crate::place::{best_loss, held_out_losses, place, pretrain, pretrain_from};
use crate::support::{SENTIMENT, json_lines, write_model};
use crate::training::{contains, data, left, said};
use serde_json::{Value, json};
use serin_checkpoint::WeightFiles;
use serin_model::ProblemType;

#[test]
fn the_loss_falls_and_masks_are_guessed_from_what_stands_beside_them() {
    let place = place();
    let said = said(pretrain(&place, &["--num-train-epochs=40", "--packing=doc-sentences", "--hidden-dropout-prob=0"]));
    contains(&said, &["parameters are new", "held out:", "perplexity", "Best held-out loss", "out/best"]);
    let losses = held_out_losses(&place, "out");
    assert_eq!(losses.len(), 40);
    // Eight words that are alike often: without a look at its neighbours a word costs ln 8 = 2.08 nats.
    assert!(losses[0] > 2.0 && losses[39] < 1.0, "{losses:?}");
    let (results, best): (Value, _) =
        (serde_json::from_str(&place.read("out/all_results.json")).unwrap(), best_loss(&place, "out"));
    assert_eq!(results["eval_loss"], best);
    assert!((results["eval_perplexity"].as_f64().unwrap() - best.exp()).abs() < 1e-9);
    for word in ["three", "seven"] {
        let text = format!("{word} {word} {word} <mask> {word} {word} {word}");
        let filled = json_lines(&place.run(&["fill-mask", "out", &text, "--precision=fp32"]).well()).remove(0);
        assert_eq!(filled["filled"], text.replace("<mask>", word));
        assert!(filled["masks"][0][0]["score"].as_f64().unwrap() > 0.5, "{filled}");
    }
}

#[test]
fn what_is_written_has_the_names_and_the_architecture_of_transformers() {
    let place = place();
    said(pretrain(&place, &["--num-train-epochs=1"]));
    let config: Value = serde_json::from_str(&place.read("out/best/config.json")).unwrap();
    assert_eq!(config["architectures"], json!(["RobertaForMaskedLM"]));
    assert_eq!(config["max_position_embeddings"], 34);
    let weights = WeightFiles::open(&place.path("out/best")).unwrap();
    let encoder = "roberta.encoder.layer.1.output.dense.bias";
    for name in ["lm_head.bias", "lm_head.dense.weight", "lm_head.layer_norm.bias", encoder] {
        assert!(weights.get(name).is_some(), "{name}");
    }
    assert!(weights.get("lm_head.decoder.weight").is_none(), "a tied decoder is not stored");
    contains(&place.read("out/best/README.md"), &["pipeline_tag: fill-mask", "perplexity", "`mlm_probability` | 0.15"]);
}

#[test]
fn one_and_two_threads_give_the_same_bits_and_another_seed_others() {
    let place = place();
    said(pretrain(&place, &[]));
    said(pretrain(&place, &["--threads=1", "--output-dir=one"]));
    left(&place, "out").equals(&left(&place, "one"));
    said(pretrain(&place, &["--seed=2", "--output-dir=other"]));
    assert!(left(&place, "out").best != left(&place, "other").best);
}

#[test]
fn accumulated_batches_and_one_large_batch_give_the_same_bits() {
    let place = place();
    said(pretrain(&place, &[]));
    said(pretrain(&place, &["--batch-size=4", "--gradient-accumulation-steps=2", "--output-dir=accumulated"]));
    assert!(left(&place, "out").best == left(&place, "accumulated").best);
}

#[test]
fn a_pretrained_model_goes_on_where_it_ended() {
    let place = place();
    said(pretrain(&place, &["--num-train-epochs=20"]));
    let flags = ["--output-dir=more", "--learning-rate=1e-8", "--num-train-epochs=1"];
    let said = said(pretrain_from(&place, &["--model=out"], &flags));
    assert!(!said.contains("New, drawn at random"), "{said}");
    // At a rate of next to nothing the loss is that of the weights that were loaded.
    let (before, after) = (best_loss(&place, "out"), best_loss(&place, "more"));
    assert!((after - before).abs() < 1e-3, "{after} after {before}");
}

#[test]
fn a_classifier_gets_a_new_head_and_keeps_its_encoder() {
    let place = place();
    write_model(&place.path("classifier"), &SENTIMENT, ProblemType::SingleLabelClassification, 7);
    let said = said(pretrain_from(&place, &["--model=classifier"], &["--learning-rate=1e-9", "--num-train-epochs=1"]));
    contains(&said, &["New, drawn at random", "lm_head.dense.weight"]);
    let [before, after] = ["classifier", "out/best"].map(|folder| WeightFiles::open(&place.path(folder)).unwrap());
    let values = |weights: &WeightFiles| -> Vec<f32> {
        let view = weights.get("roberta.encoder.layer.1.output.dense.weight").unwrap();
        view.data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    let mut pairs = values(&before).into_iter().zip(values(&after));
    assert!(pairs.all(|(before, after)| (before - after).abs() < 1e-6), "the encoder is the classifier's");
    assert!(after.get("classifier.dense.weight").is_none());
    assert!(after.get("lm_head.dense.weight").is_some());
}

#[test]
fn a_config_gives_the_shape_of_random_weights() {
    let place = place();
    write_model(&place.path("model"), &SENTIMENT, ProblemType::SingleLabelClassification, 7);
    said(pretrain_from(&place, &["--config-name=model"], &["--num-train-epochs=1"]));
    let config: Value = serde_json::from_str(&place.read("out/best/config.json")).unwrap();
    assert_eq!((&config["vocab_size"], &config["hidden_size"]), (&json!(400), &json!(32)));
    assert_eq!(config["architectures"], json!(["RobertaForMaskedLM"]));
}

#[test]
fn the_encoder_is_fine_tuned_by_serin_train() {
    let place = place();
    said(pretrain(&place, &["--num-train-epochs=1"]));
    place.write("train.csv", data(24, 0));
    place.write("validation.csv", data(8, 100));
    let files = ["--train-file=train.csv", "--validation-file=validation.csv", "--cache-dir=cache"];
    let train = ["train", "--num-train-epochs=1", "--max-length=16", "--report-to=none", "--output-dir=tuned"];
    for model in ["--model=out", "--model=out/best"] {
        let run = place.run(&[&train[..], &files, &[model, "--overwrite-output-dir"]].concat());
        contains(&said(run), &["of the pretraining task"]);
        let config: Value = serde_json::from_str(&place.read("tuned/best/config.json")).unwrap();
        assert_eq!(config["architectures"], json!(["RobertaForSequenceClassification"]));
    }
}

#[test]
fn sixteen_bits_learn_too() {
    let place = place();
    for precision in ["bf16", "fp16"] {
        let (flag, out) = (format!("--precision={precision}"), format!("--output-dir={precision}"));
        said(pretrain(&place, &["--num-train-epochs=12", &flag, &out]));
        let losses = held_out_losses(&place, precision);
        assert!(losses[11] < 0.8 * losses[0], "{precision}: {losses:?}");
    }
}
