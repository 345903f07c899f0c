//! The folder of compiled kernels. It saves seconds, so whatever goes wrong with it is passed over in silence: the kernels
//! are then compiled again.

use super::Image;
use super::sources::{HEADERS, Source};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::PathBuf;

/// Where compiled kernels are kept, if anywhere.
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

/// The first bytes of a kept image: what follows is as long as they say, so that a torn file shows.
const HEADER: usize = 8 + 32;

/// A name for all that a compiled kernel depends on: sources, options (the card's architecture among them), compiler, and
/// this crate's version.
pub(super) fn key(source: &Source, options: &[String], compiler: (u32, u32)) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(env!("CARGO_PKG_VERSION"));
    add(&format!("NVRTC {}.{}", compiler.0, compiler.1));
    options.iter().for_each(|option| add(option));
    for file in HEADERS.iter().chain([source]) {
        add(file.name);
        add(file.text);
    }
    let hash = hash.finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Cache {
    pub(super) fn new(folder: Option<PathBuf>) -> Cache {
        Cache { folder }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.cubin")))
    }

    /// What was kept under `key`, if it is whole.
    pub(super) fn read(&self, key: &str) -> Option<Image> {
        let mut bytes = std::fs::read(self.path(key)?).ok()?;
        let (length, hash) = bytes.get(..HEADER)?.split_at(8);
        let length = u64::from_le_bytes(length.try_into().ok()?);
        let image = bytes.get(HEADER..)?;
        if image.len() as u64 != length || Sha256::digest(image).as_slice() != hash {
            return None;
        }
        Some(Image(bytes.split_off(HEADER)))
    }

    /// Keeps an image: another process sees all of it or nothing.
    pub(super) fn write(&self, key: &str, image: &Image) {
        let (Some(folder), Some(path)) = (&self.folder, self.path(key)) else { return };
        let keep = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new().prefix(".kernel").tempfile_in(folder)?;
            file.write_all(&(image.0.len() as u64).to_le_bytes())?;
            file.write_all(&Sha256::digest(&image.0))?;
            file.write_all(&image.0)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        let _ = keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_torn_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(folder.path().join("kernels")));
        assert!(cache.read("key").is_none());
        cache.write("key", &Image(vec![1, 2, 3]));
        assert_eq!(cache.read("key").unwrap().0, [1, 2, 3]);
        let path = cache.path("key").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for torn in 0..whole.len() {
            std::fs::write(&path, &whole[..torn]).unwrap();
            assert!(cache.read("key").is_none(), "{torn} of {} bytes", whole.len());
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(cache.read("key").is_none(), "a flipped bit");
        assert_eq!(std::fs::read_dir(folder.path().join("kernels")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let cache = Cache::new(Some(file));
        cache.write("key", &Image(vec![1]));
        assert!(cache.read("key").is_none());
    }

    #[test]
    fn a_key_depends_on_every_part() {
        let source = |text| Source { name: "a.cu", text };
        let options = |target: &str| vec![format!("--gpu-architecture={target}")];
        let keys = [
            key(&source("x"), &options("sm_90"), (13, 0)),
            key(&source("y"), &options("sm_90"), (13, 0)),
            key(&source("x"), &options("sm_80"), (13, 0)),
            key(&source("x"), &options("sm_90"), (13, 1)),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }
}
