//! One run of a case on a backend: buffers with guards, the call, and what came out.

use serin_ops::Backend;
use serin_tensor::DType;
use std::time::Instant;

/// Elements behind the stated ones, more than any vector or tile is wide.
const GUARDS: usize = 67;
/// What lies there in outputs: exact in every type.
const GUARD: f32 = 123.0;

/// What a call left in a buffer.
pub(crate) struct Output {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<f64>,
    pub(crate) bytes: Vec<u8>,
    /// Whether nothing was written behind the stated elements.
    pub(crate) intact: bool,
}

/// One run on a backend. A device that fails ends the run: there is nothing to compare.
pub(crate) struct Trial<'a, B: Backend> {
    backend: &'a B,
    /// Whether activations lie as the backend likes them best ([`Backend::activations`]), else row-major.
    in_its_order: bool,
    read: fn(&B, &B::Buffer) -> Vec<f64>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) seconds: f64,
}

impl<'a, B: Backend> Trial<'a, B> {
    pub(crate) fn on(backend: &'a B) -> Trial<'a, B> {
        Trial::reading(backend, |backend, buffer| {
            let mut values = vec![0.0; backend.len(buffer)];
            backend.read(buffer, 0, &mut values).unwrap_or_else(|error| panic!("{error}"));
            values.into_iter().map(f64::from).collect()
        })
    }

    /// With another way to read: the reference's values are f64.
    pub(crate) fn reading(backend: &'a B, read: fn(&B, &B::Buffer) -> Vec<f64>) -> Trial<'a, B> {
        Trial { backend, in_its_order: false, read, outputs: Vec::new(), seconds: 0.0 }
    }

    /// With activations in the backend's own order.
    pub(crate) fn in_its_order(self) -> Trial<'a, B> {
        Trial { in_its_order: true, ..self }
    }

    /// A buffer to read. NaN lies behind: whoever computes with it gets NaN.
    pub(crate) fn input(&self, dtype: DType, values: &[f32]) -> B::Buffer {
        self.guarded(dtype, values, f32::NAN)
    }

    /// A buffer to update.
    pub(crate) fn updated(&self, dtype: DType, values: &[f32]) -> B::Buffer {
        self.guarded(dtype, values, GUARD)
    }

    /// A buffer of `len` elements to overwrite: NaN, so that what is not written shows.
    pub(crate) fn output(&self, dtype: DType, len: usize) -> B::Buffer {
        self.guarded(dtype, &vec![f32::NAN; len], GUARD)
    }

    /// [`Trial::input`] of activations, rows of `width`.
    pub(crate) fn input_rows(&self, dtype: DType, values: &[f32], width: usize) -> B::Buffer {
        self.guarded_rows(dtype, values, width, f32::NAN)
    }

    /// [`Trial::updated`] of activations, rows of `width`.
    pub(crate) fn updated_rows(&self, dtype: DType, values: &[f32], width: usize) -> B::Buffer {
        self.guarded_rows(dtype, values, width, GUARD)
    }

    /// [`Trial::output`] of activations, `rows` of `width`.
    pub(crate) fn output_rows(&self, dtype: DType, rows: usize, width: usize) -> B::Buffer {
        self.guarded_rows(dtype, &vec![f32::NAN; rows * width], width, GUARD)
    }

    fn guarded(&self, dtype: DType, values: &[f32], guard: f32) -> B::Buffer {
        let buffer = self.backend.buffer(dtype, values.len() + GUARDS);
        self.filled(buffer.unwrap_or_else(|error| panic!("{error}")), values, guard)
    }

    fn guarded_rows(&self, dtype: DType, values: &[f32], width: usize, guard: f32) -> B::Buffer {
        if !self.in_its_order {
            return self.guarded(dtype, values, guard);
        }
        let buffer = self.backend.activations(dtype, values.len().div_ceil(width.max(1)) + GUARDS, width);
        self.filled(buffer.unwrap_or_else(|error| panic!("{error}")), values, guard)
    }

    fn filled(&self, mut buffer: B::Buffer, values: &[f32], guard: f32) -> B::Buffer {
        let guards = vec![guard; self.backend.len(&buffer) - values.len()];
        self.backend.write(&mut buffer, 0, &[values, &guards].concat());
        buffer
    }

    pub(crate) fn indices(&self, values: &[u32]) -> B::Indices {
        let mut indices = self.backend.indices(values.len()).unwrap_or_else(|error| panic!("{error}"));
        self.backend.write_indices(&mut indices, values);
        indices
    }

    pub(crate) fn sequences(&self, offsets: &[u32]) -> B::Sequences {
        let count = offsets.len().saturating_sub(1);
        let mut sequences = self.backend.sequences(count).unwrap_or_else(|error| panic!("{error}"));
        self.backend.write_sequences(&mut sequences, offsets);
        sequences
    }

    /// A matrix `[out, in]`.
    pub(crate) fn weight(
        &self,
        values: &[f32],
        [out_features, in_features]: [usize; 2],
        dtype: DType,
        trainable: bool,
    ) -> B::Weight {
        let weight = self.backend.weight(values, out_features, in_features, dtype, trainable);
        weight.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Calls and times an op.
    pub(crate) fn call<R>(&mut self, op: impl FnOnce(&B) -> R) -> R {
        let started = Instant::now();
        let result = op(self.backend);
        self.backend.synchronize().unwrap_or_else(|error| panic!("{error}"));
        self.seconds += started.elapsed().as_secs_f64();
        result
    }

    /// Takes the first `len` elements of `buffer` as a result.
    pub(crate) fn keep(&mut self, name: &'static str, buffer: &B::Buffer, len: usize) {
        let output = self.take(name, buffer, len);
        self.outputs.push(output);
    }

    pub(crate) fn take(&self, name: &'static str, buffer: &B::Buffer, len: usize) -> Output {
        let mut values = (self.read)(self.backend, buffer);
        let intact = values[len..].iter().all(|&value| value == f64::from(GUARD));
        values.truncate(len);
        let mut bytes = vec![0; len * self.backend.dtype(buffer).size()];
        self.backend.read_bytes(buffer, 0, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        Output { name, values, bytes, intact }
    }

    /// Takes a number as a result.
    pub(crate) fn keep_number(&mut self, name: &'static str, value: f64) {
        let bytes = value.to_le_bytes().to_vec();
        self.outputs.push(Output { name, values: vec![value], bytes, intact: true });
    }
}

/// The largest error over its tolerance, or what is wrong.
pub(crate) fn compare(outputs: &[Output], expected: &[Vec<f64>], tolerances: &[Vec<f64>]) -> Result<f64, String> {
    assert_eq!([outputs.len(), tolerances.len()], [expected.len(); 2], "results without expectations");
    let mut worst = 0.0;
    for ((output, expected), tolerances) in outputs.iter().zip(expected).zip(tolerances) {
        let name = output.name;
        if !output.intact {
            return Err(format!("{name}: written behind the stated elements"));
        }
        assert_eq!([output.values.len(), tolerances.len()], [expected.len(); 2], "{name}");
        for (index, ((&got, &expected), &tolerance)) in output.values.iter().zip(expected).zip(tolerances).enumerate() {
            assert!(
                expected.is_finite() && tolerance.is_finite(),
                "{name}: a case that expects {expected}±{tolerance}"
            );
            let error = (got - expected).abs();
            if error.is_nan() || error > tolerance {
                return Err(format!("{name}[{index}] is {got:e}, not {expected:e} ± {tolerance:.2e}"));
            }
            worst = f64::max(worst, if error == 0.0 { 0.0 } else { error / tolerance });
        }
    }
    Ok(worst)
}
