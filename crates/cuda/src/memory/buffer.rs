//! Typed buffers.

use super::arena::Arena;
use super::region::Region;
use crate::device::Address;
use crate::error::CudaError;
use half::{bf16, f16};
use serin_tensor::{DType, Element};
use std::sync::Arc;

/// Elements of one type on the device.
pub struct Buffer {
    region: Region,
    dtype: DType,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub(crate) fn zeroed(arena: &Arc<Arena>, dtype: DType, len: usize) -> Result<Buffer, CudaError> {
        let bytes =
            len.checked_mul(dtype.size()).ok_or(CudaError::OutOfMemory { wanted: usize::MAX >> 20, held: 0 })?;
        let mut region = Region::new(arena, bytes)?;
        region.fill_zero(bytes)?;
        Ok(Buffer { region, dtype, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the first element is, for a kernel that accesses `len` elements of `dtype` at most. Panics if there are fewer,
    /// or of another type: a bug of the caller.
    pub(crate) fn at(&self, dtype: DType, len: usize) -> Address {
        assert_eq!(self.dtype, dtype, "buffer used as another type");
        self.region.at(len * dtype.size())
    }

    /// Replaces elements from `first` on by `values`, rounded to nearest, ties to even.
    pub(crate) fn write(&mut self, first: usize, values: &[f32]) -> Result<(), CudaError> {
        fn narrowed<T: Element>(values: &[f32]) -> Vec<T> {
            values.iter().map(|&value| T::from_f32(value)).collect()
        }
        match self.dtype {
            DType::F32 => self.write_bytes(first, bytemuck::cast_slice(values)),
            DType::BF16 => self.write_bytes(first, bytemuck::cast_slice(&narrowed::<bf16>(values))),
            DType::F16 => self.write_bytes(first, bytemuck::cast_slice(&narrowed::<f16>(values))),
        }
    }

    /// Replaces elements from `first` on by their bytes.
    pub(crate) fn write_bytes(&mut self, first: usize, bytes: &[u8]) -> Result<(), CudaError> {
        self.region.write(first * self.dtype.size(), bytes)
    }

    /// Copies elements from `first` on to the host, widening.
    pub(crate) fn read(&self, first: usize, values: &mut [f32]) -> Result<(), CudaError> {
        fn widened<T: Element>(buffer: &Buffer, first: usize, values: &mut [f32]) -> Result<(), CudaError> {
            let mut stored = vec![T::from_f32(0.0); values.len()];
            buffer.read_bytes(first, bytemuck::cast_slice_mut(&mut stored))?;
            values.iter_mut().zip(stored).for_each(|(to, from)| *to = from.to_f32());
            Ok(())
        }
        match self.dtype {
            DType::F32 => self.read_bytes(first, bytemuck::cast_slice_mut(values)),
            DType::BF16 => widened::<bf16>(self, first, values),
            DType::F16 => widened::<f16>(self, first, values),
        }
    }

    /// Copies the bytes of elements from `first` on to the host.
    pub(crate) fn read_bytes(&self, first: usize, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.region.read(first * self.dtype.size(), bytes)
    }

    /// Fills it with zeros of the host's pinned memory: the seconds of [`crate::device::Device::copy_from_pinned`].
    pub(crate) fn copy_from_pinned(&mut self) -> Result<Option<f64>, CudaError> {
        self.region.copy_from_pinned()
    }

    /// Replaces `len` elements from `first` on by those of another buffer of the same type. Panics if either has fewer, or
    /// the types differ: a bug of the caller.
    pub(crate) fn copy(&mut self, first: usize, from: &Buffer, from_first: usize, len: usize) -> Result<(), CudaError> {
        assert_eq!(self.dtype, from.dtype, "a copy between types");
        let size = self.dtype.size();
        self.region.copy_from(first * size, &from.region, from_first * size, len * size)
    }

    /// Sets the first `len` elements to zero.
    pub(crate) fn fill_zero(&mut self, len: usize) -> Result<(), CudaError> {
        self.region.fill_zero(len * self.dtype.size())
    }
}
