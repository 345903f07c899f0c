//! A weight file in memory, and what it really is: its first bytes count, not its name.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::{CheckpointError, Hint};

/// First bytes of a Git LFS pointer, left in place of a file by a clone without `git lfs`.
const LFS_POINTER: &[u8] = b"version https://git-lfs";
/// First bytes of a zip archive: what `torch.save` has written since PyTorch 1.6.
const ZIP: &[u8] = b"PK";
/// First byte of a pickle of protocol 2 or later: what `torch.save` wrote before.
const PICKLE: u8 = 0x80;

pub(super) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps a regular, non-empty file and refuses what cannot be weights by its first bytes.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let metadata = std::fs::metadata(path).map_err(|error| CheckpointError::io(path, "open the weights", error))?;
        if !metadata.is_file() {
            return Err(CheckpointError::format(path, "is not a regular file", Hint::NONE));
        }
        if metadata.len() == 0 {
            return Err(CheckpointError::format(path, "the file is empty", "download or save the model again"));
        }
        let file = File::open(path).map_err(|error| CheckpointError::io(path, "open the weights", error))?;
        // The mapping is read-only and bytes have no invalid values; the one hazard, another process
        // shortening the file meanwhile, ends this process by SIGBUS and is documented on `WeightFiles`.
        #[allow(unsafe_code)]
        // SAFETY: a private, read-only mapping of a file that writers replace and never change in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| CheckpointError::io(path, "map the weights", error))?;
        refuse_disguises(path, &map)?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Whether the content is something `torch.save` may have written.
    ///
    /// A safetensors file begins with its header's length as a little-endian u64 followed by `{`, so
    /// a length whose low byte is 0x80, or whose low two spell `PK`, is told apart by that brace.
    pub(super) fn is_torch(&self) -> bool {
        let bytes = self.bytes();
        let torch = bytes.starts_with(ZIP) || bytes.first() == Some(&PICKLE);
        torch && bytes.get(8) != Some(&b'{')
    }
}

/// Files that often lie where weights should: LFS pointers and saved web pages.
pub(super) fn refuse_disguises(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    if bytes.starts_with(LFS_POINTER) {
        let reason = "is a Git LFS pointer, not the file itself";
        return Err(CheckpointError::format(
            path,
            reason,
            "run 'git lfs pull' in that folder, or fetch it by its Hub id",
        ));
    }
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default().trim_ascii_start().to_ascii_lowercase();
    if start.starts_with(b"<!doctype") || start.starts_with(b"<html") {
        let reason = "is a web page (an error or login page?), not the file itself";
        return Err(CheckpointError::format(
            path,
            reason,
            "fetch it by its Hub id, or with the page's 'resolve/main' address",
        ));
    }
    Ok(())
}
