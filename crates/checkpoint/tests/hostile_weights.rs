//! Truncated and damaged weight files: an error or sane tensors, never a panic.

#![cfg(unix)]

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;

use serin_checkpoint::{WeightFiles, tensors::read_f32};
use support::{Numbers, fixture};

const FILES: [&str; 4] = ["zip.bin", "zip_protocol4.bin", "legacy.bin", "expected.safetensors"];

#[test]
fn every_prefix_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in FILES {
        let whole = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &whole).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for length in (0..whole.len()).rev() {
            file.set_len(length as u64).unwrap();
            assert!(WeightFiles::open(&path).is_err(), "{name} cut to {length} of {} bytes was accepted", whole.len());
        }
    }
}

/// Cuts the pickle inside a whole archive, so that the cut reaches the unpickler itself.
#[test]
fn every_prefix_of_a_pickle_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    let pickle = data_pickle(&std::fs::read(fixture("zip.bin")).unwrap());
    for length in 0..pickle.len() {
        let mut writer = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file("m/data.pkl", stored).unwrap();
        std::io::Write::write_all(&mut writer, &pickle[..length]).unwrap();
        writer.finish().unwrap();
        let error = WeightFiles::open(&path).unwrap_err().to_string();
        assert!(error.contains("pickle"), "cut to {length}: {error}");
    }
}

fn data_pickle(archive: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name("zip/data.pkl").unwrap(), &mut content).unwrap();
    content
}

#[test]
fn damaged_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(1);
    let mut refused = 0;
    for name in FILES {
        let whole = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &whole).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for _ in 0..3000 {
            let positions: Vec<usize> = (0..=numbers.below(4)).map(|_| numbers.below(whole.len())).collect();
            for &position in &positions {
                file.write_all_at(&[numbers.next() as u8], position as u64).unwrap();
            }
            match WeightFiles::open(&path) {
                Ok(weights) => weights.views().for_each(|view| drop(read_f32(&view))),
                Err(_) => refused += 1,
            }
            for &position in &positions {
                file.write_all_at(&whole[position..=position], position as u64).unwrap();
            }
        }
    }
    assert!(refused > 1000, "only {refused} of 12000 damaged files were noticed");
}
