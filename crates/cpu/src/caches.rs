//! The sizes of the caches, as the operating system tells them.

use std::fs;
use std::path::Path;

/// Bytes of a core's first and second level data caches and of the last level that cores share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// Level 1, data.
    pub first: usize,
    /// Level 2.
    pub second: usize,
    /// Level 3; on virtual machines the host's, which others use too.
    pub third: Option<usize>,
}

impl Caches {
    /// Those of the first core; common sizes where the system says nothing (32 KiB, 1 MiB, no third level).
    pub fn detect() -> Caches {
        Caches::read(Path::new("/sys/devices/system/cpu/cpu0/cache"))
    }

    fn read(folder: &Path) -> Caches {
        let mut caches = Caches { first: 32 << 10, second: 1 << 20, third: None };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for index in entries.map(|entry| entry.path()) {
            let text = |name: &str| fs::read_to_string(index.join(name)).unwrap_or_default().trim().to_owned();
            let Some(size) = bytes(&text("size")) else { continue };
            match (text("level").as_str(), text("type").as_str()) {
                ("1", "Data" | "Unified") => caches.first = size,
                ("2", _) => caches.second = size,
                ("3", _) => caches.third = Some(size),
                _ => {}
            }
        }
        caches
    }
}

/// `48K` or `2M`, as Linux writes sizes.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit).filter(|&size| size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_linux_writes_them() {
        let sizes = [("48K", Some(49152)), ("2M", Some(2 << 20)), ("512", Some(512)), ("", None), ("0K", None)];
        for (text, size) in sizes.into_iter().chain([("12X", None), ("99999999999999999999K", None)]) {
            assert_eq!(bytes(text), size, "{text}");
        }
    }

    #[test]
    fn a_system_that_says_nothing_has_common_caches() {
        let none = Caches::read(Path::new("/nowhere"));
        assert_eq!(none, Caches { first: 32 << 10, second: 1 << 20, third: None });
    }

    #[test]
    fn this_machine_has_levels_that_grow() {
        let caches = Caches::detect();
        assert!(caches.first < caches.second, "{caches:?}");
    }
}
