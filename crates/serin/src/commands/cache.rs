//! `serin cache`: the trunk caches on disk.

use super::Ended;
use crate::args::CacheAction;
use anyhow::Context;
use serin::fine_tune::caches;
use std::path::PathBuf;

/// Lists or clears.
pub fn run(action: &CacheAction) -> anyhow::Result<Ended> {
    let (folder, clear) = match action {
        CacheAction::List { cache_dir } => (cache_dir, false),
        CacheAction::Clear { cache_dir } => (cache_dir, true),
    };
    let folder: PathBuf = folder
        .clone()
        .or_else(caches::default_folder)
        .context("there is no cache folder\nhint: set SERIN_CACHE, or give --cache-dir")?;
    let files = caches::list(&folder).with_context(|| format!("{}: cannot list it", folder.display()))?;
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    for file in &files {
        println!("{:>10.3} GB  {}", file.bytes as f64 / 1e9, file.path.display());
        if clear {
            std::fs::remove_file(&file.path).with_context(|| format!("{}: cannot remove it", file.path.display()))?;
        }
    }
    let done = if clear { "removed" } else { "in all" };
    eprintln!("{} caches, {:.3} GB {done}, in {}", files.len(), total as f64 / 1e9, folder.display());
    Ok(Ended::Well)
}
