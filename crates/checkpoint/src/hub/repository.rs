//! A repository of the Hub at a revision: checked names, and the addresses of its files.

use std::fmt;
use std::path::{Component, Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{CheckpointError, Hint};

/// Everything but letters, digits and `-._~` is encoded, as Python's `quote(safe="")` does.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but slashes stay.
const PATH: &AsciiSet = &SEGMENT.remove(b'/');
/// The Hub's limit on an id.
const MAX_ID_BYTES: usize = 96;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Dataset,
}

#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) revision: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Model => formatter.write_str(&self.id),
            Kind::Dataset => write!(formatter, "datasets/{}", self.id),
        }
    }
}

impl Repository {
    /// Checks the id and the revision; both become parts of paths and addresses.
    pub(super) fn new(kind: Kind, id: &str, revision: Option<&str>) -> Result<Self, CheckpointError> {
        if let Some(reason) = id_fault(id) {
            return Err(invalid("repository id", id, reason));
        }
        let revision = revision.unwrap_or("main");
        if !is_safe_path(revision) || revision.len() > 256 {
            return Err(invalid("revision", revision, "must be a branch, a tag, a commit, or as 'refs/pr/3'"));
        }
        Ok(Self { kind, id: id.to_owned(), revision: revision.to_owned() })
    }

    /// Its folder in the cache: `models--org--name`.
    pub(super) fn folder_name(&self) -> String {
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        format!("{kind}--{}", self.id.replace('/', "--"))
    }

    /// Where a user reads about it and asks for access.
    pub(super) fn page(&self, endpoint: &str) -> String {
        format!("{endpoint}/{self}")
    }

    pub(super) fn info_url(&self, endpoint: &str) -> String {
        format!("{}/revision/{}", self.api(endpoint), utf8_percent_encode(&self.revision, SEGMENT))
    }

    pub(super) fn tree_url(&self, endpoint: &str, commit: &str) -> String {
        format!("{}/tree/{commit}?recursive=true", self.api(endpoint))
    }

    pub(super) fn file_url(&self, endpoint: &str, commit: &str, file: &str) -> String {
        format!("{}/resolve/{commit}/{}", self.page(endpoint), utf8_percent_encode(file, PATH))
    }

    fn api(&self, endpoint: &str) -> String {
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        format!("{endpoint}/api/{kind}/{}", self.id)
    }
}

/// Whether a text can be the id of a repository: `name` or `organisation/name`.
pub fn is_repository_id(text: &str) -> bool {
    id_fault(text).is_none()
}

/// Why a text is no repository id, by the rules of `huggingface_hub`'s `validate_repo_id`.
pub(super) fn id_fault(id: &str) -> Option<&'static str> {
    let allowed = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Some("must have 1 to 96 characters");
    }
    if id.split('/').count() > 2 || id.split('/').any(str::is_empty) {
        return Some("must be 'name' or 'organisation/name'");
    }
    if !id.chars().all(|character| allowed(character) || character == '/') {
        return Some("may hold letters, digits and '-', '_', '.' only");
    }
    if id.contains("--") || id.contains("..") || id.ends_with(".git") {
        return Some("may not hold '--' or '..' nor end in '.git'");
    }
    if id.split('/').any(|part| part.starts_with(['-', '.']) || part.ends_with(['-', '.'])) {
        return Some("may not begin or end a name with '-' or '.'");
    }
    None
}

/// Whether a name from outside may become a path below a folder.
pub(super) fn is_safe_path(name: &str) -> bool {
    let plain = !name.is_empty() && !name.contains(['\\', '\0', ':']) && !name.ends_with('/');
    plain && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Whether a revision is already the name of a commit.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn invalid(what: &'static str, value: &str, reason: &str) -> CheckpointError {
    CheckpointError::InvalidSetting { what, value: value.to_owned(), reason: reason.to_owned(), hint: Hint::NONE }
}
