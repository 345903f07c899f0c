//! One repository's folder in the cache, in the layout that Python's `huggingface_hub` shares:
//!
//! ```text
//! models--org--name/refs/main                      the commit that `main` was last seen at
//!                   blobs/ETAG                     a file's content, once
//!                   blobs/ETAG.incomplete          the part that has arrived
//!                   snapshots/COMMIT/config.json   -> ../../blobs/ETAG
//!                   .no_exist/COMMIT/file          empty: the commit has no such file
//! .locks/models--org--name/ETAG.lock               held while ETAG is downloaded
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::progress::Progress;
use super::repository::{Repository, is_commit};
use crate::CheckpointError;
use crate::save::write_atomic;

pub(super) struct RepositoryCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepositoryCache {
    pub(super) fn new(cache: &Path, repository: &Repository) -> Self {
        let name = repository.folder_name();
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The commit of a revision as far as the cache knows.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    pub(super) fn remember_commit(&self, revision: &str, commit: &str) -> Result<(), CheckpointError> {
        if revision == commit || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        self.write_small(&self.folder.join("refs").join(revision), commit)
    }

    /// Records that a commit has no such file, as `transformers` asks for optional ones.
    pub(super) fn remember_absence(&self, commit: &str, file: &str) -> Result<(), CheckpointError> {
        self.write_small(&self.folder.join(".no_exist").join(commit).join(file), "")
    }

    fn write_small(&self, path: &Path, content: &str) -> Result<(), CheckpointError> {
        create_parent(path)?;
        write_atomic(path, |file| io::Write::write_all(file, content.as_bytes()))
    }

    /// Whether a snapshot has the file and its content.
    pub(super) fn has(&self, commit: &str, file: &str) -> bool {
        self.snapshot(commit).join(file).is_file()
    }

    /// The files of a snapshot whose content is there, sorted.
    pub(super) fn files(&self, commit: &str) -> Vec<String> {
        let mut files = Vec::new();
        walk(&self.snapshot(commit), "", &mut files);
        files.sort();
        files
    }

    /// Waits until no other process downloads the same content.
    pub(super) fn lock(&self, etag: &str, progress: &dyn Progress) -> Result<File, CheckpointError> {
        let path = self.locks.join(format!("{etag}.lock"));
        create_parent(&path)?;
        let fail = |error| CheckpointError::io(&path, "lock the download", error);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.notice("another process is downloading this file: waiting for it");
                file.lock().map_err(fail)?;
            }
            // A file system without locks: two downloads may race, and the last rename wins.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        Ok(file)
    }

    /// Makes a blob appear as a file of a snapshot.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<(), CheckpointError> {
        let pointer = self.snapshot(commit).join(file);
        if pointer.is_file() {
            return Ok(()); // another process was faster, and may be reading it
        }
        create_parent(&pointer)?;
        let depth = 2 + file.matches('/').count();
        let target = PathBuf::from("../".repeat(depth)).join("blobs").join(etag);
        // A link whose content was removed.
        let linked = match fs::remove_file(&pointer) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => symlink_or_move(&target, &self.blob(etag), &pointer),
        };
        linked.map_err(|error| CheckpointError::io(&pointer, "link the download", error))
    }
}

pub(super) fn create_parent(path: &Path) -> Result<(), CheckpointError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| CheckpointError::io(folder, "create the cache folder", error))
}

#[cfg(unix)]
fn symlink_or_move(target: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(target, pointer) {
        // A file system without links, such as exFAT: the snapshot gets the file itself, as in Python.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::rename(blob, pointer),
        // Another process was faster with the same link.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

#[cfg(not(unix))]
fn symlink_or_move(_target: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    fs::rename(blob, pointer)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{name}/"), files);
        } else if entry.path().is_file() {
            files.push(name);
        }
    }
}
