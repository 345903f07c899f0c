//! What a path that leads nowhere may have meant.

use std::path::Path;

/// How many names a hint gives at most.
const NAMES: usize = 3;
/// How many entries of a folder are looked at.
const ENTRIES: usize = 10_000;

/// A line that begins with a line break: names like the one that is not there, or else where it was looked for.
pub fn hint(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return format!("\nhint: there is no folder {}{}", folder.display(), current_folder(path));
    }
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    let similar = similar_names(folder, &wanted);
    if similar.is_empty() {
        return match current_folder(path) {
            place if place.is_empty() => format!("\nhint: {} has no file of a similar name", folder.display()),
            place => format!("\nhint: no file there has a similar name{place}"),
        };
    }
    let paths: Vec<String> = similar.iter().map(|name| path.with_file_name(name).display().to_string()).collect();
    format!("\nhint: did you mean {}?", paths.join(" or "))
}

/// Where a relative path begins.
fn current_folder(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(current) if path.is_relative() => format!(" (the current folder is {})", current.display()),
        _ => String::new(),
    }
}

/// Names in `folder` that differ from `wanted` in a few letters, or in what follows the first dot; the likest first.
fn similar_names(folder: &Path, wanted: &str) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let most = (wanted.chars().count() / 4).clamp(1, 3);
    let mut found: Vec<(usize, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let lower = name.to_lowercase();
        let distance = edits(&wanted, &lower);
        if distance <= most || stem(&wanted) == stem(&lower) {
            found.push((distance, name));
        }
    }
    found.sort();
    found.into_iter().take(NAMES).map(|(_, name)| name).collect()
}

fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// Letters to put in, take out or change to turn `one` into `other` (Levenshtein 1966).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, &candidate) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != candidate);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, distance) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("train", "trian", 2)] {
            assert_eq!((edits(one, other), edits(other, one)), (distance, distance));
        }
    }
}
