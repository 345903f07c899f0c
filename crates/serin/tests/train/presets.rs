//! Recipes, TOML files and spellings.

use crate::training::{contains, entries, fails, place, said, train};
use serde_json::Value;

fn settings(place: &crate::support::Place) -> Value {
    serde_json::from_str(&place.read("out/run.json")).unwrap()
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_recipe() {
    let place = place();
    let file = "recipe = \"imdb-twitter-roberta\"\nweight_decay = 0.5\nhead_learning_rate = 0.25\nno-header = false\n\
                validation_file = [\"absent.csv\"]\nnum_train_epochs = 9\nselect_on = \"validation\"\nfreeze_layers = 1\n";
    place.write("run.toml", file);
    said(train(&place, &["--config=run.toml", "--head_learning_rate", "0.125"]));
    let settings = settings(&place);
    assert_eq!(settings["head_learning_rate"], 0.125, "the flag's");
    assert_eq!(settings["num_train_epochs"], 3, "the flag's");
    assert_eq!(settings["weight_decay"], 0.5, "the file's");
    assert_eq!(settings["freeze_layers"], 1, "the file's");
    assert_eq!(settings["lr_scheduler_type"], "constant", "the recipe's");
    assert_eq!(settings["max_grad_norm"], Value::Null, "the recipe's 0");
    assert_eq!(settings["precision"], "fp32", "the flag's");
}

#[test]
fn the_recipe_trains() {
    let place = place();
    place.write("test.csv", crate::training::data(12, 300));
    let flags = ["--recipe=imdb-twitter-roberta", "--test-file=test.csv", "--freeze-layers=1", "--learning-rate=0"];
    let flags = [&flags[..], &["--head-learning-rate=0", "--num-train-epochs=50"]].concat();
    let said = said(train(&place, &flags));
    contains(&said, &["Epoch 5 summary - avg loss: ", "Train acc: ", "Test acc: ", "Early stopping."]);
    contains(&said, &["Best test acc: ", "Applying optimal model weights."]);
    assert_eq!(entries(&place, "out", true).len(), 5, "the first is best, then four without a new best");
}

#[test]
fn underscores_are_dashes() {
    let place = place();
    said(train(&place, &["--num_train_epochs", "1", "--weight_decay=0.5", "--gradient_accumulation_steps", "2"]));
    let settings = settings(&place);
    assert_eq!((&settings["num_train_epochs"], &settings["weight_decay"]), (&1.into(), &0.5.into()));
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_name_and_exit_code_2() {
    let place = place();
    for (file, parts) in [
        ("learning_ratee = 1", &["run.toml", "learning_ratee", "--learning-rate"][..]),
        ("learning_rate = \"fast\"", &["run.toml", "learning_rate", "fast"]),
        ("train_file = {a = 1}", &["run.toml", "train_file", "table"]),
        ("seed = 1\nseed = = 2", &["run.toml", "line 2"]),
        ("recipe = \"nope\"", &["nope", "imdb-twitter-roberta"]),
    ] {
        place.write("run.toml", file);
        let run = train(&place, &["--config=run.toml"]);
        assert_eq!(run.code, Some(2), "{file}: {}", run.stderr);
        contains(&run.stderr, parts);
    }
    let absent = train(&place, &["--config=absent.toml"]);
    assert_eq!(absent.code, Some(2));
    contains(&absent.stderr, &["absent.toml", "no file there has a similar name"]);
    contains(&train(&place, &["--config=rnu.toml"]).stderr, &["rnu.toml", "did you mean run.toml?"]);
    assert!(!place.path("out").exists());
}

#[test]
fn an_unknown_flag_is_refused_with_the_likeliest_one() {
    let place = place();
    let run = train(&place, &["--learning-ratee=1"]);
    assert_eq!(run.code, Some(2));
    contains(&run.stderr, &["--learning-ratee", "--learning-rate"]);
}

#[test]
fn a_fresh_model_by_config_trains_with_another_folder_s_tokenizer() {
    let place = place();
    let config = place.read("model/config.json");
    place.write("tiny.json", config);
    let said = said(train(&place, &["--config-name=tiny.json", "--tokenizer-name=model"]));
    contains(&said, &["parameters are new"]);
    place.write("tiny.json", place.read("model/config.json").replace("\"vocab_size\": 400", "\"vocab_size\": 40"));
    let flags = ["--config-name=tiny.json", "--tokenizer-name=model", "--output-dir=other"];
    fails(train(&place, &flags), &["vocab_size is 40", "tokenizer has ids up to"]);
}
