//! Where rows come from, told by the calls that a backend sees, and that they are the rows that were computed.

use super::*;
use serde_json::json;
use serin_model::{BuildOptions, Freezing, Initializer, ModelConfig, Target};
use serin_ops::Traced;
use serin_ops::reference::Reference;
use serin_tensor::DType;
use std::fs;

type Device = Traced<Reference<f32>>;

const HIDDEN: usize = 8;
/// Of the examples: the first three have 9 rows together.
const LENGTHS: [usize; 6] = [4, 1, 4, 7, 2, 5];
const FIRST_THREE: usize = 9 * HIDDEN * 4;

/// Examples, the model whose trunk is cached, and a folder for files.
struct Bench {
    device: Device,
    model: Model<Device>,
    space: Workspace<Device>,
    examples: Examples,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let config = json!({
            "model_type": "roberta", "vocab_size": 13, "hidden_size": HIDDEN, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 6, "max_position_embeddings": 12, "type_vocab_size": 1,
            "id2label": {"0": "bad", "1": "good"},
        });
        let config = ModelConfig::from_json(&config).unwrap();
        let options = BuildOptions { freezing: Freezing::Layers(1), dtype: DType::F32 };
        let device = Traced::new(Reference::new());
        let model = Model::build(&device, config, &mut Initializer { seed: 1, range: 0.4 }, options).unwrap();
        let space = model.workspace(&device, 24, 6).unwrap();
        let mut examples = Examples::default();
        for (example, length) in LENGTHS.into_iter().enumerate() {
            let ids: Vec<u32> = (0..length).map(|at| 2 + ((5 * example + 3 * at) % 11) as u32).collect();
            examples.push(&ids, &vec![0; length], length, Target::Class(0));
        }
        Bench { device, model, space, examples, folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> TrunkCache<Device> {
        TrunkCache::open(self.folder.path(), "key", &self.model, &self.examples).unwrap()
    }

    /// As [`Bench::open`], with room for so many bytes in the device's memory.
    fn open_holding(&self, bytes: usize) -> TrunkCache<Device> {
        let mut cache = self.open();
        let held = cache.hold(&self.device, &self.model, &self.examples, 24, bytes).unwrap();
        assert!(held <= bytes && held > 0);
        cache
    }

    /// Brings a micro-batch through the cache: what came, and by which calls.
    fn through(&mut self, cache: &mut TrunkCache<Device>, indices: &[u32]) -> (Vec<u8>, Vec<&'static str>) {
        let batch = self.examples.pack(self.model.config(), indices);
        self.device.take();
        let space = &mut self.space;
        cache.trunk(&self.device, &self.model, space, &self.examples, indices, &batch, None).unwrap();
        let calls = self.device.take().iter().map(|call| call.op).collect();
        (self.rows(batch.tokens()), calls)
    }

    fn computed(&mut self, indices: &[u32]) -> Vec<u8> {
        let batch = self.examples.pack(self.model.config(), indices);
        self.model.forward_trunk(&self.device, &mut self.space, &batch, None);
        self.rows(batch.tokens())
    }

    fn rows(&self, rows: usize) -> Vec<u8> {
        let mut bytes = vec![0; rows * HIDDEN * 4];
        self.model.read_trunk(&self.device, &self.space, 0, &mut bytes).unwrap();
        bytes
    }

    /// Brings a micro-batch through the cache by these calls, and sees that the rows are right.
    fn comes(&mut self, cache: &mut TrunkCache<Device>, indices: &[u32], by: &[&str]) {
        let (rows, calls) = self.through(cache, indices);
        assert_eq!(calls, by, "{indices:?}");
        assert!(rows == self.computed(indices), "{indices:?}");
    }

    fn fill(&mut self, cache: &mut TrunkCache<Device>) {
        for indices in [[0, 3, 5], [4, 1, 2]] {
            let (rows, calls) = self.through(cache, &indices);
            assert!(calls.contains(&"embed") && rows == self.computed(&indices), "{indices:?}");
        }
    }

    /// Makes every file in the folder unreadable: there is nothing left in it.
    fn empty_files(&self) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            fs::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap().set_len(0).unwrap();
        }
    }
}

