//! Tensor bytes to f32, whatever float type the file holds.

use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::Dtype;

use super::TensorView;
use crate::CheckpointError;

/// Elements converted at a time where the conversion wants an aligned source.
const BLOCK: usize = 1024;

/// The tensor's elements as f32, from F32, F16, BF16 or F64 (rounded to nearest).
///
/// # Errors
/// [`CheckpointError::Tensor`] for any other element type.
pub fn read_f32(view: &TensorView<'_>) -> Result<Vec<f32>, CheckpointError> {
    check_float(view)?;
    let mut values = vec![0.0; view.elements()];
    read_into(view, &mut values)?;
    Ok(values)
}

/// As [`read_f32`], into memory that the caller owns.
///
/// # Errors
/// [`CheckpointError::Tensor`] for an element type that is no float, or a destination of another length.
pub fn read_into(view: &TensorView<'_>, destination: &mut [f32]) -> Result<(), CheckpointError> {
    check_float(view)?;
    if destination.len() != view.elements() {
        let reason =
            format!("has {} elements (shape {:?}), {} were expected", view.elements(), view.shape, destination.len());
        return Err(CheckpointError::tensor(view.path, view.name, reason));
    }
    match view.dtype {
        Dtype::F32 => convert(view.data, destination, f32::from_le_bytes),
        Dtype::F64 => convert(view.data, destination, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::BF16 => {
            convert(view.data, destination, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16))
        }
        _ => convert_f16(view.data, destination),
    }
    Ok(())
}

fn check_float(view: &TensorView<'_>) -> Result<(), CheckpointError> {
    match view.dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => Ok(()),
        other => {
            let reason = format!("holds {other:?}, a weight must be F32, F16, BF16 or F64");
            Err(CheckpointError::tensor(view.path, view.name, reason))
        }
    }
}

fn convert<const WIDTH: usize>(source: &[u8], destination: &mut [f32], decode: impl Fn([u8; WIDTH]) -> f32) {
    let (elements, _) = source.as_chunks::<WIDTH>();
    for (value, bytes) in destination.iter_mut().zip(elements) {
        *value = decode(*bytes);
    }
}

/// In blocks, so that `half` can use the processor's own conversion.
fn convert_f16(source: &[u8], destination: &mut [f32]) {
    let mut block = [f16::ZERO; BLOCK];
    for (values, bytes) in destination.chunks_mut(BLOCK).zip(source.chunks(2 * BLOCK)) {
        let (pairs, _) = bytes.as_chunks::<2>();
        for (element, pair) in block.iter_mut().zip(pairs) {
            *element = f16::from_le_bytes(*pair);
        }
        let length = values.len();
        block[..length].convert_to_f32_slice(values);
    }
}
