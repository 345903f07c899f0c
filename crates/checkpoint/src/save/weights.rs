//! Weights out: a safetensors file as `transformers` writes it, streamed tensor by tensor.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::file::write_atomic;
use crate::{CheckpointError, Dtype, Hint};

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 1 << 20;

/// A tensor to be written.
pub trait TensorToSave {
    /// Its name in the file.
    fn name(&self) -> &str;
    /// Its element type in the file.
    fn dtype(&self) -> Dtype;
    /// Its dimensions, outermost first.
    fn shape(&self) -> &[usize];
    /// Its elements in row-major order, little-endian. Asked for once, when the tensor's turn comes,
    /// so that a conversion needs memory for one tensor only.
    fn bytes(&self) -> Cow<'_, [u8]>;
}

/// Writes tensors as one safetensors file with the metadata `{"format": "pt"}` that `transformers`
/// asks for, atomically as [`write_atomic`].
///
/// The order is kept among tensors of one element type; wider types come first, as the format's own
/// writers do, so that every tensor is aligned. Source: <https://huggingface.co/docs/safetensors>.
///
/// # Errors
/// [`CheckpointError::Tensor`] for a name twice or bytes that do not fit the shape;
/// [`CheckpointError::Io`].
pub fn write_safetensors<T: TensorToSave>(path: &Path, tensors: &[T]) -> Result<(), CheckpointError> {
    let mut ordered: Vec<&T> = tensors.iter().collect();
    ordered.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype()));
    let header = header(path, &ordered)?;
    let mut misfit = None;
    let written = write_atomic(path, |file| {
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file);
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for tensor in &ordered {
            let bytes = tensor.bytes();
            if Some(bytes.len()) != size_in_bytes(*tensor) {
                let reason = format!("has {} bytes, shape {:?} needs others", bytes.len(), tensor.shape());
                misfit = Some(CheckpointError::tensor(path, tensor.name(), reason));
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            writer.write_all(&bytes)?;
        }
        writer.flush()
    });
    misfit.map_or(written, Err)
}

/// The JSON header, padded with spaces so that the tensors' bytes begin at a multiple of 8.
fn header<T: TensorToSave>(path: &Path, ordered: &[&T]) -> Result<Vec<u8>, CheckpointError> {
    let invalid = |reason: String| CheckpointError::format(path, reason, Hint::NONE);
    let mut names = HashSet::new();
    let mut infos = Vec::with_capacity(ordered.len());
    let mut offset = 0usize;
    for &tensor in ordered {
        if !names.insert(tensor.name()) || tensor.name() == "__metadata__" {
            return Err(CheckpointError::tensor(path, tensor.name(), "its name is used twice"));
        }
        let end = size_in_bytes(tensor).and_then(|size| offset.checked_add(size));
        let end = end.ok_or_else(|| CheckpointError::tensor(path, tensor.name(), "its size overflows"))?;
        let info = TensorInfo { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), data_offsets: (offset, end) };
        infos.push((tensor.name().to_owned(), info));
        offset = end;
    }
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos).map_err(|error| invalid(error.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| invalid(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn size_in_bytes<T: TensorToSave + ?Sized>(tensor: &T) -> Option<usize> {
    let elements = tensor.shape().iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
    Some(elements.checked_mul(tensor.dtype().bitsize())? / 8)
}

impl TensorToSave for crate::TensorView<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data)
    }
}
