//! [`PackedWeight`]: a linear layer's matrix in the layout of its products.

use super::pack::pack_right;
use super::tiles::{Layout, PANEL, Pairs, Singles, View, chunks};
use crate::Cpu;
use crate::isa::Isa;
use crate::matrix::Matrix;
use crate::simd::Storage;
use half::{bf16, f16};
use serin_tensor::{AlignedBuffer, DType};

/// A linear layer's matrix `[out, in]` laid out for the products of one storage type.
pub struct PackedWeight {
    dtype: DType,
    format: Format,
    out_features: usize,
    in_features: usize,
    /// Right panels of `y = x Wᵀ`: rows are out features, depth in features.
    forward: AlignedBuffer,
    /// Right panels of `dx = dy W`: rows are in features, depth out features.
    backward: Option<AlignedBuffer>,
}

/// How the panels of a storage type are laid out on an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Pairs,
    Singles,
}

impl Format {
    /// Pairs where there are instructions that multiply them.
    pub(super) fn of(dtype: DType, isa: Isa) -> Format {
        if dtype == DType::BF16 && isa.avx512_bf16.is_some() { Format::Pairs } else { Format::Singles }
    }
}

impl PackedWeight {
    pub(crate) fn pack(
        cpu: &Cpu,
        values: &[f32],
        out_features: usize,
        in_features: usize,
        dtype: DType,
        trainable: bool,
    ) -> PackedWeight {
        let format = Format::of(dtype, cpu.isa);
        let buffer = |rows, depth| AlignedBuffer::zeroed(dtype, panels_len(dtype, format, rows, depth));
        let forward = buffer(out_features, in_features);
        let backward = trainable.then(|| buffer(in_features, out_features));
        let mut weight = PackedWeight { dtype, format, out_features, in_features, forward, backward };
        weight.refresh(cpu, values);
        weight
    }

    pub(crate) fn refresh(&mut self, cpu: &Cpu, master: &[f32]) {
        let (out_features, in_features) = (self.out_features, self.in_features);
        let matrix = Matrix::of_rows(&master[..out_features * in_features], in_features);
        pack(cpu, self.format, View::of(matrix, out_features), &mut self.forward);
        if let Some(backward) = &mut self.backward {
            pack(cpu, self.format, View::transposed(matrix, out_features), backward);
        }
    }

    /// Rows of the matrix: the width of y.
    pub fn out_features(&self) -> usize {
        self.out_features
    }

    /// Columns of the matrix: the width of x.
    pub fn in_features(&self) -> usize {
        self.in_features
    }

    #[cfg(test)]
    pub(super) fn same_bits(&self, other: &PackedWeight) -> bool {
        let bits = |weight: &PackedWeight| {
            let backward = weight.backward.as_ref().map(|panels| panels.as_bytes().to_vec());
            (weight.forward.as_bytes().to_vec(), backward)
        };
        bits(self) == bits(other)
    }

    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn forward_panels<T: Storage>(&self) -> &[T] {
        self.forward.as_slice()
    }

    pub(super) fn backward_panels<T: Storage>(&self) -> &[T] {
        self.backward.as_ref().expect("the weight was made not trainable").as_slice()
    }
}

fn panels_len(dtype: DType, format: Format, rows: usize, depth: usize) -> usize {
    fn of<L: Layout>(rows: usize, depth: usize) -> usize {
        rows.div_ceil(PANEL) * chunks::<L>(depth) * L::CHUNK
    }
    match (format, dtype) {
        (Format::Pairs, _) => of::<Pairs>(rows, depth),
        (Format::Singles, DType::F32) => of::<Singles<f32>>(rows, depth),
        (Format::Singles, DType::BF16) => of::<Singles<bf16>>(rows, depth),
        (Format::Singles, DType::F16) => of::<Singles<f16>>(rows, depth),
    }
}

fn pack(cpu: &Cpu, format: Format, matrix: View<'_, f32>, panels: &mut AlignedBuffer) {
    match (format, panels.dtype()) {
        (Format::Pairs, _) => pack_right::<Pairs, f32>(cpu, matrix, panels.as_mut_slice()),
        (Format::Singles, DType::F32) => pack_right::<Singles<f32>, f32>(cpu, matrix, panels.as_mut_slice()),
        (Format::Singles, DType::BF16) => pack_right::<Singles<bf16>, f32>(cpu, matrix, panels.as_mut_slice()),
        (Format::Singles, DType::F16) => pack_right::<Singles<f16>, f32>(cpu, matrix, panels.as_mut_slice()),
    }
}