#[test]
fn what_the_device_holds_comes_from_there_alone() {
    let mut bench = Bench::new();
    let mut cache = bench.open_holding(1 << 20);
    bench.fill(&mut cache);
    assert!(cache.is_complete(), "the file is filled all the same");
    bench.empty_files();
    bench.comes(&mut cache, &[5, 0, 1], &["gather_rows"]);
    bench.comes(&mut cache, &[2, 3], &["gather_rows"]);
    assert_eq!(cache.take_failure(), None);
}

#[test]
fn a_file_that_is_found_fills_the_device_as_it_is_read() {
    let mut bench = Bench::new();
    let mut cache = bench.open();
    bench.fill(&mut cache);
    let mut cache = bench.open_holding(1 << 20);
    bench.comes(&mut cache, &[3, 1], &["write_bytes", "copy", "write_bytes", "copy"]);
    bench.comes(&mut cache, &[1, 0, 3], &["gather_rows", "write_bytes", "copy"]);
    bench.comes(&mut cache, &[0, 1, 3], &["gather_rows"]);
}

#[test]
fn what_has_no_room_there_comes_from_the_file() {
    let mut bench = Bench::new();
    let mut cache = bench.open_holding(FIRST_THREE);
    bench.fill(&mut cache);
    bench.comes(&mut cache, &[2, 0], &["gather_rows"]);
    bench.comes(&mut cache, &[4, 2, 3], &["gather_rows", "write_bytes", "write_bytes"]);
    bench.comes(&mut cache, &[3, 5], &["write_bytes", "write_bytes"]);
    // A byte less, and the third example does not fit.
    let mut cache = bench.open_holding(FIRST_THREE - 1);
    bench.comes(&mut cache, &[0, 1, 2], &["write_bytes", "copy", "write_bytes", "copy", "write_bytes"]);
}

#[test]
fn without_its_file_the_rest_is_computed() {
    let mut bench = Bench::new();
    let mut cache = bench.open_holding(FIRST_THREE);
    bench.fill(&mut cache);
    bench.empty_files();
    let (rows, calls) = bench.through(&mut cache, &[3, 0]);
    assert!(calls.contains(&"embed") && rows == bench.computed(&[3, 0]));
    assert!(cache.take_failure().unwrap().contains("in the device's memory"));
    assert!(!cache.is_complete());
    bench.comes(&mut cache, &[2, 1], &["gather_rows"]);
}

#[test]
fn of_a_whole_frozen_encoder_there_is_a_row_an_example() {
    let mut bench = Bench::new();
    let options = BuildOptions { freezing: Freezing::Layers(2), dtype: DType::F32 };
    let config = bench.model.config().clone();
    bench.model = Model::build(&bench.device, config, &mut Initializer { seed: 1, range: 0.4 }, options).unwrap();
    bench.space = bench.model.workspace(&bench.device, 24, 6).unwrap();
    let mut cache = bench.open_holding(4 * HIDDEN * 4);
    let rows = |bench: &mut Bench, cache: &mut TrunkCache<Device>, indices: &[u32]| -> (Vec<u8>, Vec<&str>) {
        let (rows, calls) = bench.through(cache, indices);
        (rows[..indices.len() * HIDDEN * 4].to_vec(), calls)
    };
    let (computed, _) = rows(&mut bench, &mut cache, &[5, 3, 1]);
    rows(&mut bench, &mut cache, &[0, 2, 4]);
    let (found, calls) = rows(&mut bench, &mut cache, &[5, 3, 1]);
    assert_eq!(calls, ["gather_rows", "write_bytes"]);
    assert!(found == computed);
}
