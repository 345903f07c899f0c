//! Names of kernels and of what they are compiled from.

use serin_tensor::DType;

/// A source of `kernels/`, compiled for one storage type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Program {
    /// The source's name.
    pub(crate) file: &'static str,
    /// The type of activations.
    pub(crate) storage: DType,
}

/// An entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kernel {
    /// Where it is.
    pub(crate) program: Program,
    /// The function's name.
    pub(crate) name: &'static str,
}

/// The value of the macro `STORAGE`.
pub(crate) const fn storage_macro(storage: DType) -> u32 {
    match storage {
        DType::F32 => 0,
        DType::BF16 => 1,
        DType::F16 => 2,
    }
}
