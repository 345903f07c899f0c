//! A model folder that `transformers` opens, in place of the old one at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use half::{bf16, f16};
use serin_model::{Model, ModelConfig, ModelError, ParameterSource, ParameterSpec};
use serin_ops::Backend;
use serin_tensor::DType;

use super::names::file_name;
use crate::save::{TensorToSave, replace_dir_atomic, write_atomic, write_json_atomic, write_safetensors};
use crate::{CheckpointError, Dtype, Hint};

/// The weights' file name.
const WEIGHTS: &str = "model.safetensors";

/// What goes into a model folder, besides the tokenizer.
pub struct FolderContents<'a> {
    /// Written as `config.json`.
    pub config: &'a ModelConfig,
    /// The type that weights are stored in. Equal types copy bit for bit.
    pub dtype: DType,
    /// The values of every parameter: a [`ModelParameters`], a [`CheckpointSource`](super::CheckpointSource), an
    /// [`Initializer`](serin_model::Initializer).
    pub parameters: &'a mut dyn ParameterSource,
    /// Further files: name and content.
    pub extra_files: &'a [(&'a str, &'a [u8])],
}

/// Replaces `folder` by one with `config.json`, `model.safetensors`, the extra files and what `tokenizer` writes.
///
/// A reader sees the old folder or the new one. Whatever else lies in the old folder is gone afterwards.
///
/// # Errors
/// [`CheckpointError`] with the file; the old folder is then as before.
pub fn save_model_folder<E: Display>(
    folder: &Path,
    contents: FolderContents<'_>,
    tokenizer: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), CheckpointError> {
    replace_dir_atomic(folder, |staging| write_model_files(staging, contents, tokenizer))
}

/// Writes the files of [`save_model_folder`] into a folder that exists, each atomically, and leaves others alone.
///
/// # Errors
/// [`CheckpointError`] with the file.
pub fn write_model_files<E: Display>(
    folder: &Path,
    contents: FolderContents<'_>,
    tokenizer: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), CheckpointError> {
    let FolderContents { config, dtype, parameters, extra_files } = contents;
    write_weights(&folder.join(WEIGHTS), config, dtype, parameters)?;
    write_json_atomic(&folder.join("config.json"), &config.to_json(dtype.hugging_face_name()))?;
    tokenizer(folder)
        .map_err(|error| CheckpointError::format(folder, format!("the tokenizer: {error}"), Hint::NONE))?;
    for (name, bytes) in extra_files {
        write_atomic(&folder.join(name), |file| file.write_all(bytes))?;
    }
    Ok(())
}

fn write_weights(
    path: &Path,
    config: &ModelConfig,
    dtype: DType,
    parameters: &mut dyn ParameterSource,
) -> Result<(), CheckpointError> {
    let specs = config.parameters();
    let shared = Shared { source: RefCell::new(parameters), failure: RefCell::new(None) };
    let tensors: Vec<Parameter<'_, '_>> = specs
        .iter()
        .map(|spec| Parameter { name: file_name(config.family, &spec.name), spec, dtype, shared: &shared })
        .collect();
    let written = write_safetensors(path, &tensors);
    match shared.failure.take() {
        Some((tensor, reason)) => Err(CheckpointError::tensor(path, &tensor, reason)),
        None => written,
    }
}

/// The source of all tensors, asked while the file is written, and the tensor that could not be had with the reason.
struct Shared<'a> {
    source: RefCell<&'a mut dyn ParameterSource>,
    failure: RefCell<Option<(String, String)>>,
}

struct Parameter<'a, 'b> {
    name: String,
    spec: &'a ParameterSpec,
    dtype: DType,
    shared: &'a Shared<'b>,
}

impl TensorToSave for Parameter<'_, '_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::F32 => Dtype::F32,
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.spec.shape
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        let values = self.shared.source.borrow_mut().values(self.spec).map_err(|error| error.to_string());
        let bytes = values.and_then(|values| encode(&values, self.dtype));
        // No bytes fit no shape: the writer stops, and the caller finds the reason.
        Cow::Owned(bytes.unwrap_or_else(|reason| {
            self.shared.failure.replace(Some((self.name.clone(), reason)));
            Vec::new()
        }))
    }
}

/// Little-endian bytes, rounded to nearest even; the reason where that gives no number.
fn encode(values: &[f32], dtype: DType) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; values.len() * dtype.size()];
    let unfit = match dtype {
        DType::F32 => encode_each(values, &mut bytes, |value| (value.to_le_bytes(), value.is_finite())),
        DType::BF16 => encode_each(values, &mut bytes, |value| {
            let rounded = bf16::from_f32(value);
            (rounded.to_le_bytes(), rounded.is_finite())
        }),
        DType::F16 => encode_each(values, &mut bytes, |value| {
            let rounded = f16::from_f32(value);
            (rounded.to_le_bytes(), rounded.is_finite())
        }),
    };
    match unfit.and_then(|element| values.get(element)) {
        Some(value) if value.is_finite() => Err(format!("{value} is too large for {dtype}: save in fp32 or bf16")),
        Some(value) => Err(format!("holds {value}: the training diverged, and such a model can only answer NaN")),
        None => Ok(bytes),
    }
}

/// Returns the first element that is not finite once encoded.
fn encode_each<const WIDTH: usize>(
    values: &[f32],
    bytes: &mut [u8],
    encode: impl Fn(f32) -> ([u8; WIDTH], bool),
) -> Option<usize> {
    let mut all_finite = true;
    for (element, &value) in bytes.as_chunks_mut::<WIDTH>().0.iter_mut().zip(values) {
        let (encoded, finite) = encode(value);
        *element = encoded;
        all_finite &= finite;
    }
    if all_finite { None } else { values.iter().position(|&value| !encode(value).1) }
}

/// The parameters of a model in training: trained ones from the device, frozen ones from where they came from.
pub struct ModelParameters<'a, B: Backend> {
    /// The model.
    pub model: &'a mut Model<B>,
    /// Its device.
    pub backend: &'a B,
    /// Where it was built from, for what is frozen.
    pub frozen: &'a mut dyn ParameterSource,
}

impl<B: Backend> ParameterSource for ModelParameters<'_, B> {
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError> {
        for trainable in self.model.trainable() {
            let mut offset = 0;
            for held in trainable.specs {
                if held.name == spec.name {
                    let mut values = vec![0.0; held.len()];
                    self.backend.read(trainable.values, offset, &mut values)?;
                    return Ok(values);
                }
                offset += held.len();
            }
        }
        self.frozen.values(spec)
    }
}
