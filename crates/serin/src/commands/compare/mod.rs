//! `serin compare`.

mod side;

use super::Ended;
use crate::args::CompareArgs;
use anyhow::{Context, bail};
use serde_json::json;
use serin::SerinError;
use serin::metrics::{Bootstrap, PairedOutcomes};
use serin_checkpoint::save::write_json_atomic;
use side::{Outcome, Side};
use std::io::{Write, stdout};

/// Compares, and reports.
pub fn run(args: &CompareArgs) -> anyhow::Result<Ended> {
    let mut first = Side::open(&args.first, args, None)?;
    let mut second = Side::open(&args.second, args, Some(first.labels()))?;
    let mut outcomes = PairedOutcomes::new(first.labels().len());
    loop {
        match (first.next()?, second.next()?) {
            (Some(one), Some(other)) => {
                check_same_row(args, &one, &other)?;
                outcomes.push(one.label, one.prediction, other.prediction).map_err(SerinError::from)?;
            }
            (None, None) => break,
            (one, _) => {
                let (shorter, longer) = if one.is_none() { (&first, &second) } else { (&second, &first) };
                bail!(
                    "the files are not of the same rows: {} ends after row {}, {} goes on",
                    shorter.path().display(),
                    shorter.rows(),
                    longer.path().display()
                );
            }
        }
    }
    if first.rows() == 0 {
        bail!("{} holds no data rows", args.first.display());
    }
    let comparison = outcomes.compare(&Bootstrap { draws: args.draws, seed: args.seed });
    if let Some(path) = &args.json {
        let mut json = serde_json::to_value(&comparison)?;
        json["first"] = json!(args.first);
        json["second"] = json!(args.second);
        if path.as_os_str() == "-" {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&json)?)?;
            return Ok(Ended::Well);
        }
        write_json_atomic(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (one, other) = (args.first.display(), args.second.display());
    write!(stdout(), "first:  {one}\nsecond: {other}\n{comparison}")?;
    Ok(Ended::Well)
}

/// The same row by its text and its label.
fn check_same_row(args: &CompareArgs, one: &Outcome, other: &Outcome) -> anyhow::Result<()> {
    let (first, second) = (args.first.display(), args.second.display());
    for (text, other_text) in one.texts.iter().zip(&other.texts) {
        if text != other_text {
            bail!(
                "row {} has another text in {first} ({}) than in {second} ({})\nhint: both files must be predictions \
                 of the same rows in the same order",
                one.number,
                beginning(text),
                beginning(other_text)
            );
        }
    }
    if one.label != other.label {
        bail!("row {} has another label in {first} than in {second}", one.number);
    }
    Ok(())
}

fn beginning(text: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = text.chars().take(SHOWN).collect();
    format!("{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
}
