//! From what was typed to what is parsed: flags may be spelled with underscores, and `train` takes a recipe and a file.
//!
//! A recipe and a TOML file are flags in another form. They are put before the typed ones, and of a flag given twice the
//! last counts: flags over file over recipe.

use std::ffi::OsString;
use std::fs;
use toml::Value;

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
    let mut expanded = program.to_vec();
    let file = match value_of(flags, "--config") {
        Some(path) => Some((path.clone(), fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?)),
        None => None,
    };
    let file_table = file.as_ref().map(|(path, text)| table(path, text)).transpose()?;
    let file_recipe = file_table.as_ref().and_then(|table| table.get("recipe")).and_then(Value::as_str);
    if let Some(name) = value_of(flags, "--recipe").or(file_recipe.map(str::to_owned)) {
        let known = RECIPES.iter().find(|(known, _)| *known == name);
        let names: Vec<&str> = RECIPES.iter().map(|(name, _)| *name).collect();
        let (_, text) = known.ok_or_else(|| format!("--recipe {name}: unknown; known: {}", names.join(", ")))?;
        expanded.extend(flags_of(&name, &table(&name, text)?)?);
    }
    if let (Some((path, _)), Some(table)) = (&file, &file_table) {
        expanded.extend(flags_of(path, table)?);
    }
    expanded.extend_from_slice(flags);
    Ok(expanded)
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

fn table(origin: &str, text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| format!("{origin}: {error}"))
}

/// A table's entries as flags.
fn flags_of(origin: &str, table: &toml::Table) -> Result<Vec<OsString>, String> {
    let mut flags = Vec::new();
    for (key, value) in table {
        let flag = format!("--{}", key.replace('_', "-"));
        let mut push = |value: String| flags.push(OsString::from(format!("{flag}={value}")));
        match value {
            Value::String(text) => push(text.clone()),
            Value::Integer(number) => push(number.to_string()),
            Value::Float(number) => push(number.to_string()),
            Value::Boolean(flag) => push(flag.to_string()),
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::String(text) => push(text.clone()),
                        Value::Integer(number) => push(number.to_string()),
                        Value::Float(number) => push(number.to_string()),
                        other => return Err(format!("{origin}: field '{key}': a list holds {}", other.type_str())),
                    }
                }
            }
            other => {
                return Err(format!("{origin}: field '{key}': expected a value or a list, found {}", other.type_str()));
            }
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

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
        assert_eq!(train.num_train_epochs, Some(5));
        assert_eq!(train.learning_rate, Some(3e-5));
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

    #[test]
    fn an_unknown_recipe_lists_the_known_ones() {
        let typed = ["serin", "train", "--recipe", "nope"].iter().map(OsString::from).collect();
        assert!(expand(typed).unwrap_err().contains("imdb-twitter-roberta"));
    }
}
