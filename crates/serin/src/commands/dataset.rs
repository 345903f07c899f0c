//! A dataset that a command names: a path, or an id on the Hub.

use crate::terminal::DownloadBars;
use serin::SerinError;
use serin::data::Format;
use serin_checkpoint::hub::{Hub, is_repository_id};
use std::path::{Path, PathBuf};

/// The path behind a name: the name itself, or the folder of the Hub's dataset of that id, downloaded if need be.
///
/// # Errors
/// Those of the Hub.
pub fn locate(name: &Path, quiet: bool) -> Result<PathBuf, SerinError> {
    match name.to_str() {
        Some(id) if is_dataset_id(name, id) => {
            if !quiet {
                eprintln!("note: nothing here is named {id}; taking it for the id of a dataset on the Hub");
            }
            Ok(Hub::from_env()?.dataset(id, None).fetch(&[], &DownloadBars::new(quiet))?)
        }
        _ => Ok(name.to_owned()),
    }
}

/// The paths behind names: an id must stand alone.
///
/// # Errors
/// Those of the Hub.
pub fn locate_all(names: &[PathBuf], quiet: bool) -> Result<Vec<PathBuf>, SerinError> {
    match names {
        [name] => Ok(vec![locate(name, quiet)?]),
        names => Ok(names.to_vec()),
    }
}

/// `name` or `owner/name`, where nothing has that name and it does not end as a data file's.
fn is_dataset_id(path: &Path, id: &str) -> bool {
    is_repository_id(id) && Format::from_name(path).is_none() && !path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        for (name, is_id) in [
            ("imdb", true),
            ("stanfordnlp/imdb", true),
            ("absent.csv", false),
            ("data/absent.parquet", false),
            ("./imdb", false),
            ("a/b/c", false),
            ("data/train-*.parquet", false),
            ("src", false),
        ] {
            assert_eq!(is_dataset_id(Path::new(name), name), is_id, "{name}");
        }
    }
}
