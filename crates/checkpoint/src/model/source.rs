//! Parameters from a checkpoint: converted to f32, checked, new ones drawn.

use serin_model::{Group, Initializer, ModelError, ParameterSource, ParameterSpec};

use super::LoadedFolder;
use super::head::HeadLayer;
use crate::CheckpointError;
use crate::tensors::{TensorView, read_into};

/// Elements converted and looked at while they are in the cache.
const BLOCK: usize = 1 << 14;

/// The values of every parameter of [`LoadedFolder::config`].
#[derive(Debug)]
pub struct CheckpointSource<'a> {
    folder: &'a LoadedFolder,
    fresh: Initializer,
}

impl LoadedFolder {
    /// A source that reads what the folder has and draws the rest from N(0, `initializer_range`²) with `seed`.
    pub fn source(&self, seed: u64) -> CheckpointSource<'_> {
        CheckpointSource { folder: self, fresh: Initializer { seed, range: self.config().initializer_range } }
    }
}

impl ParameterSource for CheckpointSource<'_> {
    /// # Errors
    /// [`ModelError::Parameter`] with file, tensor and position of a number that is not finite.
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError> {
        let read = |view| read_finite(&view).map_err(|error| ModelError::Parameter(error.to_string()));
        match (self.folder.view(&spec.name), HeadLayer::of(&spec.name)) {
            (Some(view), Some(HeadLayer::Output)) => {
                let stored = read(view)?;
                let fresh = self.fresh.values(spec)?;
                Ok(self.rows(spec, &stored, fresh))
            }
            (Some(view), _) => read(view),
            (None, _) if spec.group == Group::Head => self.fresh.values(spec),
            (None, _) => Err(ModelError::Parameter(format!("the checkpoint has no `{}`", spec.name))),
        }
    }
}

impl CheckpointSource<'_> {
    /// The last layer's matrix or bias: rows of the file where the plan says so, fresh ones elsewhere.
    fn rows(&self, spec: &ParameterSpec, stored: &[f32], mut values: Vec<f32>) -> Vec<f32> {
        let width: usize = spec.shape.iter().skip(1).product();
        let rows = values.chunks_exact_mut(width.max(1)).zip(&self.folder.rows.from);
        for (value, from) in rows {
            let from = from.and_then(|row| stored.get(row * width..(row + 1) * width));
            if let Some(row) = from {
                value.copy_from_slice(row);
            }
        }
        values
    }
}

/// The tensor's elements as f32, all finite.
pub(super) fn read_finite(view: &TensorView<'_>) -> Result<Vec<f32>, CheckpointError> {
    let mut values = vec![0.0; view.elements()];
    let bytes = BLOCK * view.dtype.bitsize() / 8;
    for (block, (part, data)) in values.chunks_mut(BLOCK).zip(view.data.chunks(bytes.max(1))).enumerate() {
        let (name, dtype, path) = (view.name, view.dtype, view.path);
        read_into(&TensorView { name, dtype, shape: vec![part.len()], data, path }, part)?;
        if !all_finite(part) {
            let inside = part.iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(not_finite(view, block * BLOCK + inside, part[inside]));
        }
    }
    Ok(values)
}

/// Without branches, so that it vectorises: exponents of all ones mean NaN or infinity.
fn all_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    values.iter().fold(true, |finite, value| finite & (value.to_bits() & EXPONENT != EXPONENT))
}

fn not_finite(view: &TensorView<'_>, element: usize, value: f32) -> CheckpointError {
    let mut rest = element;
    let mut position: Vec<usize> = view
        .shape
        .iter()
        .rev()
        .map(|&size| {
            let index = rest % size.max(1);
            rest /= size.max(1);
            index
        })
        .collect();
    position.reverse();
    CheckpointError::Tensor {
        path: view.path.to_owned(),
        tensor: view.name.to_owned(),
        reason: format!("holds {value} at {position:?}: a model with it can only answer NaN"),
        hint: "the training that wrote it diverged: use an earlier checkpoint".into(),
    }
}
