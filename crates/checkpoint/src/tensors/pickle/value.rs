//! What a pickle can describe here. Values live in one arena and refer to each other by index, so
//! that neither deep nesting nor a cycle can exhaust the stack or leak.

use safetensors::Dtype;

use super::super::strided::Layout;
use super::globals::Global;

/// Index of a value in the arena.
pub(in crate::tensors) type ValueId = usize;

#[derive(Debug, Clone)]
pub(in crate::tensors) enum Value {
    None,
    Bool(bool),
    /// Python's integers are unbounded; beyond 128 bits is an error.
    Int(i128),
    /// Weights never depend on one.
    Float,
    /// Nor on raw bytes.
    Bytes,
    Text(String),
    Tuple(Vec<ValueId>),
    List(Vec<ValueId>),
    /// A dict or OrderedDict, in insertion order; of equal keys the last counts.
    Dict(Vec<(ValueId, ValueId)>),
    Set,
    Global(Global),
    Storage(Storage),
    /// A tensor or parameter: a view into the storage.
    Tensor {
        storage: ValueId,
        layout: Layout,
    },
}

impl Value {
    /// For messages.
    pub(in crate::tensors) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an integer",
            Self::Float => "a float",
            Self::Bytes => "bytes",
            Self::Text(_) => "a text",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Set => "a set",
            Self::Global(_) => "a class or function",
            Self::Storage(_) => "a storage",
            Self::Tensor { .. } => "a tensor",
        }
    }
}

/// A run of elements stored outside the pickle, from a persistent id
/// `("storage", type, key, location, elements)`.
#[derive(Debug, Clone)]
pub(in crate::tensors) struct Storage {
    pub(in crate::tensors) dtype: Dtype,
    /// Its file in a zip checkpoint, its id in a legacy one.
    pub(in crate::tensors) key: String,
    pub(in crate::tensors) elements: usize,
}
