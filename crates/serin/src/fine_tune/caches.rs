//! Where trunk caches lie, how large they may become, and what they are keyed by.

use super::base::Base;
use super::console::Console;
use super::options::TrunkCacheOptions;
use crate::device::Hardware;
use crate::environment::cache_folder;
use crate::error::SerinError;
use serin_model::Model;
use serin_train::{CACHE_EXTENSION, CacheMemory, Examples, TrunkCache, cache_bytes};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// What is cached for a run: the training examples' trunk and the selecting examples'.
pub(super) struct RunCaches<B: Hardware> {
    pub(super) train: TrunkCache<B>,
    pub(super) selection: TrunkCache<B>,
}

/// A cache file.
#[derive(Clone, Debug)]
pub struct CacheFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// The folder of trunk caches.
pub fn default_folder() -> Option<PathBuf> {
    cache_folder().map(|folder| folder.join("trunk"))
}

/// The caches in a folder, largest first.
pub fn list(folder: &Path) -> io::Result<Vec<CacheFile>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == CACHE_EXTENSION) {
            let bytes = fs::metadata(&path)?.len();
            files.push(CacheFile { path, bytes });
        }
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    Ok(files)
}

/// Opens the caches of a run, or says why it does without.
pub(super) fn open<B: Hardware>(
    options: &TrunkCacheOptions,
    base: &Base,
    device: &B,
    model: &Model<B>,
    train: &Examples,
    selection: &Examples,
    console: &mut dyn Console,
) -> Result<Option<RunCaches<B>>, SerinError> {
    // Embeddings alone are computed as fast as they are read back.
    if !options.enabled || model.trunk_layers() == 0 {
        return Ok(None);
    }
    let Some(folder) = options.folder.clone().or_else(default_folder) else {
        console.say("No trunk cache: there is no cache folder (set SERIN_CACHE, or give --cache-dir).");
        return Ok(None);
    };
    let bytes = cache_bytes(model, train) + cache_bytes(model, selection);
    let gigabytes = bytes as f64 / 1e9;
    if bytes > options.limit {
        console.say(&format!(
            "No trunk cache: it would take {gigabytes:.1} GB, --cache-limit is {:.1} GB. Every epoch computes the frozen \
             layers again.",
            options.limit as f64 / 1e9
        ));
        return Ok(None);
    }
    let key = trunk_key(&base.trunk_fingerprint(model.trunk_layers())?, device, model);
    let names = [fingerprint(&key, train), fingerprint(&key, selection)];
    let open = |index: usize, examples: &Examples| TrunkCache::open(&folder, &names[index], model, examples);
    let opened = make_room(&folder, &names, bytes, options.limit)
        .and_then(|()| open(0, train))
        .and_then(|train| Ok(RunCaches { train, selection: open(1, selection)? }));
    match opened {
        Ok(caches) => {
            let state = match caches.train.is_complete() && caches.selection.is_complete() {
                true => "found whole: the frozen layers are not computed at all",
                false => "written in the first epoch: later ones start above the frozen layers",
            };
            console.say(&format!("Trunk cache: {gigabytes:.2} GB in {}, {state}.", folder.display()));
            Ok(Some(caches))
        }
        Err(error) => {
            console.say(&format!("No trunk cache: {}: {error}", folder.display()));
            Ok(None)
        }
    }
}

/// How much of the caches a GPU's memory holds, for people.
pub(super) fn say_memory(memory: &CacheMemory, console: &mut dyn Console) {
    let CacheMemory { held, total, failure } = memory;
    let gigabytes = |bytes: &u64| *bytes as f64 / 1e9;
    let (some, all) = (gigabytes(held), gigabytes(total));
    console.say(&match held {
        0 => format!("Trunk cache in GPU memory: none of {all:.2} GB; rows are read from the file."),
        _ if held == total => format!("Trunk cache in GPU memory: {all:.2} GB, all of it."),
        _ => format!("Trunk cache in GPU memory: {some:.2} of {all:.2} GB; the rest is read from the file."),
    });
    if let Some(failure) = failure {
        console.say(&format!("warning: there is less GPU memory than the driver said: {failure}"));
    }
}

/// Removes the caches of other runs, the longest unused first, until `needed` bytes for `names` fit below `limit`, and marks
/// those of `names` that are there as used now.
fn make_room(folder: &Path, names: &[String], needed: u64, limit: u64) -> io::Result<()> {
    let is_ours = |path: &Path| path.file_stem().is_some_and(|stem| names.iter().any(|name| stem == name.as_str()));
    let mut others = Vec::new();
    for file in list(folder)? {
        if is_ours(&file.path) {
            fs::File::open(&file.path)?.set_modified(std::time::SystemTime::now())?;
        } else {
            others.push((fs::metadata(&file.path)?.modified()?, file));
        }
    }
    others.sort_by_key(|(used, _)| *used);
    let mut total = needed + others.iter().map(|(_, file)| file.bytes).sum::<u64>();
    for (_, file) in others {
        if total <= limit {
            break;
        }
        fs::remove_file(&file.path)?;
        total -= file.bytes;
    }
    Ok(())
}

/// Everything but the examples that the trunk's output depends on. Kernels of different machines and versions round
/// differently.
fn trunk_key<B: Hardware>(trunk_fingerprint: &str, device: &B, model: &Model<B>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{trunk_fingerprint}-{}-{}-{version}", model.dtype(), device.arithmetic())
}

fn fingerprint(key: &str, examples: &Examples) -> String {
    let mut hash = Xxh3::new();
    hash.update(key.as_bytes());
    for index in 0..examples.len() {
        hash.update(&(examples.length(index) as u64).to_le_bytes());
        examples.ids(index).iter().for_each(|id| hash.update(&id.to_le_bytes()));
        hash.update(examples.types(index));
    }
    format!("{:032x}", hash.digest128())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_longest_unused_caches_of_others_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(format!("{name}.{CACHE_EXTENSION}"));
        for (name, hours_ago) in [("ours", 9), ("old", 5), ("older", 7), ("new", 1)] {
            fs::write(path(name), [0; 100]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(3600 * hours_ago);
            fs::File::open(path(name)).unwrap().set_modified(used).unwrap();
        }
        make_room(folder.path(), &["ours".to_owned(), "to come".to_owned()], 150, 300).unwrap();
        let left = |name| path(name).exists();
        assert_eq!((left("ours"), left("new"), left("old"), left("older")), (true, true, false, false));
    }
}
