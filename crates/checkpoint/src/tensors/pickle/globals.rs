//! The only names that a weight file may mention.

use safetensors::Dtype;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tensors) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    StorageType(Dtype),
    /// `torch.float32` and so on: may be mentioned, means nothing to the weights.
    ElementType,
}

/// The description of `module.name`, or `None` for everything that is refused.
pub(super) fn lookup(module: &str, name: &str) -> Option<Global> {
    match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("torch", "Size") => Some(Global::Size),
        ("torch.storage" | "torch", "UntypedStorage") => Some(Global::StorageType(Dtype::U8)),
        ("torch", name) => storage_type(name).map(Global::StorageType).or_else(|| element_type(name)),
        _ => None,
    }
}

fn storage_type(name: &str) -> Option<Dtype> {
    Some(match name {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

fn element_type(name: &str) -> Option<Global> {
    let known = ["float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"];
    known.contains(&name).then_some(Global::ElementType)
}
