//! A model folder, opened: configuration and weights that agree, and a plan for its head.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serin_model::{Group, ModelConfig, ModelError, ParameterSpec, ProblemType};

use super::check::{Check, is_float};
use super::labels::{Rows, match_rows};
use super::names::{Located, file_name, locate, plain_name};
use super::recorded::{RecordedText, read_json_file};
use super::report::{LoadReport, list, on_unused};
use crate::save::recover_dir;
use crate::tensors::{TensorView, WeightFiles};
use crate::{CheckpointError, Hint};

/// The two layers of a classification head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadLayer {
    Dense,
    Output,
}

impl HeadLayer {
    pub(super) fn of(parameter: &str) -> Option<HeadLayer> {
        let part = parameter.strip_prefix("head.")?;
        Some(if part.starts_with("output.") { HeadLayer::Output } else { HeadLayer::Dense })
    }
}

/// A model folder whose configuration and weights have been checked against each other.
///
/// Nothing but headers has been read; the weights are mapped and converted by [`LoadedFolder::source`].
#[derive(Debug)]
pub struct LoadedFolder {
    path: PathBuf,
    config: ModelConfig,
    weights: WeightFiles,
    /// Our name to the tensor's, of everything that is used.
    located: HashMap<String, String>,
    unused: Vec<String>,
    rows: Rows,
    /// The labels of the file's rows; `None` where it has no last layer of this shape.
    stored_labels: Option<Vec<String>>,
    recorded: Option<RecordedText>,
    /// Sentences on tensors of the head that do not fit.
    misfits: Vec<String>,
}

impl LoadedFolder {
    /// Opens a folder with `config.json` and weights.
    ///
    /// # Errors
    /// Whatever is wrong with one of the files or between them, with path, key or tensor, and a hint. A head that is
    /// missing is no error: see [`LoadedFolder::has_trained_head`].
    pub fn open(folder: &Path) -> Result<LoadedFolder, CheckpointError> {
        if !folder.exists() {
            recover_dir(folder)?;
        }
        let config_path = folder.join("config.json");
        let mut config = read_config(&config_path)?;
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
        self.rows.from.iter().all(Option::is_some) && head.into_iter().all(|spec| self.located.contains_key(&spec.name))
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

    /// What is read, new, carried over and unused, in sentences.
    pub fn report(&self) -> LoadReport {
        let specs = self.config.parameters();
        let (taken, missing): (Vec<&ParameterSpec>, Vec<_>) =
            specs.iter().partition(|spec| self.located.contains_key(&spec.name) && !self.starts_fresh(&spec.name));
        let mut dtypes: Vec<(String, usize)> = Vec::new();
        for view in taken.iter().filter_map(|spec| self.view(&spec.name)) {
            let name = format!("{:?}", view.dtype);
            match dtypes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => dtypes.push((name, 1)),
            }
        }
        dtypes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let file_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut report = LoadReport {
            tensors: taken.len(),
            parameters: taken.iter().map(|spec| self.elements_read(spec) as u64).sum(),
            files: self.weights.paths().into_iter().filter_map(file_of).collect(),
            dtypes: dtypes.into_iter().map(|(name, _)| name).collect(),
            new_parameters: missing.iter().map(|spec| spec.name.clone()).collect(),
            unused_tensors: self.unused.clone(),
            unused: on_unused(&self.unused, |name| plain_name(name).into_owned()),
            carried: self.rows.sentence.iter().cloned().collect(),
            ..LoadReport::default()
        };
        report.taken = format!(
            "Read {} tensors with {} parameters ({}) from {}.",
            report.tensors,
            report.parameters,
            report.dtypes.join(", "),
            report.files.join(", ")
        );
        let new: Vec<String> = missing.iter().map(|spec| file_name(self.config.family, &spec.name)).collect();
        if !new.is_empty() {
            let why = "this is normal before fine-tuning, and the model's answers mean nothing until then";
            report.new.push(format!("New, drawn at random: {}: {why}.", list(&new)));
        }
        report.new.extend(self.misfits.iter().cloned());
        report
    }

