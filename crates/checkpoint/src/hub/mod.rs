//! The Hub client: model and dataset ids become local folders, in the cache that Python shares.
//!
//! Why not the `hf-hub` crate: version 1.0 brings tokio, reqwest and the Xet protocol, whose downloads
//! can stall and ignore `HF_ENDPOINT`; 0.5 has no offline mode, `HF_HUB_CACHE`, `HF_TOKEN`, proxy
//! certificates, dataset paging or check of what arrived, and follows redirects token and all. The plain
//! `resolve/` addresses need only an HTTPS client, which is `ureq` with rustls here.

mod cache;
mod download;
pub mod environment;
mod failure;
mod http;
mod listing;
mod progress;
mod repository;
mod resolve;
mod selection;

use std::path::{Path, PathBuf};

pub use crate::error::HubFailure;
pub use environment::HubSettings;
pub use progress::{Progress, Silent};
pub use repository::is_repository_id;
pub use resolve::resolve;

use crate::{CheckpointError, Hint};
use cache::RepositoryCache;
use failure::failure;
use http::Client;
use listing::Listing;
use repository::{Kind, Repository};

/// A Hub or its mirror, with a cache. Making one contacts nobody.
pub struct Hub {
    client: Client,
    cache: PathBuf,
    offline: bool,
}

impl Hub {
    /// The Hub that the environment variables of [`environment`] describe.
    ///
    /// # Errors
    /// [`CheckpointError::InvalidSetting`] for an unusable variable; [`CheckpointError::Io`] for a token
    /// or certificate file that cannot be read.
    pub fn from_env() -> Result<Self, CheckpointError> {
        Self::new(&HubSettings::from_env()?)
    }

    /// A Hub with settings of the caller's.
    ///
    /// # Errors
    /// As [`Hub::from_env`] for the certificate file.
    pub fn new(settings: &HubSettings) -> Result<Self, CheckpointError> {
        Ok(Self { client: Client::new(settings)?, cache: settings.cache.clone(), offline: settings.offline })
    }

    /// A model repository, `organisation/name`, at a branch, tag, commit or `refs/pr/N` (default `main`).
    pub fn model<'a>(&'a self, id: &'a str, revision: Option<&'a str>) -> HubRepository<'a> {
        HubRepository { hub: self, kind: Kind::Model, id, revision }
    }

    /// A dataset repository, likewise.
    pub fn dataset<'a>(&'a self, id: &'a str, revision: Option<&'a str>) -> HubRepository<'a> {
        HubRepository { hub: self, kind: Kind::Dataset, id, revision }
    }
}

/// A repository that may be fetched.
pub struct HubRepository<'a> {
    hub: &'a Hub,
    kind: Kind,
    id: &'a str,
    revision: Option<&'a str>,
}

impl HubRepository<'_> {
    /// Brings the wanted files into the cache and gives the snapshot folder that holds them.
    ///
    /// `patterns` are file names or shell patterns (`data/*.parquet`). Without any, a model's
    /// configuration, tokenizer and PyTorch weights are wanted (safetensors before `.bin`), of a dataset
    /// the data files (Parquet before JSON Lines before CSV before text) and its card.
    ///
    /// Offline, or when the Hub cannot be reached, a sufficient earlier snapshot is used.
    ///
    /// # Errors
    /// [`CheckpointError::Hub`], by [`HubFailure`]; [`CheckpointError::InvalidSetting`] for an id or
    /// revision that cannot be one; [`CheckpointError::Io`] for the cache.
    pub fn fetch(&self, patterns: &[&str], progress: &dyn Progress) -> Result<PathBuf, CheckpointError> {
        let repository = Repository::new(self.kind, self.id, self.revision)?;
        let cache = RepositoryCache::new(&self.hub.cache, &repository);
        if self.hub.offline {
            let cached = cached_snapshot(&cache, &repository, patterns);
            return cached.ok_or_else(|| offline_miss(&repository, &self.hub.cache));
        }
        match listing::list(&self.hub.client, &repository) {
            Ok(listing) => self.fetch_listed(&repository, &cache, &listing, patterns, progress),
            Err(error @ CheckpointError::Hub { kind: HubFailure::Connection, .. }) => {
                let cached = cached_snapshot(&cache, &repository, patterns).ok_or(error)?;
                progress.notice(&format!("{repository}: the Hub cannot be reached, using the copy in the cache"));
                Ok(cached)
            }
            Err(error) => Err(error),
        }
    }

    fn fetch_listed(
        &self,
        repository: &Repository,
        cache: &RepositoryCache,
        listing: &Listing,
        patterns: &[&str],
        progress: &dyn Progress,
    ) -> Result<PathBuf, CheckpointError> {
        let commit = &listing.commit;
        cache.remember_commit(&repository.revision, commit)?;
        let chosen = selection::choose(repository.kind, patterns, &listing.files);
        if !selection::suffices(repository.kind, patterns, &chosen) {
            return Err(unsatisfied(repository, cache, listing, patterns)?);
        }
        for file in chosen.iter().filter(|file| !cache.has(commit, file)) {
            download::fetch_file(&self.hub.client, cache, repository, commit, file, progress)?;
        }
        Ok(cache.snapshot(commit))
    }
}

/// The snapshot of an earlier run, if it has what is wanted.
fn cached_snapshot(cache: &RepositoryCache, repository: &Repository, patterns: &[&str]) -> Option<PathBuf> {
    let commit = cache.commit_of(&repository.revision)?;
    let chosen = selection::choose(repository.kind, patterns, &cache.files(&commit));
    selection::suffices(repository.kind, patterns, &chosen).then(|| cache.snapshot(&commit))
}

fn offline_miss(repository: &Repository, cache: &Path) -> CheckpointError {
    let reason = format!("not (completely) in the cache {} at revision '{}'", cache.display(), repository.revision);
    let hint = "HF_HUB_OFFLINE is set: unset it once to download";
    failure(HubFailure::OfflineMiss, repository, reason, hint)
}

/// The repository lacks wanted files: which, and what it has instead.
fn unsatisfied(
    repository: &Repository,
    cache: &RepositoryCache,
    listing: &Listing,
    patterns: &[&str],
) -> Result<CheckpointError, CheckpointError> {
    let mut missing = Vec::new();
    for &pattern in patterns {
        if selection::choose(repository.kind, &[pattern], &listing.files).is_empty() {
            if selection::is_literal(pattern) && repository::is_safe_path(pattern) {
                cache.remember_absence(&listing.commit, pattern)?;
            }
            missing.push(pattern);
        }
    }
    let (what, hint): (String, Hint) = match repository.kind {
        _ if !missing.is_empty() => (missing.join(", "), Hint::NONE),
        Kind::Model if selection::has_weights(&listing.files) => ("config.json".to_owned(), Hint::NONE),
        Kind::Model => {
            let hint =
                "TensorFlow, Flax, ONNX and GGUF weights are not read: choose a repository with model.safetensors";
            ("model.safetensors or pytorch_model.bin".to_owned(), hint.into())
        }
        Kind::Dataset => {
            let hint = "datasets made by a script often have Parquet files at the revision refs/convert/parquet";
            ("Parquet, JSON, CSV or text files".to_owned(), hint.into())
        }
    };
    let reason = format!("has no {what} at revision '{}'", repository.revision);
    Ok(failure(HubFailure::FileNotFound, repository, reason, hint))
}
