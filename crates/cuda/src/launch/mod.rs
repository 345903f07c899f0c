//! One function a kernel: shapes and buffers in, a launch as `kernels/README.md` describes it out.
//!
//! Each function checks that buffers hold what the kernel will access and that sizes fit its integers; that, and arguments in
//! the order of the README, is what makes a launch sound.

pub(crate) mod attention;
pub(crate) mod embedding;
pub(crate) mod layer_norm;
pub(crate) mod loss;
pub(crate) mod memory_speed;
pub(crate) mod optimizer;
pub(crate) mod product;
pub(crate) mod rows;

use crate::device::{Address, Device, Grid};
use crate::error::CudaError;
use crate::kernel::{Kernel, Program, storage_macro};
use bytemuck::{Pod, Zeroable};
use serin_ops::Activation;
use serin_tensor::DType;
use std::ffi::c_void;

/// What a kernel takes for a dropout; threshold 0 is none.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Dropout {
    threshold: u32,
    scale: f32,
    key: u64,
    first_row: u64,
}

impl Dropout {
    fn of(dropout: Option<serin_ops::Dropout>) -> Dropout {
        dropout.map_or(Dropout::default(), |dropout| Dropout {
            threshold: dropout.threshold,
            scale: dropout.scale,
            key: dropout.key,
            first_row: dropout.first_row,
        })
    }
}

/// A value for a kernel. Two are equal if their bits are.
#[derive(Clone, Copy)]
pub(crate) enum Argument {
    /// A pointer; 0 is null.
    Pointer(Address),
    /// `unsigned`.
    Unsigned(u32),
    /// `unsigned long long`.
    Long(u64),
    /// `float`.
    Float(f32),
    /// `Dropout`.
    Dropout(Dropout),
}

impl Argument {
    /// Where the value is, as drivers take it.
    pub(crate) fn address(&mut self) -> *mut c_void {
        match self {
            Argument::Pointer(value) | Argument::Long(value) => std::ptr::from_mut(value).cast(),
            Argument::Unsigned(value) => std::ptr::from_mut(value).cast(),
            Argument::Float(value) => std::ptr::from_mut(value).cast(),
            Argument::Dropout(value) => std::ptr::from_mut(value).cast(),
        }
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u32 {
        match self {
            Argument::Pointer(_) | Argument::Long(_) => 8,
            Argument::Unsigned(_) | Argument::Float(_) => 4,
            Argument::Dropout(_) => size_of::<Dropout>() as u32,
        }
    }
}

impl PartialEq for Argument {
    fn eq(&self, other: &Argument) -> bool {
        match (self, other) {
            (Argument::Pointer(one), Argument::Pointer(other)) | (Argument::Long(one), Argument::Long(other)) => {
                one == other
            }
            (Argument::Unsigned(one), Argument::Unsigned(other)) => one == other,
            (Argument::Float(one), Argument::Float(other)) => one.to_bits() == other.to_bits(),
            (Argument::Dropout(one), Argument::Dropout(other)) => bytemuck::bytes_of(one) == bytemuck::bytes_of(other),
            _ => false,
        }
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Argument {
        Argument::Unsigned(value)
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Argument {
        Argument::Float(value)
    }
}

impl From<Option<serin_ops::Dropout>> for Argument {
    fn from(value: Option<serin_ops::Dropout>) -> Argument {
        Argument::Dropout(Dropout::of(value))
    }
}

/// An `unsigned` size. Panics beyond 32 bits: no card holds such a batch.
impl From<usize> for Argument {
    fn from(value: usize) -> Argument {
        Argument::Unsigned(size(value))
    }
}

/// A pointer to what an optional buffer holds.
fn optional(address: Option<Address>) -> Argument {
    Argument::Pointer(address.unwrap_or(0))
}

/// Sizes are `unsigned` in kernels.
fn size(value: usize) -> u32 {
    u32::try_from(value).expect("a size that fits 32 bits")
}

/// Enough blocks for `count` things, `each` a block.
fn blocks(count: usize, each: usize) -> u32 {
    size(count.div_ceil(each))
}

/// Threads of a row of elements, eight each.
fn vectors(width: usize) -> usize {
    width.div_ceil(8)
}

/// Blocks along x only, without dynamic shared memory.
fn line(blocks: u32, threads: u32) -> Grid {
    Grid { blocks: [blocks, 1, 1], threads, shared: 0 }
}

/// The tag of a storage type.
fn tag(dtype: DType) -> Argument {
    Argument::Unsigned(storage_macro(dtype))
}

/// The tag of an activation.
fn activation_tag(activation: Activation) -> Argument {
    Argument::Unsigned(match activation {
        Activation::Identity => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
        Activation::Tanh => 4,
        Activation::Silu => 5,
    })
}

/// An entry point compiled for a storage type.
fn typed(file: &'static str, storage: DType, name: &'static str) -> Kernel {
    Kernel { program: Program { file, storage }, name }
}

/// An entry point that takes types as arguments, or has none: compiled once.
fn untyped(file: &'static str, name: &'static str) -> Kernel {
    typed(file, DType::F32, name)
}

/// Enqueues a kernel.
///
/// # Safety
/// As [`Device::launch`].
#[allow(unsafe_code)]
unsafe fn run<const N: usize>(
    device: &dyn Device,
    kernel: Kernel,
    grid: Grid,
    arguments: [Argument; N],
) -> Result<(), CudaError> {
    // SAFETY: the caller's.
    unsafe { device.launch(kernel, grid, &arguments) }
}
