//! From what was typed to what is parsed: flags may be spelled with underscores, and `train` takes a recipe and a file.
//!
//! A recipe and a TOML file are flags in another form. Typed flags win over the file, the file over the recipe; a list
//! that is given again is another list, not a longer one. What is wrong with a file or recipe is said with its name.

use super::Cli;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, CommandFactory, Parser};
use serin::data::missing_path_hint;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use toml::{Table, Value};

/// The presets of `--recipe`, as TOML files of flags.
const RECIPES: [(&str, &str); 1] =
    [("imdb-twitter-roberta", include_str!("../../assets/recipes/imdb-twitter-roberta.toml"))];

/// The arguments to parse, or what is wrong with recipe or file.
pub fn expand(typed: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let typed: Vec<OsString> = typed.into_iter().map(with_dashes).collect();
    if typed.get(1).is_none_or(|command| command != "train") {
        return Ok(typed);
    }
    let (program, flags) = typed.split_at(2);
    let command = train_command();
    let file = value_of(flags, "--config").map(|path| Preset::read(&path, &command)).transpose()?;
    let in_file = file.as_ref().map(Preset::recipe).transpose()?.flatten();
    let recipe = value_of(flags, "--recipe").or(in_file).map(|name| Preset::named(&name, &command)).transpose()?;

    let mut above = with_rivals(ids(&command, flags));
    let mut layers = Vec::new();
    for preset in [file, recipe].into_iter().flatten() {
        let rest = preset.flags.into_iter().filter(|(id, _)| !above.contains(id)).collect::<Vec<_>>();
        above.extend(with_rivals(rest.iter().map(|(id, _)| id.clone()).collect()));
        layers.push(rest.into_iter().flat_map(|(_, flags)| flags));
    }
    let presets = layers.into_iter().rev().flatten();
    Ok(program.iter().cloned().chain(presets).chain(flags.iter().cloned()).collect())
}

/// Arguments that say the same in another way: who gives one does not want a preset's other.
const RIVALS: [(&str, &[&str]); 4] = [
    ("train_file", &["dataset_name"]),
    ("dataset_name", &["train_file", "validation_file", "test_file"]),
    ("model", &["config_name", "tokenizer_name"]),
    ("config_name", &["model", "tokenizer_name"]),
];

/// The arguments that are no longer open once `given` are.
fn with_rivals(mut given: Vec<String>) -> Vec<String> {
    let rivals = RIVALS.iter().filter(|(id, _)| given.iter().any(|given| given == id));
    let rivals: Vec<String> = rivals.flat_map(|(_, rivals)| rivals.iter().map(|&id| id.to_owned())).collect();
    given.extend(rivals);
    given
}

/// Flags that a file or a recipe stands for.
struct Preset {
    origin: String,
    table: Table,
    /// By the argument that they set.
    flags: Vec<(String, Vec<OsString>)>,
}

impl Preset {
    fn read(path: &str, command: &Command) -> Result<Preset, String> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("{path}: {error}{}", missing_path_hint(Path::new(path))),
            _ => format!("{path}: {error}"),
        })?;
        let preset = Preset::new(path, &text, command)?;
        match preset.table.contains_key("config") {
            true => Err(format!("{path}: field 'config': a file cannot name another one")),
            false => Ok(preset),
        }
    }

    fn named(name: &str, command: &Command) -> Result<Preset, String> {
        let known = RECIPES.iter().find(|(known, _)| *known == name);
        let names: Vec<&str> = RECIPES.iter().map(|(name, _)| *name).collect();
        let (_, text) = known.ok_or_else(|| format!("--recipe {name}: unknown; known: {}", names.join(", ")))?;
        Preset::new(name, text, command)
    }

    fn new(origin: &str, text: &str, command: &Command) -> Result<Preset, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| format!("{origin}: {error}"))?;
        let mut flags = Vec::new();
        for (key, value) in &table {
            let argument = argument(command, &key.replace('_', "-"));
            let of_key = flags_of(key, value, argument).map_err(|problem| format!("{origin}: {problem}"))?;
            check(&of_key).map_err(|problem| format!("{origin}: field '{key}': {problem}"))?;
            flags.push((argument.map_or_else(|| key.clone(), |argument| argument.get_id().to_string()), of_key));
        }
        Ok(Preset { origin: origin.to_owned(), table, flags })
    }

    fn recipe(&self) -> Result<Option<String>, String> {
        match self.table.get("recipe") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name.clone())),
            Some(other) => Err(format!("{}: field 'recipe': expected a name, found {}", self.origin, other.type_str())),
        }
    }
}

