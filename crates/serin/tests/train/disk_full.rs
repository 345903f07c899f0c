//! A full disk: on small file systems in memory, which only root can mount.

use crate::support::Place;
use crate::training::{Left, command, contains, data, fails, left, place, said, train};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A file system in memory, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Place, name: &str, kilobytes: u32) -> Option<SmallDisk> {
        let path = place.path(name);
        fs::create_dir(&path).unwrap();
        let size = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(path)),
            _ => {
                eprintln!("skipped: a small file system cannot be mounted here");
                None
            }
        }
    }

    /// Fills it but for `kilobytes`.
    fn fill(&self, kilobytes: usize) -> PathBuf {
        let filler = self.0.join("filler");
        let block = vec![0u8; 1024];
        let mut file = fs::File::create(&filler).unwrap();
        let mut written = 0u64;
        while std::io::Write::write_all(&mut file, &block).is_ok() {
            written += 1024;
        }
        file.set_len(written.saturating_sub(1024 * kilobytes as u64)).unwrap();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn best(out: &Path) -> Vec<u8> {
    fs::read(out.join("best/model.safetensors")).unwrap()
}

#[test]
fn when_the_cache_s_disk_is_full_the_run_goes_on_to_the_same_bits() {
    let place = place();
    let Some(_disk) = SmallDisk::mount(&place, "small", 16) else { return };
    said(train(&place, &["--freeze-layers=1", "--cache-limit=0", "--output-dir=none"]));
    let said = said(train(&place, &["--freeze-layers=1", "--cache-dir=small"]));
    contains(&said, &["going on without the cache", "No space left"]);
    left(&place, "none").equals(&left(&place, "out"));
    assert_eq!(fs::read_dir(place.path("small")).unwrap().count(), 0, "the space is given back");
}

#[test]
fn when_best_cannot_be_saved_the_old_one_stays_and_the_run_can_be_resumed() {
    let place = place();
    place.write("train.csv", data(400, 0));
    let flags = ["--metric-for-best-model=loss", "--num-train-epochs=3", "--learning-rate=1e-3"];
    let Some(disk) = SmallDisk::mount(&place, "small", 4096) else { return };
    said(train(&place, &flags));
    let to_disk = [&flags[..], &["--output-dir=small/out"]].concat();
    let out = place.path("small/out");
    let mut child = command(&place, &to_disk).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !out.join("state").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = best(&out);
    let filler = disk.fill(60);
    let resumed = [&to_disk[..], &["--resume"]].concat();
    fails(train(&place, &resumed), &["small/out/.best.new/model.safetensors", "No space left", "free some space"]);
    assert!(best(&out) == before, "the old best is intact");
    fs::remove_file(filler).unwrap();
    said(train(&place, &resumed));
    Left::by(&out).equals(&left(&place, "out"));
}
