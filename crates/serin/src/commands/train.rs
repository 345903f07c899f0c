//! `serin train`.

use super::{Ended, dataset, interrupt};
use crate::args::TrainArgs;
use crate::terminal::{TrainConsole, metric_name, one_line};
use serin::embedded::SERIN_TINY;
use serin::fine_tune::{FineTuneOptions, FineTuned, Sample, SelectOn, StartingModel, fine_tune};
use serin::train::Ending;
use std::path::Path;

/// Trains, and says how it went.
pub fn run(args: &TrainArgs, quiet: bool) -> anyhow::Result<Ended> {
    let fetch = |name: &str| dataset::locate(Path::new(name), quiet);
    let options = args.options(fetch, command_line())?;
    let mut console = TrainConsole::new(options.select_on, quiet);
    if args.model.is_none() && matches!(&options.model, StartingModel::Pretrained(name) if name == SERIN_TINY) {
        console.note("No --model given: starting from serin-tiny, the small pretrained encoder that ships with Serin.");
    }
    if options.data.train.is_none() {
        console.note("No data given: using the 3,000 labelled sentences that ship with Serin (CC BY 4.0).");
    }
    let stop = interrupt::listen("Finishing the step and saving; once more ends at once.");
    let done = fine_tune(&options, &mut console, &stop)?;
    console.clear();
    report(&done, &options, &console);
    Ok(if done.ending == Ending::Interrupted { Ended::Interrupted } else { Ended::Well })
}

fn report(done: &FineTuned, options: &FineTuneOptions, console: &TrainConsole) {
    let best = done.folder.best();
    match (done.ending, done.best) {
        (Ending::Interrupted, _) => {
            console.note(&format!(
                "Interrupted; the state is saved in {}. Go on with the same command and --resume.",
                done.folder.state().display()
            ));
            return;
        }
        (_, Some((value, epoch))) => {
            let split = match options.select_on {
                SelectOn::Validation => "validation",
                SelectOn::Test => "test",
            };
            let metric = metric_name(done.metric);
            console.note(&format!("Best {split} {metric}: {value:.4} in epoch {epoch}"));
            console.note("Applying optimal model weights.");
        }
        (_, None) => {
            console.note(
                "No epoch has a value of the selection metric, so none was kept.\nhint: --metric-for-best-model loss \
                 always has one",
            );
            return;
        }
    }
    if let Some(test) = &done.test {
        println!("{test}");
    }
    if options.data.train.is_none() {
        console.note(&sample_table(&done.samples));
    }
    console.note(&format!("The best model is in {}; try: serin predict {} \"a text\"", best.display(), best.display()));
}

/// What the model says of a few texts, wrong ones marked.
fn sample_table(samples: &[Sample]) -> String {
    let mut table = String::from("Some of the test texts:");
    for Sample { text, label, predicted, score } in samples {
        let mark = if label == predicted { String::new() } else { format!("  (labelled {label})") };
        table.push_str(&format!("\n  {predicted:<9} {score:.3}  {}{mark}", one_line(text)));
    }
    table
}

/// What was typed, for model cards.
pub(super) fn command_line() -> String {
    let words: Vec<String> = std::env::args().map(|argument| shell_word(&argument)).collect();
    words.join(" ")
}

/// Quoted where a shell would need it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
