//! The commands, one file each.

mod bench;
mod cache;
mod compare;
mod evaluate;
mod inspect;
mod interrupt;
mod predict;
mod scoring;
mod train;

use crate::args::{Cli, Command};

/// How a command ended, if not with an error.
pub enum Ended {
    /// It did all of its work.
    Well,
    /// It was interrupted, and can be gone on with.
    Interrupted,
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> anyhow::Result<Ended> {
    match cli.command {
        Command::Train(args) => train::run(&args, cli.quiet),
        Command::Cache { action } => cache::run(&action),
        Command::Evaluate(args) => evaluate::run(&args, cli.quiet),
        Command::Predict(args) => predict::run(&args, cli.quiet),
        Command::Compare(args) => compare::run(&args),
        Command::Inspect(args) => inspect::run(&args, cli.quiet),
        Command::Bench(args) => bench::run(&args, cli.quiet),
    }
}