/// What clap has against flags of one key. What they require may stand elsewhere.
fn check(flags: &[OsString]) -> Result<(), String> {
    let arguments = ["serin", "train"].into_iter().map(OsString::from).chain(flags.iter().cloned());
    match Cli::try_parse_from(arguments) {
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
            let text = error.to_string();
            let text = text.split("\n\nUsage:").next().unwrap_or_default();
            let text = text.split("\n\nFor more information").next().unwrap_or_default();
            Err(text.trim_start_matches("error: ").trim_end().to_owned())
        }
        _ => Ok(()),
    }
}

/// `serin train`, with the flags that all commands have.
fn train_command() -> Command {
    let mut command = Cli::command();
    command.build();
    command.find_subcommand("train").cloned().unwrap_or(command)
}

/// The argument of a flag without its dashes, or of one of its aliases.
fn argument<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long() == Some(name) || aliases.contains(&name)
    })
}

/// What the long ones of `flags` set.
fn ids(command: &Command, flags: &[OsString]) -> Vec<String> {
    let long = flags.iter().filter_map(|flag| flag.to_str()?.strip_prefix("--"));
    let names = long.map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name));
    names.filter_map(|name| argument(command, name)).map(|argument| argument.get_id().to_string()).collect()
}

/// `--train_file` and `--train_file=x` with dashes in the flag; values stay as they are.
fn with_dashes(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text.starts_with("--") => {
            let (flag, value) = text.split_once('=').map_or((text, None), |(flag, value)| (flag, Some(value)));
            let flag = flag.replace('_', "-");
            value.map_or_else(|| flag.clone(), |value| format!("{flag}={value}")).into()
        }
        _ => argument,
    }
}

/// The last value given to a flag.
fn value_of(flags: &[OsString], name: &str) -> Option<String> {
    let mut found = None;
    let mut arguments = flags.iter().filter_map(|flag| flag.to_str()).peekable();
    while let Some(argument) = arguments.next() {
        if argument == name {
            found = arguments.peek().map(|value| (*value).to_owned());
        } else if let Some(value) = argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
            found = Some(value.to_owned());
        }
    }
    found
}

