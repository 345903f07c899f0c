//! `trainer_state.json` as the Hugging Face `Trainer` writes and reads it (transformers 5, `TrainerState`).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::Builder;

use super::ReportError;

/// The file's name in an output folder and in each checkpoint.
pub const TRAINER_STATE_FILE: &str = "trainer_state.json";

/// Where a run stands and what it has logged. Fields are in the file's (alphabetical) order; those missing on reading take
/// `transformers`' defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainerState {
    /// Step of the best metric.
    pub best_global_step: Option<u64>,
    /// Best value of the metric that selects.
    pub best_metric: Option<f64>,
    /// Folder of the best weights.
    pub best_model_checkpoint: Option<String>,
    /// Epochs done, with the fraction of the current one.
    pub epoch: f64,
    /// Steps between evaluations.
    pub eval_steps: u64,
    /// Optimizer steps done.
    pub global_step: u64,
    /// Always false here.
    pub is_hyper_param_search: bool,
    /// Always true with one process.
    pub is_local_process_zero: bool,
    /// Always true with one process.
    pub is_world_process_zero: bool,
    /// Everything logged, oldest first.
    pub log_history: Vec<LogEntry>,
    /// Steps between log entries.
    pub logging_steps: u64,
    /// Optimizer steps of the whole run.
    pub max_steps: u64,
    /// Tokens read in training.
    pub num_input_tokens_seen: u64,
    /// Epochs of the whole run.
    pub num_train_epochs: u64,
    /// Steps between checkpoints.
    pub save_steps: u64,
    /// What callbacks remember.
    pub stateful_callbacks: StatefulCallbacks,
    /// Floating point operations done.
    pub total_flos: f64,
    /// Rows a batch.
    pub train_batch_size: Option<u64>,
    /// Name within a hyper-parameter search.
    pub trial_name: Option<String>,
    /// Settings within a hyper-parameter search.
    pub trial_params: Option<BTreeMap<String, Value>>,
}

impl Default for TrainerState {
    fn default() -> Self {
        Self {
            best_global_step: None,
            best_metric: None,
            best_model_checkpoint: None,
            epoch: 0.0,
            eval_steps: 500,
            global_step: 0,
            is_hyper_param_search: false,
            is_local_process_zero: true,
            is_world_process_zero: true,
            log_history: Vec::new(),
            logging_steps: 500,
            max_steps: 0,
            num_input_tokens_seen: 0,
            num_train_epochs: 0,
            save_steps: 500,
            stateful_callbacks: StatefulCallbacks::default(),
            total_flos: 0.0,
            train_batch_size: None,
            trial_name: None,
            trial_params: None,
        }
    }
}

/// One entry of the log: numbers by name, with `epoch` and `step`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogEntry(pub BTreeMap<String, Value>);

impl LogEntry {
    /// An entry of any metrics, e.g. `eval_accuracy`. A number without a JSON form (NaN, infinity) becomes `null`.
    pub fn new<'a>(metrics: impl IntoIterator<Item = (&'a str, f64)>, epoch: f64, step: u64) -> Self {
        let mut values: BTreeMap<String, Value> =
            metrics.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        values.insert("epoch".to_owned(), Value::from(epoch));
        values.insert("step".to_owned(), Value::from(step));
        Self(values)
    }

    /// The entry that `Trainer` logs every `logging_steps`: mean loss since the last, gradient norm, learning rate.
    pub fn train(loss: f64, grad_norm: f64, learning_rate: f64, epoch: f64, step: u64) -> Self {
        Self::new([("loss", loss), ("grad_norm", grad_norm), ("learning_rate", learning_rate)], epoch, step)
    }

    /// A number of the entry.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    /// The optimizer step it was logged at.
    pub fn step(&self) -> Option<u64> {
        self.0.get("step").and_then(Value::as_u64)
    }
}

/// States of the callbacks that have one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatefulCallbacks {
    /// The early-stop counter.
    #[serde(rename = "EarlyStoppingCallback", default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStoppingState>,
    /// `TrainerControl` and others, kept as they are.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// State of `EarlyStoppingCallback`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStoppingState {
    /// Its settings.
    pub args: EarlyStoppingArgs,
    /// What it has counted.
    pub attributes: EarlyStoppingAttributes,
}

/// Settings of early stopping.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlyStoppingArgs {
    /// Evaluations in a row without improvement that end the run.
    pub early_stopping_patience: u64,
    /// Least improvement that counts.
    pub early_stopping_threshold: f64,
}

/// What early stopping has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyStoppingAttributes {
    /// Evaluations in a row without improvement so far.
    pub early_stopping_patience_counter: u64,
}

impl TrainerState {
    /// Writes the file whole or not at all: a temporary file beside it, fsync, rename.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        let failed = || ReportError::io(path, "save the trainer state");
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|source| ReportError::Entry { path: path.to_owned(), source })?;
        text.push(b'\n');
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = Builder::new();
        builder.prefix(".trainer_state-").suffix(".tmp");
        readable_by_all(&mut builder);
        let mut file = builder.tempfile_in(folder).map_err(failed())?;
        file.write_all(&text).map_err(failed())?;
        file.as_file().sync_all().map_err(failed())?;
        file.persist(path).map_err(|error| failed()(error.error))?;
        sync_folder(folder).map_err(failed())
    }

    /// Reads the file. Python's bare `NaN` and `Infinity`, which `Trainer` writes for a gradient norm that overflowed, are
    /// read as `null`.
    ///
    /// # Errors
    /// [`ReportError::Io`]; [`ReportError::State`] with line, column and field.
    pub fn load(path: &Path) -> Result<Self, ReportError> {
        let text = fs::read_to_string(path).map_err(ReportError::io(path, "read the trainer state"))?;
        serde_json::from_str(&without_bare_nan(&text))
            .map_err(|source| ReportError::State { path: path.to_owned(), source })
    }
}

/// Temporary files are private by default; a finished file follows the umask as any other.
#[cfg(unix)]
fn readable_by_all(builder: &mut Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable_by_all(_: &mut Builder<'_, '_>) {}

/// Makes a rename durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Replaces `NaN`, `Infinity` and `-Infinity` outside strings by `null`.
fn without_bare_nan(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (index, part) in quoted_parts(text).enumerate() {
        if index % 2 == 1 {
            clean.push_str(part);
        } else {
            clean.push_str(&part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"));
        }
    }
    clean
}

/// Cuts JSON text into what is outside and what is inside of strings, alternating, quotes kept with the inside.
fn quoted_parts(mut rest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = if inside { string_end(rest) } else { rest.find('"').unwrap_or(rest.len()) };
        let (part, after) = rest.split_at(end);
        rest = after;
        inside = !inside;
        Some(part)
    })
}

/// Length of the string literal that `text` begins with, both quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 2)
}
