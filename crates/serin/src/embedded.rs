//! serin-tiny, the encoder that ships inside the program: a model folder, laid out in the user's cache at first use.
//!
//! How it was made is in its model card, `assets/serin-tiny/README.md`.

use crate::environment::cache_folder;
use crate::error::SerinError;
use serin_checkpoint::save::replace_dir_atomic;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// Its name, which every command takes for a model's, and what is taken where no model is named.
pub const SERIN_TINY: &str = "serin-tiny";

/// What its folder holds.
const FILES: [(&str, &[u8]); 7] = [
    ("config.json", include_bytes!("../assets/serin-tiny/config.json")),
    ("model.safetensors", include_bytes!("../assets/serin-tiny/model.safetensors")),
    ("tokenizer.json", include_bytes!("../assets/serin-tiny/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../assets/serin-tiny/tokenizer_config.json")),
    ("special_tokens_map.json", include_bytes!("../assets/serin-tiny/special_tokens_map.json")),
    ("serin.json", include_bytes!("../assets/serin-tiny/serin.json")),
    ("README.md", include_bytes!("../assets/serin-tiny/README.md")),
];

/// The folder with the model, in the user's cache, or among temporary files where there is none to write to.
///
/// # Errors
/// Neither can be written.
pub fn folder() -> Result<PathBuf, SerinError> {
    let name = format!("{SERIN_TINY}-{:016x}", fingerprint());
    let cached = cache_folder().map(|cache| cache.join("models").join(&name));
    let temporary = std::env::temp_dir().join("serin-models").join(&name);
    let mut failure = None;
    for folder in cached.into_iter().chain([temporary]) {
        if is_complete(&folder) {
            return Ok(folder);
        }
        match lay_out(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) => failure = Some(error),
        }
    }
    let reason = failure.map(|error| error.to_string()).unwrap_or_default();
    Err(SerinError::Refused(format!(
        "cannot lay out the shipped model {SERIN_TINY}: {reason}\nhint: set SERIN_CACHE to a folder that can be written to"
    )))
}

/// Another version's model lies in another folder.
fn fingerprint() -> u64 {
    let mut hash = Xxh3::new();
    FILES.iter().for_each(|(name, bytes)| {
        hash.update(name.as_bytes());
        hash.update(bytes);
    });
    hash.digest()
}

/// Whether every file is there with its very bytes: whoever can write to the folder could have changed them.
fn is_complete(folder: &Path) -> bool {
    FILES.iter().all(|(name, bytes)| fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

fn lay_out(folder: &Path) -> Result<(), SerinError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)
            .map_err(|error| SerinError::Refused(format!("{}: cannot make the folder: {error}", parent.display())))?;
    }
    let write = |staging: &Path| -> io::Result<()> {
        FILES.iter().try_for_each(|(name, bytes)| fs::write(staging.join(name), bytes))
    };
    replace_dir_atomic(folder, |staging| {
        write(staging).map_err(|error| SerinError::Refused(format!("{}: {error}", folder.display())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_copy_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        assert!(!is_complete(&folder));
        lay_out(&folder).unwrap();
        assert!(is_complete(&folder));
        fs::write(folder.join("config.json"), "{}").unwrap();
        assert!(!is_complete(&folder));
        lay_out(&folder).unwrap();
        assert!(is_complete(&folder));
    }

    #[test]
    fn it_is_small_enough_to_ship() {
        let bytes: usize = FILES.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes <= 12_000_000, "{bytes}");
    }
}
