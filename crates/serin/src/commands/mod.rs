//! The commands, one file each.

mod bench;
mod cache;
mod compare;
mod dataset;
mod evaluate;
mod fill_mask;
mod inspect;
mod interrupt;
mod predict;
mod pretrain;
mod scoring;
mod tokenizer;
mod train;

use crate::args::{Cli, Command, TokenizerAction};

/// How a command ended, if not with an error.
pub enum Ended {
    /// It did all of its work.
    Well,
    /// It was interrupted, and can be gone on with.
    Interrupted,
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> anyhow::Result<Ended> {
    if !cli.quiet {
        serin::on_waiting(|text| eprintln!("note: {text}"));
    }
    match cli.command {
        Command::Train(args) => train::run(&args, cli.quiet),
        Command::Cache { action } => cache::run(&action),
        Command::Tokenizer { action: TokenizerAction::Train(args) } => tokenizer::run(&args, cli.quiet),
        Command::Evaluate(args) => evaluate::run(&args.resolve().unwrap_or_else(|error| error.exit()), cli.quiet),
        Command::Predict(args) => predict::run(&args.resolve().unwrap_or_else(|error| error.exit()), cli.quiet),
        Command::Compare(args) => compare::run(&args),
        Command::Inspect(args) => inspect::run(&args, cli.quiet),
        Command::Bench(args) => bench::run(&args, cli.quiet),
        Command::Pretrain(args) => pretrain::run(&args, cli.quiet),
        Command::FillMask(args) => fill_mask::run(&args, cli.quiet),
    }
}
