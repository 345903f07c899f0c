//! The `serin` command: parses, runs, prints errors, sets the exit code.
#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "nothing of a binary can be reached from outside")]

mod args;
mod commands;
mod panics;
mod terminal;

use args::{Cli, expand};
use clap::Parser;
use serin::SerinError;
use std::process::ExitCode;

/// Exit code of a run that was interrupted and can be resumed, as shells report a SIGINT.
const INTERRUPTED: u8 = 130;
/// Exit code of anything that went wrong.
const FAILED: u8 = 1;
/// Exit code of a command line that makes no sense, as clap's.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    panics::guarded(program)
}

fn program() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    let arguments = match expand(typed) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(MISUSED);
        }
    };
    match commands::run(Cli::parse_from(arguments)) {
        Ok(commands::Ended::Well) => ExitCode::SUCCESS,
        Ok(commands::Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                let cause = cause.to_string();
                // Transparent wrappers repeat what was printed.
                if !error.to_string().contains(&cause) {
                    eprintln!("  because {cause}");
                }
            }
            ExitCode::from(if is_misuse(&error) { MISUSED } else { FAILED })
        }
    }
}

/// Flags that make no sense, found after they were parsed.
fn is_misuse(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref().is_some_and(SerinError::is_usage))
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}
