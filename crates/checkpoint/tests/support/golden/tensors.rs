//! The numbers of a golden file.

use std::path::Path;

use serin_checkpoint::{Dtype, WeightFiles};
use serin_model::{Batch, ModelConfig, Sequence};

/// Numbers of a golden file.
pub(crate) struct Tensors(WeightFiles);

impl Tensors {
    pub(crate) fn open(path: &Path) -> Tensors {
        Tensors(WeightFiles::open(path).unwrap_or_else(|error| panic!("{error}")))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.0.get(name).unwrap_or_else(|| panic!("golden without {name}")).shape
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.views().map(|view| view.name.to_owned()).collect()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        let view = self.0.get(name).unwrap_or_else(|| panic!("golden without {name}"));
        let (fours, eights) = (view.data.as_chunks::<4>().0, view.data.as_chunks::<8>().0);
        match view.dtype {
            Dtype::F32 => fours.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
            Dtype::I32 => fours.iter().map(|&bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
            Dtype::F64 => eights.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The batch whose tensors begin with `prefix`.
    pub(crate) fn batch(&self, config: &ModelConfig, prefix: &str) -> Batch {
        let ids: Vec<u32> = self.values(&format!("{prefix}ids")).into_iter().map(|id| id as u32).collect();
        let types: Vec<u8> = self.values(&format!("{prefix}type_ids")).into_iter().map(|kind| kind as u8).collect();
        let mut start = 0;
        let lengths = self.values(&format!("{prefix}lengths"));
        let sequences = lengths.iter().map(|&length| {
            let rows = start..start + length as usize;
            start = rows.end;
            Sequence { ids: &ids[rows.clone()], types: &types[rows] }
        });
        Batch::pack(config, sequences)
    }
}
