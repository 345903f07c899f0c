//! Weights in: every tensor of a model folder as a view into memory-mapped files.

mod convert;
mod folder;
mod mapped_file;
mod pickle;
mod safetensors_file;
mod strided;
mod torch_file;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use convert::{read_f32, read_into};
pub use safetensors::Dtype;

use crate::CheckpointError;
use mapped_file::MappedFile;

/// One tensor of a weight file, borrowed from [`WeightFiles`].
#[derive(Debug, Clone)]
pub struct TensorView<'a> {
    /// Its name in the file, untouched.
    pub name: &'a str,
    /// The type of its elements on disk.
    pub dtype: Dtype,
    /// Its dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its elements in row-major order, little-endian, not necessarily aligned.
    pub data: &'a [u8],
    /// The file it came from.
    pub path: &'a Path,
}

impl TensorView<'_> {
    /// How many elements the shape holds.
    pub fn elements(&self) -> usize {
        self.data.len() * 8 / self.dtype.bitsize()
    }
}

/// Where a tensor's bytes lie.
enum Bytes {
    /// A range of the mapped file.
    Mapped(Range<usize>),
    /// A copy, where the file stores the elements in another order.
    Owned(Vec<u8>),
}

/// A tensor that a parser has found and checked: the bytes fit the shape and the file.
struct LocatedTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Bytes,
}

/// The weight files of a model, opened, checked and mapped; holds no copy of the weights.
///
/// The files must not be truncated by another process while this is open: the system would then end
/// the process with SIGBUS. Files written by [`crate::save`] are replaced, never truncated.
pub struct WeightFiles {
    files: Vec<MappedFile>,
    /// Each with the index of its file.
    tensors: Vec<(usize, LocatedTensor)>,
    by_name: HashMap<String, usize>,
}

impl std::fmt::Debug for WeightFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.views().map(|view| view.name).collect();
        formatter.debug_struct("WeightFiles").field("paths", &self.paths()).field("tensors", &names).finish()
    }
}

impl WeightFiles {
    /// Opens the weights of a model folder, or a single weight file.
    ///
    /// In a folder the first of these is taken, as `transformers` does: `model.safetensors`,
    /// `model.safetensors.index.json` with its shards, `pytorch_model.bin`,
    /// `pytorch_model.bin.index.json` with its shards.
    ///
    /// # Errors
    /// [`CheckpointError::NoWeights`] if there is none; otherwise what is wrong with which file.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mut weights = Self { files: Vec::new(), tensors: Vec::new(), by_name: HashMap::new() };
        if path.is_file() {
            weights.add_file(path)?;
            return Ok(weights);
        }
        match folder::find(path)? {
            folder::Found::File(file) => weights.add_file(&file)?,
            folder::Found::Shards(shards) => {
                for shard in &shards.files {
                    weights.add_file(shard)?;
                }
                shards.check_promises(&weights)?;
            }
        }
        Ok(weights)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let file = MappedFile::open(path)?;
        let located = if file.is_torch() { torch_file::read(&file)? } else { safetensors_file::read(&file)? };
        let file_index = self.files.len();
        for tensor in located {
            match self.by_name.entry(tensor.name.clone()) {
                Entry::Occupied(_) => {
                    return Err(CheckpointError::tensor(path, &tensor.name, "is also in another shard of this model"));
                }
                Entry::Vacant(slot) => slot.insert(self.tensors.len()),
            };
            self.tensors.push((file_index, tensor));
        }
        self.files.push(file);
        Ok(())
    }

    /// The files, in the order they were read.
    pub fn paths(&self) -> Vec<&Path> {
        self.files.iter().map(MappedFile::path).collect()
    }

    /// Every tensor in the order of the files: by position in safetensors, by key order in PyTorch files.
    pub fn views(&self) -> impl Iterator<Item = TensorView<'_>> {
        self.tensors.iter().filter_map(|(file, tensor)| self.view(*file, tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether the files hold no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The tensor of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<TensorView<'_>> {
        let (file, tensor) = self.tensors.get(*self.by_name.get(name)?)?;
        self.view(*file, tensor)
    }

    fn view<'a>(&'a self, file: usize, tensor: &'a LocatedTensor) -> Option<TensorView<'a>> {
        let file = self.files.get(file)?;
        let data = match &tensor.bytes {
            Bytes::Mapped(range) => file.bytes().get(range.clone())?,
            Bytes::Owned(bytes) => bytes,
        };
        let shape = tensor.shape.clone();
        Some(TensorView { name: &tensor.name, dtype: tensor.dtype, shape, data, path: file.path() })
    }

    fn file_of(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(|view| view.path.to_owned())
    }
}
