//! Flags of a run's output folder, which fine-tuning and pretraining share.

use clap::{Args, ValueEnum};
use serin::SerinError;

/// What is kept of a run, how often, and what becomes of an earlier one.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct RunArgs {
    /// Go on with the run in the output folder.
    #[arg(long, visible_alias = "resume-from-checkpoint", num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub resume: Option<bool>,
    /// Replace a run that is in the output folder.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub overwrite_output_dir: Option<bool>,
    /// Save the state every so many steps, besides every evaluation.
    #[arg(long, value_name = "N")]
    pub save_steps: Option<u64>,
    /// Log every so many steps.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub logging_steps: u64,
    /// tensorboard or none.
    #[arg(long, value_name = "TOOL")]
    pub report_to: Option<ReportToArg>,
}

/// Log tools by their flag's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportToArg {
    /// TensorBoard event files in OUT/runs.
    Tensorboard,
    /// Only the files that are always written.
    None,
}

impl RunArgs {
    /// Numbers that mean nothing.
    pub fn refuse_odd_numbers(&self) -> Result<(), SerinError> {
        refuse_zero(&[("--save-steps", self.save_steps), ("--logging-steps", Some(self.logging_steps))])
    }
}

/// Refuses the first count that is given as 0.
pub fn refuse_zero(counts: &[(&str, Option<u64>)]) -> Result<(), SerinError> {
    match counts.iter().find(|(_, count)| *count == Some(0)) {
        Some((flag, _)) => Err(SerinError::Usage(format!("{flag} 0: give a number from 1 up, or leave the flag out"))),
        None => Ok(()),
    }
}
