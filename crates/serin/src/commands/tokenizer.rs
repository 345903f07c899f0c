//! `serin tokenizer train`.

use super::{Ended, interrupt};
use crate::args::LearnTokenizerArgs;
use crate::terminal::clock;
use serin::learn_tokenizer::{LearningStage, learn_tokenizer};

/// How often the line is written anew, in documents.
const SHOWN_DOCUMENTS: u64 = 256;

/// Learns, and says what.
pub fn run(args: &LearnTokenizerArgs, quiet: bool) -> anyhow::Result<Ended> {
    let options = args.options();
    let stop = interrupt::listen("Stopping; nothing will be written. Once more ends at once.");
    let line = clock(quiet);
    let mut show = |stage: LearningStage| match stage {
        LearningStage::Counting { documents, bytes } if documents.is_multiple_of(SHOWN_DOCUMENTS) => {
            line.set_message(format!("counting words: {documents} documents, {:.1} MB", bytes as f64 / 1e6));
        }
        LearningStage::Counting { .. } => {}
        LearningStage::Merging { words } => line.set_message(format!("merging: {words} distinct words")),
    };
    let learned = learn_tokenizer(&options, &mut show, &stop);
    line.finish_and_clear();
    let Some(learned) = learned? else { return Ok(Ended::Interrupted) };
    if quiet {
        return Ok(Ended::Well);
    }
    let blank = if learned.blank == 0 { String::new() } else { format!(" ({} blank ones passed over)", learned.blank) };
    eprintln!("Read {} documents{blank}, {:.1} MB of text", learned.documents, learned.bytes as f64 / 1e6);
    let wanted = options.bpe.vocab_size;
    let short = if learned.vocab_size == wanted {
        String::new()
    } else {
        format!(", fewer than {wanted}: no other pair is there {} times", options.bpe.min_frequency)
    };
    eprintln!("Learned {} tokens from {} distinct words{short}", learned.vocab_size, learned.distinct_words);
    eprintln!("A word of the first documents takes {:.3} tokens", learned.tokens_per_word);
    eprintln!("The tokenizer is in {}", options.output.display());
    Ok(Ended::Well)
}
