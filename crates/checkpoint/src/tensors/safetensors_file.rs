//! The safetensors format: an 8-byte length, a JSON header, the tensors' bytes.
//!
//! Source: <https://huggingface.co/docs/safetensors>. The `safetensors` crate parses the header and
//! checks that offsets, shapes and types agree; the frame around it is checked here, because the crate
//! adds up outside numbers unchecked there and cannot say how many bytes are missing.

use safetensors::tensor::Metadata;

use super::mapped_file::MappedFile;
use super::{Bytes, LocatedTensor};
use crate::{CheckpointError, Hint};

const LENGTH_BYTES: usize = 8;
/// The format's own limit.
const MAX_HEADER_BYTES: usize = 100_000_000;

pub(super) fn read(file: &MappedFile) -> Result<Vec<LocatedTensor>, CheckpointError> {
    let (data_start, metadata) = read_header(file)?;
    let data_length = file.bytes().len() - data_start;
    if metadata.data_len() != data_length {
        let reason = format!("its header describes {} bytes of tensors, it holds {data_length}", metadata.data_len());
        let hint: Hint = if data_length < metadata.data_len() {
            "the file is truncated: download or save it again".into()
        } else {
            Hint::NONE
        };
        return Err(CheckpointError::format(file.path(), reason, hint));
    }
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (start, end) = info.data_offsets;
        // Below data_length, which is below the file's length: these sums cannot overflow.
        let bytes = Bytes::Mapped(data_start + start..data_start + end);
        tensors.push(LocatedTensor { dtype: info.dtype, shape: info.shape.clone(), bytes, name });
    }
    Ok(tensors)
}

/// Where the tensors' bytes begin, and the parsed header.
fn read_header(file: &MappedFile) -> Result<(usize, Metadata), CheckpointError> {
    let corrupt = |reason: String| {
        CheckpointError::format(file.path(), reason, "if it should be safetensors, download or save it again")
    };
    let Some((length, rest)) = file.bytes().split_first_chunk::<LENGTH_BYTES>() else {
        return Err(corrupt("is too short for a safetensors file".to_owned()));
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER_BYTES {
        return Err(corrupt(format!("is not a safetensors file (its header would be {length} bytes long)")));
    }
    let Some(header) = rest.get(..length) else {
        return Err(corrupt(format!("ends inside its header of {length} bytes")));
    };
    let metadata = serde_json::from_slice(header)
        .map_err(|error| corrupt(format!("its safetensors header is not valid: {error}")))?;
    Ok((LENGTH_BYTES + length, metadata))
}
