//! `serin pretrain`.

mod console;

use super::{Ended, interrupt, train};
use crate::args::PretrainArgs;
use console::PretrainConsole;
use serin::pretrain::pretrain;
use serin::train::Ending;

/// Pretrains, and says how it went.
pub fn run(args: &PretrainArgs, quiet: bool) -> anyhow::Result<Ended> {
    let options = args.options(train::command_line())?;
    let mut console = PretrainConsole::new(quiet);
    let stop = interrupt::listen("Finishing the step and saving; once more ends at once.");
    let done = pretrain(&options, &mut console, &stop)?;
    console.clear();
    let folder = done.folder.root().display();
    if done.ending == Ending::Interrupted {
        console.note(&format!("Interrupted; what was done is in {folder}. Go on with the same command and --resume."));
        return Ok(Ended::Interrupted);
    }
    match done.best_loss {
        Some(loss) => {
            let best = done.folder.best();
            console.note(&format!("Best held-out loss: {loss:.4}, perplexity {:.2}", loss.exp()));
            console.note(&format!(
                "The best model is in {0}; try: serin fill-mask {0} \"a <mask> text\", serin train --model {0}",
                best.display()
            ));
        }
        None => console.note("No evaluation has a loss that is a number, so no weights were kept."),
    }
    Ok(Ended::Well)
}
