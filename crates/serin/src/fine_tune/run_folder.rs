//! A run's output folder: where things lie and whose it is.
//!
//! ```text
//! OUT/
//!   best/                the best model, a folder that `transformers` opens
//!   state/               trained weights, moments and progress, to resume from
//!   run.json             what the run was asked to compute, and what computed it
//!   train_log.jsonl      one line a step that is logged, one an epoch
//!   trainer_state.json   the same as Hugging Face's Trainer keeps it
//!   all_results.json     the results, at the end
//!   runs/                TensorBoard event files
//! ```

use super::console::Console;
use crate::error::SerinError;
use crate::pretrained::BEST_FOLDER;
use serin_checkpoint::model::{FolderContents, ModelParameters, RECORDED_FILE, RecordedText, save_model_folder};
use serin_model::{Model, ParameterSource};
use serin_ops::Backend;
use serin_tensor::DType;
use serin_text::Tokenizer;
use serin_train::{Optimizer, Progress, TrainError, has_state, load_state};
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
            SerinError::Refused(format!(
                "{}: cannot {action}: {error}\nhint: choose another --output-dir",
                root.display()
            ))
        };
        std::fs::create_dir_all(root).map_err(|error| fail("make the output folder", error))?;
        // Better now than after the first epoch.
        let probe = root.join(format!(".serin-{}.tmp", std::process::id()));
        std::fs::write(&probe, b"").map_err(|error| fail("write into the output folder", error))?;
        let _ = std::fs::remove_file(&probe);
        folder.remove_aside()?;
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

    pub(super) fn settings(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// Whether a run has been here.
    pub(super) fn holds_a_run(&self) -> bool {
        self.settings().exists() || self.best().exists()
    }

    /// A folder with a run is neither overwritten nor gone on with unless that was asked for.
    pub(crate) fn refuse_to_overwrite(&self, resume: bool, overwrite: bool) -> Result<(), SerinError> {
        if !self.holds_a_run() || resume || overwrite {
            return Ok(());
        }
        Err(SerinError::Refused(format!(
            "{}: holds a run already\nhint: --resume goes on with it, --overwrite-output-dir replaces it, another \
             --output-dir keeps it",
            self.root.display()
        )))
    }

    /// Puts the state of the run to be resumed back, and says so; `None` where nothing was saved yet.
    pub(crate) fn restore<B: Backend>(
        &self,
        backend: &B,
        (model, optimizer): (&mut Model<B>, &mut Optimizer<B>),
        console: &mut dyn Console,
    ) -> Result<Option<Progress>, SerinError> {
        if !has_state(&self.state()) {
            return Ok(None);
        }
        let progress = load_state(&self.state(), backend, model, optimizer)?;
        let (step, root) = (progress.global_step, self.root.display());
        console.say(&format!("Going on after step {step} of the run in {root}."));
        Ok(Some(progress))
    }

    /// Replaces the best model: the weights in fp32, with what is frozen from `source`, the tokenizer, the model card, and how
    /// texts are prepared.
    pub(crate) fn save_best<B: Backend>(
        &self,
        backend: &B,
        model: &mut Model<B>,
        source: &mut dyn ParameterSource,
        tokenizer: &Tokenizer,
        card: &str,
        text: &RecordedText,
    ) -> Result<(), TrainError> {
        let text = serde_json::to_vec_pretty(text).map_err(|error| TrainError::Setting(error.to_string()))?;
        let config = model.config().clone();
        let contents = FolderContents {
            config: &config,
            dtype: DType::F32,
            parameters: &mut ModelParameters { model, backend, frozen: source },
            extra_files: &[("README.md", card.as_bytes()), (RECORDED_FILE, &text)],
        };
        Ok(save_model_folder(&self.best(), contents, |folder| tokenizer.save(folder))?)
    }

    /// Removes what an earlier run left, and nothing else.
    ///
    /// Everything is moved aside before anything is deleted: after a crash in the middle, each part is whole or not there.
    /// The settings go first, so that nobody goes on with what is left.
    pub(super) fn clear(&self) -> Result<(), SerinError> {
        let aside = self.aside();
        self.remove_aside()?;
        std::fs::create_dir(&aside).map_err(|error| cannot_remove(&aside, &error))?;
        let files = [self.settings(), self.results(), self.log(), self.trainer_state()];
        for path in files.into_iter().chain([self.state(), self.tensorboard(), self.best()]) {
            let Some(name) = path.file_name().filter(|_| path.exists()) else { continue };
            std::fs::rename(&path, aside.join(name)).map_err(|error| cannot_remove(&path, &error))?;
        }
        self.remove_aside()
    }

    /// Where a run lies while it is being removed.
    fn aside(&self) -> PathBuf {
        self.root.join(".replaced")
    }

    /// Removes what was moved aside, by an earlier process that died over it too.
    fn remove_aside(&self) -> Result<(), SerinError> {
        let aside = self.aside();
        match std::fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot_remove(&aside, &error)),
            _ => Ok(()),
        }
    }
}

fn cannot_remove(path: &Path, error: &std::io::Error) -> SerinError {
    SerinError::Refused(format!("{}: cannot remove it: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn run_in(root: &Path) -> RunFolder {
        let folder = RunFolder::create(root).unwrap();
        fs::create_dir_all(folder.best()).unwrap();
        fs::write(folder.best().join("config.json"), "{}").unwrap();
        fs::write(folder.settings(), "{}").unwrap();
        fs::write(root.join("notes.txt"), "mine").unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_is_removed_whole_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        run_in(root.path()).clear().unwrap();
        assert_eq!(names(root.path()), ["notes.txt"]);
    }

    #[test]
    fn where_nothing_can_be_moved_aside_nothing_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let folder = run_in(root.path());
        fs::write(folder.aside(), "in the way").unwrap();
        assert!(folder.clear().is_err());
        assert_eq!(names(root.path()), [".replaced", "best", "notes.txt", "run.json"]);
        assert_eq!(names(&folder.best()), ["config.json"]);
    }

    #[test]
    fn what_a_dead_process_moved_aside_is_swept_up() {
        let root = tempfile::tempdir().unwrap();
        let folder = run_in(root.path());
        fs::create_dir(folder.aside()).unwrap();
        fs::rename(folder.settings(), folder.aside().join("run.json")).unwrap();
        RunFolder::create(root.path()).unwrap();
        assert_eq!(names(root.path()), ["best", "notes.txt"]);
    }
}
