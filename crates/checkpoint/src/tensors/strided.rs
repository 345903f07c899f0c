//! A tensor's place in a PyTorch storage: offset, shape and strides, in elements.

use super::Bytes;
use std::ops::Range;

/// The view that `torch._utils._rebuild_tensor_v2` describes; every number comes from outside.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Layout {
    /// The tensor's bytes: a range of the file where it is contiguous, else a row-major copy of at
    /// most `budget` bytes.
    ///
    /// `storage` is the storage's range in `file`, `width` the bytes of an element.
    pub(super) fn bytes(
        &self,
        file: &[u8],
        storage: Range<usize>,
        width: usize,
        budget: &mut usize,
    ) -> Result<Bytes, String> {
        let elements = self.elements()?;
        let size = elements.checked_mul(width).ok_or("its size overflows")?;
        if elements == 0 {
            return Ok(Bytes::Mapped(storage.start..storage.start));
        }
        let source = file.get(storage.clone()).ok_or("its storage lies outside the file")?;
        let last = self.last_element()?;
        if last >= source.len() / width {
            return Err(format!(
                "offset {}, shape {:?} and strides {:?} reach element {last} of a storage of {}",
                self.offset,
                self.shape,
                self.strides,
                source.len() / width
            ));
        }
        if self.is_contiguous() {
            let start = storage.start + self.offset * width;
            return Ok(Bytes::Mapped(start..start + size));
        }
        *budget = budget
            .checked_sub(size)
            .ok_or("it repeats so few stored elements so often that expanding it is refused")?;
        Ok(Bytes::Owned(self.gather(source, width, size)))
    }

    fn elements(&self) -> Result<usize, String> {
        if self.shape.len() != self.strides.len() {
            return Err(format!("has {} dimensions but {} strides", self.shape.len(), self.strides.len()));
        }
        let product = self.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        product.ok_or_else(|| format!("shape {:?} overflows", self.shape))
    }

    /// Index of the furthest element in the storage; the shape must not be empty.
    fn last_element(&self) -> Result<usize, String> {
        let mut last = self.offset;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            last = (size - 1)
                .checked_mul(stride)
                .and_then(|reach| last.checked_add(reach))
                .ok_or("its strides overflow")?;
        }
        Ok(last)
    }

    /// Row-major without gaps; the stride of a dimension of one element does not matter.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size != 1 && stride != expected {
                return false;
            }
            expected *= size;
        }
        true
    }

    /// Copies the elements in row-major order; `last_element` has been checked against `source`.
    fn gather(&self, source: &[u8], width: usize, size: usize) -> Vec<u8> {
        let mut gathered = Vec::with_capacity(size);
        let mut index = vec![0usize; self.shape.len()];
        let mut element = self.offset;
        while gathered.len() < size {
            gathered.extend_from_slice(&source[element * width..(element + 1) * width]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                // Wrapping: the stride of a dimension of one element may be any number.
                element = element.wrapping_add(self.strides[axis]);
                if index[axis] < self.shape[axis] {
                    break;
                }
                element = element.wrapping_sub(self.shape[axis].wrapping_mul(self.strides[axis]));
                index[axis] = 0;
            }
        }
        gathered
    }
}
