//! What `predict` and `evaluate` share: rows in, logits out, in constant memory.

mod feed;
mod meter;
mod queue;
mod recorded;

pub use feed::{Chunk, Fed, Feed, Pace};
pub use meter::Meter;
pub use recorded::{Recorder, is_defined, prediction_columns};

use crate::args::{DeviceArgs, ModelArgs};
use crate::terminal::DownloadBars;
use serin::{Classifier, Pretrained, SerinError};
use std::path::{Path, PathBuf};

/// A model on its device, and where its files are.
pub struct Opened {
    /// The model.
    pub classifier: Classifier,
    /// Its folder.
    pub folder: PathBuf,
}

/// Opens the model that a command names, downloading it if need be.
pub fn open_classifier(name: &str, text: &ModelArgs, device: &DeviceArgs, quiet: bool) -> Result<Opened, SerinError> {
    let pretrained = Pretrained::open_with_progress(name, &text.options(), &DownloadBars::new(quiet))?;
    let folder = pretrained.folder.path().to_owned();
    Ok(Opened { classifier: Classifier::new(pretrained, device.options())?, folder })
}

/// Fails where `path` is taken already or its folder cannot be written to: better now than after an hour.
pub fn check_output(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    if path.exists() && !overwrite {
        anyhow::bail!("{} already exists\nhint: name another file, or replace it with --overwrite", path.display());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(parent).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    Ok(())
}
