//! One file: written next to its target, flushed to the disk, then renamed over it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::CheckpointError;

/// Writes `path` through `write` so that it is always the old file or the whole new one.
///
/// The bytes go to a hidden temporary file in the same folder, which is synchronised, renamed over
/// `path`, and the folder synchronised. On failure the temporary file is removed and `path` untouched.
///
/// # Errors
/// [`CheckpointError::Io`] with a hint for a full disk or a folder that may not be written.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), CheckpointError> {
    let fail = |error| CheckpointError::io(path, "write the file", error);
    let name = path.file_name().ok_or_else(|| fail(io::Error::from(io::ErrorKind::InvalidFilename)))?;
    let folder = parent(path);
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{}.", name.to_string_lossy());
    builder.prefix(&prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        // tempfile's own default is 0600; the umask takes away what the user does not grant.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(folder).map_err(fail)?;
    write(temporary.as_file_mut()).map_err(fail)?;
    temporary.as_file().sync_all().map_err(fail)?;
    temporary.persist(path).map_err(|error| fail(error.error))?;
    sync_folder(folder).map_err(fail)
}

/// Writes a value as indented JSON with a final line feed, atomically as [`write_atomic`].
///
/// # Errors
/// [`CheckpointError::Io`] if the file cannot be written or the value is not expressible as JSON.
pub fn write_json_atomic<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<(), CheckpointError> {
    write_atomic(path, |file| {
        let mut writer = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut writer, value)?;
        writer.write_all(b"\n")?;
        writer.flush()
    })
}

/// The folder of a path; that of a bare name is the current one.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder last through a power cut. Only Unix can open folders for that.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Synchronises every file below a folder, and the folders themselves.
pub(super) fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}