    /// The tensor of a parameter of ours.
    pub(super) fn view(&self, parameter: &str) -> Option<TensorView<'_>> {
        self.weights.get(self.located.get(parameter)?)
    }

    /// For each label the file's row, or `None` for a fresh one.
    pub(super) fn rows(&self) -> &[Option<usize>] {
        &self.rows.from
    }

    /// Of the last layer only the rows that were carried over.
    fn elements_read(&self, spec: &ParameterSpec) -> usize {
        match HeadLayer::of(&spec.name) {
            Some(HeadLayer::Output) => spec.len() / self.rows.from.len() * self.rows.from.iter().flatten().count(),
            _ => spec.len(),
        }
    }

    fn starts_fresh(&self, parameter: &str) -> bool {
        HeadLayer::of(parameter) == Some(HeadLayer::Output) && self.rows.from.iter().all(Option::is_none)
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

fn refuse_unusable(labels: &[String]) -> Result<(), CheckpointError> {
    let fail = |value: &str, reason: &str| {
        let (value, reason) = (value.to_owned(), reason.to_owned());
        Err(CheckpointError::InvalidSetting { what: "label", value, reason, hint: Hint::NONE })
    };
    let mut seen = HashSet::new();
    match labels.iter().find(|label| !seen.insert(label.as_str())) {
        Some(twice) => fail(twice, "is there twice"),
        None if labels.is_empty() => fail("", "a classifier needs at least one label, and none was given"),
        None => Ok(()),
    }
}

/// Takes tensors of the head out of `tensors` that cannot be this head's: of another width, or no floats.
fn drop_misfits(
    config: &ModelConfig,
    weights: &WeightFiles,
    tensors: &mut HashMap<String, String>,
    unused: &mut Vec<String>,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for layer in ["head.dense", "head.output"] {
        let names = ["weight", "bias"].map(|part| format!("{layer}.{part}"));
        let [matrix, bias] = names.each_ref().map(|name| weights.get(tensors.get(name)?));
        let outs = matrix.as_ref().and_then(|view| view.shape.first().copied()).unwrap_or(0);
        let outs = if layer == "head.dense" { config.hidden } else { outs };
        let fits = |view: &Option<TensorView<'_>>, shape: &[usize]| {
            view.as_ref().is_none_or(|view| view.shape == shape && is_float(view.dtype))
        };
        if matrix.is_some() && fits(&matrix, &[outs, config.hidden]) && fits(&bias, &[outs]) && outs > 0 {
            continue;
        }
        let found = matrix.or(bias).map(|view| (view.name.to_owned(), view.shape, view.dtype));
        if let Some((name, shape, dtype)) = found {
            sentences.push(format!(
                "'{name}' ({dtype:?}, {shape:?}) does not fit a head of width {}: that layer starts afresh.",
                config.hidden
            ));
        }
        unused.extend(names.iter().filter_map(|name| tensors.remove(name)));
    }
    sentences
}

/// The names of the last layer's rows. A configuration that is silent on labels takes their number from the tensor.
fn stored_labels(
    config: &mut ModelConfig,
    path: &Path,
    weights: &WeightFiles,
    tensors: &HashMap<String, String>,
) -> Result<Option<Vec<String>>, CheckpointError> {
    let Some(view) = tensors.get("head.output.weight").and_then(|name| weights.get(name)) else { return Ok(None) };
    let rows = view.shape.first().copied().unwrap_or(0);
    if config.labels.len() != rows {
        let silent = ["id2label", "num_labels"].iter().all(|key| config.raw.get(*key).is_none_or(Value::is_null));
        if !silent {
            let reason = format!(
                "names {} labels, but tensor '{}' in {} has shape {:?}",
                config.labels.len(),
                view.name,
                view.path.display(),
                view.shape
            );
            let hint = format!("give \"id2label\" {rows} names, one a row of that tensor");
            let (path, field) = (path.to_owned(), "id2label".to_owned());
            return Err(CheckpointError::Field { path, field, reason, hint: hint.into() });
        }
        config.labels = (0..rows).map(|id| format!("LABEL_{id}")).collect();
    }
    Ok(Some(config.labels.clone()))
}
