//! `pytorch_model.bin`: a zip archive around a pickle and raw storages, or the older stream of pickles.
//!
//! Zip form (PyTorch 1.6 and later, `torch/serialization.py`): `NAME/data.pkl` describes the objects,
//! `NAME/data/KEY` are the storages, stored uncompressed, `NAME/byteorder` says `little` or `big`.
//! Legacy form: pickles of a magic number, a protocol number, the system's properties, the objects and
//! the list of storage keys; then each storage as an i64 count of elements and its bytes.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::LocatedTensor;
use super::mapped_file::MappedFile;
use super::pickle::{Storage, Unpickled, Value, unpickle};
use crate::CheckpointError;

/// First pickle of a legacy file.
const LEGACY_MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The only legacy protocol there ever was.
const LEGACY_PROTOCOL: i128 = 1001;
/// What copies of non-contiguous tensors may take beyond the file's own size.
const SPARE_COPY_BYTES: usize = 16 << 20;
const SAVE_AGAIN: &str = "load it with torch.load and save model.state_dict() again, best with safetensors";

pub(super) fn read(file: &MappedFile) -> Result<Vec<LocatedTensor>, CheckpointError> {
    if file.bytes().starts_with(b"PK") { read_zip(file) } else { read_legacy(file) }
}

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

fn read_zip(file: &MappedFile) -> Result<Vec<LocatedTensor>, CheckpointError> {
    let mut archive = ZipArchive::new(Cursor::new(file.bytes())).map_err(|error| {
        let reason = format!("is not a complete zip archive: {error}");
        CheckpointError::format(file.path(), reason, "the file is truncated or corrupt: download or save it again")
    })?;
    let mut names = archive.file_names().filter_map(Result::ok);
    let pickle_name = names.find(|name| name == "data.pkl" || name.ends_with("/data.pkl")).map(String::from);
    drop(names);
    let Some(pickle_name) = pickle_name else {
        return Err(CheckpointError::format(file.path(), "is a zip archive, but not one of torch.save", SAVE_AGAIN));
    };
    let root = pickle_name.trim_end_matches("data.pkl").to_owned();
    if archive.index_for_name(&format!("{root}constants.pkl")).is_some() {
        return Err(CheckpointError::format(file.path(), "is a TorchScript program, not weights", SAVE_AGAIN));
    }
    check_byte_order(file, &mut archive, &root)?;
    let pickle = entry(file, &mut archive, &pickle_name)?;
    let unpickled = unpickle(file.path(), file.bytes().get(pickle).unwrap_or_default())?;
    collect(file, &unpickled, |storage| entry(file, &mut archive, &format!("{root}data/{}", storage.key)))
}

/// The bytes of a stored entry, by name.
fn entry(file: &MappedFile, archive: &mut Archive<'_>, name: &str) -> Result<Range<usize>, CheckpointError> {
    let corrupt = |reason: String| CheckpointError::format(file.path(), format!("entry '{name}' {reason}"), SAVE_AGAIN);
    let index = archive.index_for_name(name).ok_or_else(|| corrupt("is missing".to_owned()))?;
    let entry = archive.by_index_raw(index).map_err(|error| corrupt(format!("is unreadable: {error}")))?;
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err(corrupt("is compressed or encrypted, which torch.save never does".to_owned()));
    }
    let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
    let size = usize::try_from(entry.size()).ok();
    let range = start.zip(size).and_then(|(start, size)| Some(start..start.checked_add(size)?));
    range.filter(|range| range.end <= file.bytes().len()).ok_or_else(|| corrupt("lies outside the file".to_owned()))
}

fn check_byte_order(file: &MappedFile, archive: &mut Archive<'_>, root: &str) -> Result<(), CheckpointError> {
    let name = format!("{root}byteorder");
    if archive.index_for_name(&name).is_none() {
        return Ok(()); // before PyTorch 2.1, always little
    }
    let range = entry(file, archive, &name)?;
    match file.bytes().get(range) {
        Some(b"little") => Ok(()),
        _ => Err(CheckpointError::format(file.path(), "was saved on a big-endian machine", SAVE_AGAIN)),
    }
}

fn read_legacy(file: &MappedFile) -> Result<Vec<LocatedTensor>, CheckpointError> {
    let mut position = 0;
    let mut next = || {
        let rest = file.bytes().get(position..).unwrap_or_default();
        let unpickled = unpickle(file.path(), rest)?;
        position += unpickled.length;
        Ok::<_, CheckpointError>(unpickled)
    };
    let foreign = |reason: &str| CheckpointError::format(file.path(), reason, SAVE_AGAIN);
    if !matches!(next()?.root(), Value::Int(LEGACY_MAGIC)) {
        return Err(foreign("is a plain pickle, not one of torch.save"));
    }
    if !matches!(next()?.root(), Value::Int(LEGACY_PROTOCOL)) {
        return Err(foreign("has an unknown version of torch.save's legacy format"));
    }
    let system = next()?;
    if !matches!(text_field(&system, system.root(), "little_endian"), Some(Value::Bool(true))) {
        return Err(foreign("was saved on a big-endian machine"));
    }
    let unpickled = next()?;
    let keys = next()?;
    let storages = legacy_storages(file, &unpickled, &keys, position)?;
    collect(file, &unpickled, |storage| {
        storages.get(&storage.key).cloned().ok_or_else(|| foreign("a storage that its tensors need is missing"))
    })
}

