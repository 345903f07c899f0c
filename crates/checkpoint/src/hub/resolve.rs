//! A model argument: a local folder if there is one, else a Hub repository.

use std::path::{Path, PathBuf};

use super::Hub;
use super::progress::Progress;
use super::repository::id_fault;
use crate::error::HubFailure;
use crate::{CheckpointError, Hint};

/// The folder of a model given by path or Hub id, downloaded if need be.
///
/// An existing folder wins. `revision` is for the Hub only.
///
/// # Errors
/// [`CheckpointError::NotFoundAnywhere`] if it is neither; those of [`super::HubRepository::fetch`].
pub fn resolve(
    name_or_path: &str,
    revision: Option<&str>,
    hub: &Hub,
    progress: &dyn Progress,
) -> Result<PathBuf, CheckpointError> {
    let path = Path::new(name_or_path);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.is_file() {
        let hint = "give the folder that holds config.json and the weights";
        return Err(CheckpointError::format(path, "is a file, not a model folder", hint));
    }
    if let Some(fault) = id_fault(name_or_path) {
        let hub_reason = format!("it is no Hub id either (an id {fault})");
        return Err(nowhere(name_or_path, hub_reason, Hint::NONE));
    }
    match hub.model(name_or_path, revision).fetch(&[], progress) {
        Err(CheckpointError::Hub { kind, reason, hint, .. }) if is_absence(kind) => {
            Err(nowhere(name_or_path, format!("not on the Hub: {reason}"), hint))
        }
        outcome => outcome,
    }
}

/// Failures after which the argument may as well have been meant as a path.
fn is_absence(kind: HubFailure) -> bool {
    matches!(kind, HubFailure::RepositoryNotFound | HubFailure::AccessDenied | HubFailure::OfflineMiss)
}

fn nowhere(name: &str, hub_reason: String, hint: Hint) -> CheckpointError {
    CheckpointError::NotFoundAnywhere { name: name.to_owned(), hub_reason, hint }
}
