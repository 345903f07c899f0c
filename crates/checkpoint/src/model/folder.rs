//! A model folder, opened: configuration and weights that agree, and a plan for its head.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serin_model::{Group, ModelConfig, ModelError, ProblemType, Task};

use super::check::Check;
use super::head::{drop_misfits, stored_labels};
use super::labels::{Rows, match_rows, refuse_unusable};
use super::names::{Located, locate};
use super::recorded::{RecordedText, read_json_file};
use crate::save::recover_dir;
use crate::tensors::{TensorView, WeightFiles};
use crate::{CheckpointError, Hint};

/// A model folder whose configuration and weights have been checked against each other.
///
/// Nothing but headers has been read; the weights are mapped and converted by [`LoadedFolder::source`].
#[derive(Debug)]
pub struct LoadedFolder {
    path: PathBuf,
    config: ModelConfig,
    weights: WeightFiles,
    /// Our name to the tensor's, of everything that is used.
    pub(super) located: HashMap<String, String>,
    pub(super) unused: Vec<String>,
    pub(super) rows: Rows,
    /// The labels of the file's rows; `None` where it has no last layer of this shape.
    stored_labels: Option<Vec<String>>,
    recorded: Option<RecordedText>,
    /// Sentences on tensors of the head that do not fit.
    pub(super) misfits: Vec<String>,
}

impl LoadedFolder {
    /// Opens a folder with `config.json` and weights.
    ///
    /// # Errors
    /// Whatever is wrong with one of the files or between them, with path, key or tensor, and a hint. A head that is
    /// missing is no error: see [`LoadedFolder::has_trained_head`].
    pub fn open(folder: &Path) -> Result<LoadedFolder, CheckpointError> {
        LoadedFolder::open_with(folder, |config| config)
    }

    /// Opens a folder as a model for masked language modelling: with the head of `…ForMaskedLM` where the folder has one.
    ///
    /// # Errors
    /// Those of [`LoadedFolder::open`].
    pub fn open_masked_language(folder: &Path) -> Result<LoadedFolder, CheckpointError> {
        LoadedFolder::open_with(folder, ModelConfig::for_masked_language)
    }

    fn open_with(
        folder: &Path,
        with_head: impl FnOnce(ModelConfig) -> ModelConfig,
    ) -> Result<LoadedFolder, CheckpointError> {
        if !folder.exists() {
            recover_dir(folder)?;
        }
        let config_path = folder.join("config.json");
        let mut config = with_head(read_config(&config_path)?);
        let weights = WeightFiles::open(folder)?;
        let Located { mut tensors, mut unused } = locate(config.family, &config.parameters(), &weights)?;
        Check { config: &config, config_path: &config_path, weights: &weights, located: &tensors }
            .encoder(&config.parameters())?;
        let misfits = drop_misfits(&config, &weights, &mut tensors, &mut unused);
        let stored_labels = stored_labels(&mut config, &config_path, &weights, &tensors)?;
        let rows = match &stored_labels {
            Some(labels) => Rows::as_stored(labels.clone()),
            None => Rows::fresh(config.labels.clone()),
        };
        let recorded = RecordedText::read(folder)?;
        let path = folder.to_owned();
        Ok(LoadedFolder { path, config, weights, located: tensors, unused, rows, stored_labels, recorded, misfits })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration, with the labels that [`LoadedFolder::prepare_labels`] decided on.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same, to change dropout before a model is built; sizes and labels must stay as they are.
    pub fn config_mut(&mut self) -> &mut ModelConfig {
        &mut self.config
    }

    /// The weight files.
    pub fn weights(&self) -> &WeightFiles {
        &self.weights
    }

    /// How texts were prepared when the model was trained, where that was recorded.
    pub fn recorded_text(&self) -> Option<&RecordedText> {
        self.recorded.as_ref()
    }

    /// Whether every parameter of the head is read and none is new: whether predictions mean anything before training.
    pub fn has_trained_head(&self) -> bool {
        let head = self.config.parameters().into_iter().filter(|spec| spec.group == Group::Head);
        let has_rows = self.config.task != Task::Classification || self.rows.from.iter().all(Option::is_some);
        has_rows && head.into_iter().all(|spec| self.located.contains_key(&spec.name))
    }

    /// Decides the labels of the model: `wanted`, or the checkpoint's own; and the problem type, where it is given.
    ///
    /// Rows of the last layer go to labels of the same name, whatever the case; as many labels on both sides of which one
    /// has only placeholders (`LABEL_0`) are matched by id and keep the real names. What has no counterpart starts fresh.
    /// Afterwards [`LoadedFolder::config`] has the labels, in the order of `wanted`.
    ///
    /// # Errors
    /// [`CheckpointError::InvalidSetting`] for no labels or one twice.
    pub fn prepare_labels(
        &mut self,
        wanted: Option<&[String]>,
        problem_type: Option<ProblemType>,
    ) -> Result<(), CheckpointError> {
        if let Some(wanted) = wanted {
            refuse_unusable(wanted)?;
            self.rows = match &self.stored_labels {
                Some(stored) => match_rows(wanted, stored),
                None => Rows::fresh(wanted.to_vec()),
            };
        }
        let labels = self.rows.labels.clone();
        let implied = match (labels.len(), self.config.problem_type) {
            (count, Some(stated)) if count == self.config.labels.len() => stated,
            (1, _) => ProblemType::Regression,
            (_, Some(ProblemType::MultiLabelClassification)) => ProblemType::MultiLabelClassification,
            _ => ProblemType::SingleLabelClassification,
        };
        self.config.set_labels(labels, problem_type.unwrap_or(implied));
        Ok(())
    }

    /// The tensor of a parameter of ours.
    pub(super) fn view(&self, parameter: &str) -> Option<TensorView<'_>> {
        self.weights.get(self.located.get(parameter)?)
    }
}

fn read_config(path: &Path) -> Result<ModelConfig, CheckpointError> {
    let text = read_json_file(path).map_err(|error| match error {
        CheckpointError::Io { path, action, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            let hint = "a model folder has a config.json beside its weights; is this the right folder?".into();
            CheckpointError::Io { path, action, source, hint }
        }
        other => other,
    })?;
    let json: Value = serde_json::from_slice(&text)
        .map_err(|error| CheckpointError::format(path, format!("is not valid JSON: {error}"), Hint::NONE))?;
    ModelConfig::from_json(&json).map_err(|error| match error {
        ModelError::Key { key, reason } => {
            CheckpointError::Field { path: path.to_owned(), field: key.to_owned(), reason, hint: Hint::NONE }
        }
        other => CheckpointError::format(path, other.to_string(), Hint::NONE),
    })
}
