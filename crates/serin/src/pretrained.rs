//! A model folder or Hub id, opened: weights, tokenizer, and how its texts are to be prepared.

use crate::embedded::{self, SERIN_TINY};
use crate::error::SerinError;
use serin_checkpoint::CheckpointError;
use serin_checkpoint::hub::{Hub, Progress, Silent, resolve};
use serin_checkpoint::model::{LoadedFolder, RecordedText};
use serin_text::{EncodeSettings, Normalization, Tokenizer, Truncation, is_cardiffnlp_model};
use std::path::{Path, PathBuf};

/// The folder inside a run's output folder that holds its best model.
pub const BEST_FOLDER: &str = "best";

/// What of a model's text preparation is overridden; `None` keeps what the model records, or the default.
#[derive(Clone, Debug, Default)]
pub struct PretrainedOptions {
    /// Branch, tag, pull request or commit on the Hub.
    pub revision: Option<String>,
    /// Tokens kept of a text, special tokens included.
    pub max_length: Option<usize>,
    /// Which tokens are kept.
    pub truncation: Option<Truncation>,
    /// What is done to texts before they are tokenized.
    pub normalization: Option<Normalization>,
}

/// An opened model: nothing is computed yet and no weight is read.
#[derive(Debug)]
pub struct Pretrained {
    /// What it was asked for by.
    pub name: String,
    /// Configuration and weights.
    pub folder: LoadedFolder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// How texts become token ids.
    pub text: EncodeSettings,
}

impl Pretrained {
    /// Opens a folder (a model's, or a run's with its `best` model) or a Hub id.
    pub fn open(name: &str, options: &PretrainedOptions) -> Result<Pretrained, SerinError> {
        Pretrained::open_with_progress(name, options, &Silent)
    }

    /// The same, telling `progress` of downloads.
    pub fn open_with_progress(
        name: &str,
        options: &PretrainedOptions,
        progress: &dyn Progress,
    ) -> Result<Pretrained, SerinError> {
        Pretrained::open_folder(name, options, progress, LoadedFolder::open)
    }

    /// The same as a model for masked language modelling.
    pub fn open_masked_language(
        name: &str,
        options: &PretrainedOptions,
        progress: &dyn Progress,
    ) -> Result<Pretrained, SerinError> {
        Pretrained::open_folder(name, options, progress, LoadedFolder::open_masked_language)
    }

    fn open_folder(
        name: &str,
        options: &PretrainedOptions,
        progress: &dyn Progress,
        open: impl FnOnce(&Path) -> Result<LoadedFolder, CheckpointError>,
    ) -> Result<Pretrained, SerinError> {
        let path = locate(name, options, progress)?;
        let folder = open(&path)?;
        let config = folder.config();
        let tokenizer = Tokenizer::from_dir(&path, config.family.model_type(), config.max_length())?;
        if tokenizer.largest_id() as usize >= config.vocab {
            return Err(SerinError::Refused(format!(
                "{}: the tokenizer has ids up to {}, the model's vocabulary ends at {}\nhint: tokenizer and weights are \
                 of different models",
                path.display(),
                tokenizer.largest_id(),
                config.vocab - 1
            )));
        }
        let recorded = folder.recorded_text().cloned().unwrap_or_default();
        let text = text_settings(name, options, &recorded, &tokenizer, &path)?;
        say_shortened(options, &text, progress);
        Ok(Pretrained { name: name.to_owned(), folder, tokenizer, text })
    }
}

/// The folder of a model, or of the best model of a run; downloaded if `name` is a Hub id.
///
/// # Errors
/// No such folder, or the Hub's.
pub fn locate(name: &str, options: &PretrainedOptions, progress: &dyn Progress) -> Result<PathBuf, SerinError> {
    if name == SERIN_TINY && !Path::new(name).exists() {
        return embedded::folder();
    }
    let best = Path::new(name).join(BEST_FOLDER);
    if !Path::new(name).join("config.json").exists() {
        serin_checkpoint::save::recover_dir(&best)?;
        if best.join("config.json").exists() {
            return Ok(best);
        }
    }
    let hub = Hub::from_env()?;
    Ok(resolve(name, options.revision.as_deref(), &hub, progress)?)
}

/// Says that the model reads less than was asked for.
pub(crate) fn say_shortened(options: &PretrainedOptions, text: &EncodeSettings, progress: &dyn Progress) {
    if let Some(asked) = options.max_length.filter(|&asked| asked > text.max_length) {
        progress.notice(&format!("--max-length {asked}: the model reads {} tokens at most", text.max_length));
    }
}

/// How texts become token ids: options over what the model records over defaults.
///
/// # Errors
/// A value in `serin.json` that is not known.
pub fn text_settings(
    name: &str,
    options: &PretrainedOptions,
    recorded: &RecordedText,
    tokenizer: &Tokenizer,
    path: &Path,
) -> Result<EncodeSettings, SerinError> {
    let field = |field: &str, value: &str| {
        SerinError::Refused(format!("{}/serin.json: field '{field}': unknown value '{value}'", path.display()))
    };
    let truncation = match (options.truncation, recorded.truncation.as_deref()) {
        (Some(truncation), _) => truncation,
        (None, None | Some("right")) => Truncation::Right,
        (None, Some("left")) => Truncation::Left,
        (None, Some("head_tail")) => {
            recorded.head.map_or_else(Truncation::head_tail, |head| Truncation::HeadTail { head })
        }
        (None, Some(other)) => return Err(field("truncation", other)),
    };
    let normalization = match (options.normalization, recorded.normalization.as_deref()) {
        (Some(normalization), _) => normalization,
        (None, Some("none")) => Normalization::None,
        (None, Some("tweet")) => Normalization::Tweet,
        (None, Some(other)) => return Err(field("normalization", other)),
        (None, None) if is_cardiffnlp_model(name) => Normalization::Tweet,
        (None, None) => Normalization::None,
    };
    let max_length = options.max_length.or(recorded.max_length).unwrap_or(usize::MAX).min(tokenizer.max_length());
    Ok(EncodeSettings { max_length, truncation, normalization })
}

/// What `serin.json` says of these settings.
pub fn record_text(text: &EncodeSettings) -> RecordedText {
    let (truncation, head) = match text.truncation {
        Truncation::Right => ("right", None),
        Truncation::Left => ("left", None),
        Truncation::HeadTail { head } => ("head_tail", Some(head)),
    };
    let normalization = match text.normalization {
        Normalization::None => "none",
        Normalization::Tweet => "tweet",
    };
    RecordedText {
        max_length: Some(text.max_length),
        truncation: Some(truncation.into()),
        head,
        normalization: Some(normalization.into()),
        ..RecordedText::default()
    }
}

/// The tokenizer's folder where none is named: beside the configuration.
pub fn beside(config: &Path) -> &Path {
    if config.is_dir() { config } else { config.parent().unwrap_or(Path::new(".")) }
}
