//! Truncated and damaged weight files: an error or sane tensors, never a panic.

mod support;

use serin_checkpoint::{WeightFiles, tensors::read_f32};
use support::{Numbers, fixture};

const FILES: [&str; 4] = ["zip.bin", "zip_protocol4.bin", "legacy.bin", "expected.safetensors"];

#[test]
fn every_prefix_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in FILES {
        let whole = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
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
        for _ in 0..800 {
            let mut damaged = whole.clone();
            for _ in 0..=numbers.below(4) {
                let position = numbers.below(damaged.len());
                damaged[position] = numbers.next() as u8;
            }
            std::fs::write(&path, &damaged).unwrap();
            match WeightFiles::open(&path) {
                Ok(weights) => weights.views().for_each(|view| drop(read_f32(&view))),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 300, "only {refused} of 3200 damaged files were noticed");
}
