//! A run's output folder: where things lie, whose it is, and whether a resumed run is the same run.
//!
//! ```text
//! OUT/
//!   best/                the best model, a folder that `transformers` opens
//!   state/               trained weights, moments and progress, to resume from
//!   run.json             what the run was asked to compute
//!   train_log.jsonl      one line a step that is logged, one an epoch
//!   trainer_state.json   the same as Hugging Face's Trainer keeps it
//!   all_results.json     the results, at the end
//!   runs/                TensorBoard event files
//! ```

use crate::error::SerinError;
use crate::pretrained::BEST_FOLDER;
use serde_json::{Map, Value};
use serin_checkpoint::save::write_json_atomic;
use std::path::{Path, PathBuf};

/// The layout above.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The folder at `root`, made if need be and tried for writing.
    pub(crate) fn create(root: &Path) -> Result<RunFolder, SerinError> {
        let folder = RunFolder { root: root.to_owned() };
        let fail = |action: &str, error: std::io::Error| {
            SerinError::Usage(format!(
                "{}: cannot {action}: {error}\nhint: choose another --output-dir",
                root.display()
            ))
        };
        std::fs::create_dir_all(root).map_err(|error| fail("make the output folder", error))?;
        // Better now than after the first epoch.
        let probe = root.join(format!(".serin-{}.tmp", std::process::id()));
        std::fs::write(&probe, b"").map_err(|error| fail("write into the output folder", error))?;
        let _ = std::fs::remove_file(&probe);
        Ok(folder)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The best model.
    pub fn best(&self) -> PathBuf {
        self.root.join(BEST_FOLDER)
    }

    /// The resumable state.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The log of steps and epochs.
    pub fn log(&self) -> PathBuf {
        self.root.join("train_log.jsonl")
    }

    /// The state in the form of Hugging Face's Trainer.
    pub fn trainer_state(&self) -> PathBuf {
        self.root.join("trainer_state.json")
    }

    /// TensorBoard's folder.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The results.
    pub fn results(&self) -> PathBuf {
        self.root.join("all_results.json")
    }

    fn settings(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// Whether a run has been here.
    fn holds_a_run(&self) -> bool {
        self.settings().exists() || self.best().exists()
    }

    /// A folder with a run is neither overwritten nor gone on with unless that was asked for.
    pub(crate) fn refuse_to_overwrite(&self, resume: bool, overwrite: bool) -> Result<(), SerinError> {
        if !self.holds_a_run() || resume || overwrite {
            return Ok(());
        }
        Err(SerinError::Usage(format!(
            "{}: holds a run already\nhint: --resume goes on with it, --overwrite-output-dir replaces it, another \
             --output-dir keeps it",
            self.root.display()
        )))
    }

    /// Makes sure that a resumed run is the same, or clears an older one away and records what this one computes.
    pub(crate) fn prepare(&self, settings: &Map<String, Value>, resume: bool) -> Result<(), SerinError> {
        if resume && self.holds_a_run() {
            return self.check_settings(settings);
        }
        if self.holds_a_run() {
            self.clear()?;
        }
        self.write_settings(settings)
    }

    /// Removes what an earlier run left, and nothing else.
    fn clear(&self) -> Result<(), SerinError> {
        for path in [self.best(), self.state(), self.tensorboard()] {
            if path.exists() {
                std::fs::remove_dir_all(&path).map_err(|error| cannot_remove(&path, &error))?;
            }
        }
        for path in [self.settings(), self.log(), self.trainer_state(), self.results()] {
            if path.exists() {
                std::fs::remove_file(&path).map_err(|error| cannot_remove(&path, &error))?;
            }
        }
        Ok(())
    }

    /// Records what the run computes.
    fn write_settings(&self, settings: &Map<String, Value>) -> Result<(), SerinError> {
        Ok(write_json_atomic(&self.settings(), settings)?)
    }

    /// Refuses to resume with other settings, by the names of those that changed.
    fn check_settings(&self, settings: &Map<String, Value>) -> Result<(), SerinError> {
        let path = self.settings();
        let fail = |error: String| SerinError::Usage(format!("{}: {error}", path.display()));
        let text = std::fs::read(&path).map_err(|error| fail(error.to_string()))?;
        let stored: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?;
        let mut changed = Vec::new();
        compare("", &stored, settings, &mut changed);
        if changed.is_empty() {
            return Ok(());
        }
        Err(SerinError::Usage(format!(
            "cannot resume the run in {}: its settings differ\n  {}\nhint: start it with the old settings, or a new run in \
             another --output-dir",
            self.root.display(),
            changed.join("\n  ")
        )))
    }
}

fn cannot_remove(path: &Path, error: &std::io::Error) -> SerinError {
    SerinError::Usage(format!("{}: cannot remove it: {error}", path.display()))
}

/// Collects "name: was A, now B" for every leaf that differs.
fn compare(prefix: &str, old: &Map<String, Value>, new: &Map<String, Value>, changed: &mut Vec<String>) {
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    for key in keys {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => compare(&name, old, new, changed),
            (old, new) if old != new => {
                let show = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
                changed.push(format!("{name}: was {}, now {}", show(old), show(new)));
            }
            _ => {}
        }
    }
}