/// A key's value as flags.
fn flags_of(key: &str, value: &Value, argument: Option<&Arg>) -> Result<Vec<OsString>, String> {
    let flag = format!("--{}", key.replace('_', "-"));
    let bare = argument.is_some_and(|argument| matches!(argument.get_action(), ArgAction::SetTrue));
    let with_value = |value: &Value| -> Result<OsString, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(set) => set.to_string(),
            other => return Err(format!("field '{key}': expected a value or a list, found {}", other.type_str())),
        };
        Ok(format!("{flag}={text}").into())
    };
    match value {
        Value::Boolean(set) if bare => Ok(set.then(|| flag.into()).into_iter().collect()),
        Value::Array(items) => items.iter().map(with_value).collect(),
        value => Ok(vec![with_value(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, TrainArgs};

    fn expanded(typed: &[&str]) -> Vec<String> {
        let typed = typed.iter().map(OsString::from).collect();
        expand(typed).unwrap().into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn underscores_become_dashes_in_flags_only() {
        assert_eq!(
            expanded(&["serin", "evaluate", "my_model", "--text_column=a_b", "--label_column", "c_d"]),
            ["serin", "evaluate", "my_model", "--text-column=a_b", "--label-column", "c_d"]
        );
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs::write(&path, "num_train_epochs = 5\nlearning-rate = 1e-4\nrecipe = \"imdb-twitter-roberta\"").unwrap();
        let path = path.to_str().unwrap();
        let arguments = expand(
            ["serin", "train", "--config", path, "--learning_rate", "3e-5"].iter().map(OsString::from).collect(),
        );
        let Command::Train(train) = Cli::try_parse_from(arguments.unwrap()).unwrap().command else {
            panic!("parsed as another command")
        };
        assert_eq!(train.training.num_train_epochs, Some(5));
        assert_eq!(train.training.learning_rate, Some(3e-5));
        assert_eq!(train.freeze_layers, Some(9), "from the recipe");
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs::write(&path, "seed = 1\nlearning_rate = = 2").unwrap();
        let typed = vec!["serin".into(), "train".into(), "--config".into(), path.clone().into_os_string()];
        let error = expand(typed).unwrap_err();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("line 2"), "{error}");
    }

    fn train(file: &str, flags: &[&str]) -> Result<Box<TrainArgs>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        fs::write(&path, file).unwrap();
        let path = path.to_str().unwrap();
        let typed = [&["serin", "train", "--config", path], flags].concat();
        let Command::Train(train) =
            Cli::try_parse_from(expand(typed.iter().map(OsString::from).collect())?).unwrap().command
        else {
            panic!("parsed as another command")
        };
        Ok(train)
    }

    #[test]
    fn a_typed_list_replaces_that_of_the_file() {
        let args = train("train_file = [\"a.csv\", \"b.csv\"]\nclass_weights = [1, 2.5]", &["--train-file", "c.csv"]);
        let args = args.unwrap();
        assert_eq!(args.train_file, [std::path::PathBuf::from("c.csv")]);
        assert_eq!(args.class_weights, ["1", "2.5"]);
    }

    #[test]
    fn a_typed_precision_wins_over_any_of_the_file() {
        let precision = |file, flag: &[&str]| train(file, flag).unwrap().device.options().precision;
        assert_eq!(precision("fp16 = true", &["--precision", "fp32"]), serin::Precision::Fp32);
        assert_eq!(precision("fp16 = true", &["--bf16"]), serin::Precision::Bf16);
        assert_eq!(precision("recipe = \"imdb-twitter-roberta\"", &["--fp16"]), serin::Precision::Fp16);
    }

    #[test]
    fn typed_files_and_models_drop_those_of_a_preset() {
        let recipe = "recipe = \"imdb-twitter-roberta\"";
        let args = train(recipe, &["--train-file=a.csv", "--config-name=c.json"]).unwrap();
        assert_eq!((args.dataset_name, args.model), (None, None));
        let args = train("train_file = \"a.csv\"\ntest_file = \"b.csv\"", &["--dataset-name=imdb"]).unwrap();
        assert!(args.train_file.is_empty() && args.test_file.is_empty());
    }

    #[test]
    fn a_switch_is_on_or_off() {
        assert!(train("no_header = true", &[]).unwrap().data.reading.lines.no_header);
        assert!(!train("no_header = false", &[]).unwrap().data.reading.lines.no_header);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_with_file_and_key() {
        for (file, parts) in [
            ("learning_ratee = 1e-5", ["learning_ratee", "--learning-rate"]),
            ("learning_rate = \"fast\"", ["learning_rate", "fast"]),
            ("num_train_epochs = 2.5", ["num_train_epochs", "2.5"]),
            ("seed = {a = 1}", ["seed", "table"]),
            ("recipe = 3", ["recipe", "integer"]),
            ("config = \"other.toml\"", ["config", "another"]),
        ] {
            let error = train(file, &[]).unwrap_err();
            assert!(error.contains("run.toml: field '"), "{error}");
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn an_unknown_recipe_lists_the_known_ones() {
        let typed = ["serin", "train", "--recipe", "nope"].iter().map(OsString::from).collect();
        assert!(expand(typed).unwrap_err().contains("imdb-twitter-roberta"));
    }
}