/// Walks the storages behind the pickles, in the order of the key list.
fn legacy_storages(
    file: &MappedFile,
    unpickled: &Unpickled,
    keys: &Unpickled,
    mut position: usize,
) -> Result<HashMap<String, Range<usize>>, CheckpointError> {
    let widths: HashMap<&str, usize> =
        unpickled.storages().map(|storage| (storage.key.as_str(), width(storage.dtype))).collect();
    let truncated = || {
        let hint = "the file is truncated or corrupt: download or save it again";
        CheckpointError::format(file.path(), "ends inside its tensors' bytes", hint)
    };
    let Value::List(keys_in_order) = keys.root() else { return Err(truncated()) };
    let mut storages = HashMap::new();
    for &key in keys_in_order {
        let Value::Text(key) = keys.get(key) else { return Err(truncated()) };
        let width = *widths.get(key.as_str()).ok_or_else(truncated)?;
        let count = file.bytes().get(position..).and_then(<[u8]>::first_chunk::<8>).ok_or_else(truncated)?;
        let count = usize::try_from(i64::from_le_bytes(*count)).map_err(|_| truncated())?;
        let start = position + 8;
        let end = count.checked_mul(width).and_then(|size| start.checked_add(size)).ok_or_else(truncated)?;
        if end > file.bytes().len() {
            return Err(truncated());
        }
        storages.insert(key.clone(), start..end);
        position = end;
    }
    Ok(storages)
}

/// The named tensors of the pickled dict, each checked against its storage.
fn collect(
    file: &MappedFile,
    unpickled: &Unpickled,
    mut locate: impl FnMut(&Storage) -> Result<Range<usize>, CheckpointError>,
) -> Result<Vec<LocatedTensor>, CheckpointError> {
    let mut budget = file.bytes().len().saturating_add(SPARE_COPY_BYTES);
    let mut located_storages: HashMap<usize, Range<usize>> = HashMap::new();
    let mut tensors = Vec::new();
    for (name, storage_id, layout) in named_tensors(file, unpickled)? {
        let Value::Storage(storage) = unpickled.get(storage_id) else { continue };
        let range = match located_storages.get(&storage_id) {
            Some(range) => range.clone(),
            None => locate(storage)?,
        };
        located_storages.insert(storage_id, range.clone());
        let broken = |reason: String| CheckpointError::tensor(file.path(), name, reason);
        if storage.elements.checked_mul(width(storage.dtype)) != Some(range.len()) {
            let reason = format!("its storage should hold {} elements, it has {} bytes", storage.elements, range.len());
            return Err(broken(reason));
        }
        let bytes = layout.bytes(file.bytes(), range, width(storage.dtype), &mut budget).map_err(broken)?;
        let (name, shape) = (name.to_owned(), layout.shape.clone());
        tensors.push(LocatedTensor { name, dtype: storage.dtype, shape, bytes });
    }
    Ok(tensors)
}

type NamedTensor<'a> = (&'a str, usize, &'a super::strided::Layout);

/// The entries of the state dict that are tensors, by the last value of each name; a training
/// checkpoint's `{"state_dict": …}` is looked into.
fn named_tensors<'a>(file: &MappedFile, unpickled: &'a Unpickled) -> Result<Vec<NamedTensor<'a>>, CheckpointError> {
    let root = unpickled.root();
    let state = match text_field(unpickled, root, "state_dict") {
        Some(inner @ Value::Dict(_)) => inner,
        _ => root,
    };
    let Value::Dict(entries) = state else {
        let reason = format!("holds {}, not a dict of tensors", state.kind());
        return Err(CheckpointError::format(file.path(), reason, SAVE_AGAIN));
    };
    let mut positions: HashMap<&str, usize> = HashMap::new();
    let mut tensors: Vec<NamedTensor<'a>> = Vec::new();
    for &(key, value) in entries {
        let (Value::Text(name), Value::Tensor { storage, layout }) = (unpickled.get(key), unpickled.get(value)) else {
            continue;
        };
        let tensor = (name.as_str(), *storage, layout);
        match positions.get(name.as_str()).and_then(|&position| tensors.get_mut(position)) {
            Some(earlier) => *earlier = tensor,
            None => {
                positions.insert(name, tensors.len());
                tensors.push(tensor);
            }
        }
    }
    if tensors.is_empty() {
        return Err(CheckpointError::format(file.path(), "holds no named tensors", SAVE_AGAIN));
    }
    Ok(tensors)
}

fn text_field<'a>(unpickled: &'a Unpickled, dict: &Value, field: &str) -> Option<&'a Value> {
    let Value::Dict(entries) = dict else { return None };
    let found = entries.iter().rev().find(|(key, _)| matches!(unpickled.get(*key), Value::Text(text) if text == field));
    found.map(|&(_, value)| unpickled.get(value))
}

/// Bytes of an element; every storage type is made of whole bytes.
fn width(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}
