//! A whole folder, replaced at once: `best/` is always one complete model.
//!
//! The new folder is built as `.NAME.new` beside the target and synchronised. Where the system can swap
//! two names in one step (Linux, `renameat2` with `RENAME_EXCHANGE`) it does, and the old content is
//! removed under the staging name. Elsewhere the target steps aside to `.NAME.old` first; a crash
//! between the two renames leaves no target, and [`recover_dir`] finishes the second.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::file::{parent, sync_folder, sync_tree};
use crate::CheckpointError;

/// Builds a folder with `build` and puts it in place of `target`, which may be absent.
///
/// `build` gets an empty staging folder. If it fails, the staging folder is removed and `target` is
/// as before. One process at a time may replace a given folder. Files that a reader has open stay as
/// they were; one that is about to open them may find them gone and should look at `target` anew.
///
/// # Errors
/// Those of `build`; [`CheckpointError::Busy`]; [`CheckpointError::Io`].
pub fn replace_dir_atomic<E: From<CheckpointError>>(
    target: &Path,
    build: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let fail = |error| CheckpointError::io(target, "replace the folder", error);
    let names = Names::of(target).map_err(fail)?;
    recover_dir(target)?;
    // What a crash left of an earlier replacement: while it lay here, `.new` would count as complete.
    remove_if_there(&names.old).map_err(fail)?;
    let staging = Staging::create(names.new.clone(), target)?;
    build(&staging.path)?;
    sync_tree(&staging.path).map_err(fail)?;
    put_in_place(&names, target).map_err(fail)?;
    Ok(sync_folder(parent(target)).map_err(fail)?)
}

/// Finishes a replacement that a crash interrupted; to be called before `target` is read.
///
/// Does nothing where `target` exists, which on Linux is always so once it was written.
///
/// # Errors
/// [`CheckpointError::Io`] if the rename is refused.
pub fn recover_dir(target: &Path) -> Result<(), CheckpointError> {
    let fail = |error| CheckpointError::io(target, "recover the folder", error);
    let names = Names::of(target).map_err(fail)?;
    if target.exists() || !names.old.exists() {
        return Ok(());
    }
    // The old folder steps aside only after the new one is complete, so the new one is preferred.
    let complete = if names.new.exists() { &names.new } else { &names.old };
    match fs::rename(complete, target) {
        // Another process recovered it between the two looks.
        Err(_) if target.exists() => Ok(()),
        outcome => outcome.map_err(fail),
    }
}

/// The names beside the target that a replacement uses.
struct Names {
    new: PathBuf,
    old: PathBuf,
}

impl Names {
    fn of(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let beside = |suffix: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(suffix);
            parent(target).join(hidden)
        };
        Ok(Self { new: beside(".new"), old: beside(".old") })
    }
}

/// The staging folder, locked while its process lives; removed when dropped, with the new content
/// after a failure or the old content after a swap.
struct Staging {
    path: PathBuf,
    _lock: Option<File>,
}

impl Staging {
    fn create(path: PathBuf, target: &Path) -> Result<Self, CheckpointError> {
        let fail = |error| CheckpointError::io(&path, "create the staging folder", error);
        if path.exists() {
            // Left by a process that was killed, or in use by one that lives: then it is locked.
            drop(lock(&path, target)?);
            fs::remove_dir_all(&path).map_err(fail)?;
        }
        fs::create_dir(&path).map_err(fail)?;
        let lock = lock(&path, target)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Gone already where there was no old content; a failure here leaves rubbish that the next run removes.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// An advisory lock on a folder, on systems that can open one.
fn lock(path: &Path, target: &Path) -> Result<Option<File>, CheckpointError> {
    if !cfg!(unix) {
        return Ok(None);
    }
    let fail = |error| CheckpointError::io(path, "lock the staging folder", error);
    let folder = File::open(path).map_err(fail)?;
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(CheckpointError::Busy { path: target.to_owned() }),
        // Some network file systems have no locks; the swap is still atomic there.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn put_in_place(names: &Names, target: &Path) -> io::Result<()> {
    if !target.exists() {
        fs::rename(&names.new, target)
    } else if !target.is_dir() {
        Err(io::ErrorKind::NotADirectory.into())
    } else if exchange(&names.new, target)? {
        Ok(())
    } else {
        swap_in_two_steps(names, target)
    }
}

/// Swaps two names in one step; `false` where the system or file system cannot.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, target: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_new: &Path, _target: &Path) -> io::Result<bool> {
    Ok(false)
}

fn swap_in_two_steps(names: &Names, target: &Path) -> io::Result<()> {
    fs::rename(target, &names.old)?;
    sync_folder(parent(target))?;
    match fs::rename(&names.new, target) {
        // A reader's recovery was faster.
        Err(_) if target.exists() => {}
        outcome => outcome?,
    }
    sync_folder(parent(target))?;
    fs::remove_dir_all(&names.old)
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model folder of two files that name their version.
    fn fill(folder: &Path, version: &str) -> Result<(), CheckpointError> {
        for name in ["config.json", "model.safetensors"] {
            fs::write(folder.join(name), version).map_err(|error| CheckpointError::io(folder, "write", error))?;
        }
        Ok(())
    }

    fn version(folder: &Path) -> String {
        let read = |name| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read("config.json"), read("model.safetensors"));
        read("config.json")
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn two_step_swap_replaces_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        replace_dir_atomic(&target, |staging| fill(staging, "1")).unwrap();
        let names = Names::of(&target).unwrap();
        fs::create_dir(&names.new).unwrap();
        fill(&names.new, "2").unwrap();
        swap_in_two_steps(&names, &target).unwrap();
        assert_eq!((version(&target).as_str(), entries(folder.path())), ("2", 1));
    }

    #[test]
    fn a_crash_between_the_two_steps_is_finished_forwards() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        let names = Names::of(&target).unwrap();
        for (path, version) in [(&names.old, "1"), (&names.new, "2")] {
            fs::create_dir(path).unwrap();
            fill(path, version).unwrap();
        }
        recover_dir(&target).unwrap();
        assert_eq!(version(&target), "2");
        replace_dir_atomic(&target, |staging| fill(staging, "3")).unwrap();
        assert_eq!(version(&target), "3");
    }

    #[test]
    fn a_lone_old_folder_is_brought_back() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        let names = Names::of(&target).unwrap();
        fs::create_dir(&names.old).unwrap();
        fill(&names.old, "1").unwrap();
        recover_dir(&target).unwrap();
        assert_eq!((version(&target).as_str(), entries(folder.path())), ("1", 1));
    }

    #[test]
    fn an_unfinished_staging_folder_never_becomes_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        fs::create_dir(Names::of(&target).unwrap().new).unwrap();
        recover_dir(&target).unwrap();
        assert!(!target.exists());
    }
}
