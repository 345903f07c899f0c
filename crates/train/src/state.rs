//! The resumable state of a run on disk: trained weights, moments and progress, replaced as one folder.

use crate::error::TrainError;
use crate::optimizer::Optimizer;
use crate::progress::Progress;
use serde::{Deserialize, Serialize};
use serin_checkpoint::save::{TensorToSave, recover_dir, replace_dir_atomic, write_json_atomic, write_safetensors};
use serin_checkpoint::tensors::read_f32;
use serin_checkpoint::{Dtype, WeightFiles};
use serin_model::{Model, ParameterSpec};
use serin_ops::Backend;
use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;

const TENSORS: &str = "state.safetensors";
const PROGRESS: &str = "progress.json";
/// The layout of the two files; another number is another layout.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct ProgressFile {
    version: u32,
    progress: Progress,
}

/// The three buffers that belong to a parameter.
#[derive(Clone, Copy)]
enum Part {
    Parameter,
    FirstMoment,
    SecondMoment,
}

impl Part {
    const ALL: [Part; 3] = [Part::Parameter, Part::FirstMoment, Part::SecondMoment];

    const fn name(self) -> &'static str {
        match self {
            Part::Parameter => "parameter",
            Part::FirstMoment => "first_moment",
            Part::SecondMoment => "second_moment",
        }
    }
}

/// A buffer's name in the file, which names the parameters in it.
fn tensor_name(part: Part, specs: &[ParameterSpec]) -> String {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    format!("{}/{}", part.name(), names.join("+"))
}

/// Saves the state in `folder`, which is the old or the new state at any moment.
pub fn save_state<B: Backend>(
    folder: &Path,
    backend: &B,
    model: &mut Model<B>,
    optimizer: &mut Optimizer<B>,
    progress: &Progress,
) -> Result<(), TrainError> {
    let trainable = model.trainable();
    let failure = RefCell::new(None);
    let mut tensors = Vec::new();
    for (trainable, moments) in trainable.iter().zip(optimizer.moments_mut()) {
        for part in Part::ALL {
            let buffer = match part {
                Part::Parameter => &*trainable.values,
                Part::FirstMoment => &moments.first,
                Part::SecondMoment => &moments.second,
            };
            let name = tensor_name(part, trainable.specs);
            tensors.push(SavedBuffer { backend, name, buffer, shape: [trainable.len], failure: &failure });
        }
    }
    replace_dir_atomic(folder, |staging| {
        write_safetensors(&staging.join(TENSORS), &tensors)?;
        write_json_atomic(&staging.join(PROGRESS), &ProgressFile { version: VERSION, progress: progress.clone() })
    })?;
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// A device buffer that is read when its turn comes.
struct SavedBuffer<'a, B: Backend> {
    backend: &'a B,
    name: String,
    buffer: &'a B::Buffer,
    shape: [usize; 1],
    failure: &'a RefCell<Option<TrainError>>,
}

impl<B: Backend> TensorToSave for SavedBuffer<'_, B> {
    fn name(&self) -> &str {
        &self.name
    }

    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.shape[0] * 4];
        if let Err(error) = self.backend.read_bytes(self.buffer, 0, &mut bytes) {
            // No bytes: the write fails and the old state stays.
            *self.failure.borrow_mut() = Some(error.into());
            bytes.clear();
        }
        bytes.into()
    }
}

/// Whether `folder` holds a state.
pub fn has_state(folder: &Path) -> bool {
    recover_dir(folder).is_ok() && folder.join(PROGRESS).is_file()
}

/// Puts a saved state back; returns the progress to go on from.
pub fn load_state<B: Backend>(
    folder: &Path,
    backend: &B,
    model: &mut Model<B>,
    optimizer: &mut Optimizer<B>,
) -> Result<Progress, TrainError> {
    recover_dir(folder)?;
    let refuse = |reason: String| TrainError::Resume { path: folder.to_owned(), reason };
    let path = folder.join(PROGRESS);
    let text = std::fs::read(&path).map_err(|error| refuse(format!("{}: {error}", path.display())))?;
    let file: ProgressFile =
        serde_json::from_slice(&text).map_err(|error| refuse(format!("{}: {error}", path.display())))?;
    if file.version != VERSION {
        return Err(refuse(format!("its layout has version {}, this program reads {VERSION}", file.version)));
    }
    let weights = WeightFiles::open(&folder.join(TENSORS))?;
    for (trainable, moments) in model.trainable().into_iter().zip(optimizer.moments_mut()) {
        for part in Part::ALL {
            let buffer = match part {
                Part::Parameter => &mut *trainable.values,
                Part::FirstMoment => &mut moments.first,
                Part::SecondMoment => &mut moments.second,
            };
            let name = tensor_name(part, trainable.specs);
            let view = weights.get(&name).ok_or_else(|| refuse(format!("`{name}` is not in it")))?;
            let values = read_f32(&view)?;
            if values.len() != trainable.len {
                return Err(refuse(format!("`{name}` has {} values, the model {}", values.len(), trainable.len)));
            }
            backend.write(buffer, 0, &values);
        }
    }
    model.refresh(backend);
    Ok(file.progress)
}
