//! A case of the goldens and the comparisons with it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use serin_checkpoint::model::LoadedFolder;
use serin_model::{Batch, BuildOptions, Freezing, LossSettings, Model, ModelConfig, Target, Targets, Workspace};
use serin_ops::Backend;

use super::run::{Parameter, Run};
use super::tensors::Tensors;
use super::{Precision, ROUNDINGS, UNIT, norm, number, widen};

/// A case, and every difference found so far.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: LoadedFolder,
    pub(crate) golden: Tensors,
    pub(crate) settings: Value,
    precision: Precision,
    pub(crate) differences: Vec<String>,
}

impl Case {
    pub(crate) fn open(path: &Path, precision: Precision) -> Case {
        Case::of(path, LoadedFolder::open(path).unwrap_or_else(|error| panic!("{error}")), precision)
    }

    /// The goldens at `path` for the model in `folder`.
    pub(crate) fn of(path: &Path, folder: LoadedFolder, precision: Precision) -> Case {
        let text = std::fs::read(path.join("golden.json")).expect("golden.json");
        Case {
            name: path.file_name().expect("a folder").to_string_lossy().into_owned(),
            folder,
            golden: Tensors::open(&path.join("golden.safetensors")),
            settings: serde_json::from_slice(&text).expect("JSON"),
            precision,
            differences: Vec::new(),
        }
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.folder.config()
    }

    pub(crate) fn model<B: Backend>(&self, backend: &B, freezing: Freezing) -> Model<B> {
        let options = BuildOptions { freezing, dtype: self.precision.dtype };
        Model::build(backend, self.config().clone(), &mut self.folder.source(0), options).expect("a model")
    }

    /// What the case freezes.
    pub(crate) fn freezing(&self) -> Freezing {
        match self.settings["frozen_layers"].as_u64() {
            Some(0) | None => Freezing::Nothing,
            Some(layers) => Freezing::Layers(layers as usize),
        }
    }

    pub(crate) fn batch(&self, prefix: &str) -> (Batch, Targets) {
        let labels = self.golden.values(&format!("{prefix}labels"));
        let count = self.config().labels.len();
        let targets: Vec<Target> = match self.settings["problem_type"].as_str() {
            Some("regression") => labels.iter().map(|&score| Target::Score(score as f32)).collect(),
            Some("multi_label_classification") => {
                let rows = labels.chunks(count);
                rows.map(|row| Target::Multi(row.iter().map(|&flag| flag == 1.0).collect())).collect()
            }
            _ => labels.iter().map(|&class| Target::Class(class as u32)).collect(),
        };
        let weights = self.settings["class_weights"].as_array();
        let settings = LossSettings {
            problem_type: self.config().problem_type(),
            labels: count,
            label_smoothing: self.settings["label_smoothing"].as_f64().unwrap_or(0.0) as f32,
            class_weights: weights
                .map(|all| all.iter().filter_map(Value::as_f64).map(|weight| weight as f32).collect()),
        };
        (self.golden.batch(self.config(), prefix), settings.targets(&targets))
    }

    /// The allowed norm of a difference over the norm of what is expected.
    fn bound(&self, kind: &str) -> f64 {
        let single = self.settings["float32_relative_errors"][kind].as_f64().unwrap_or_else(|| panic!("{kind}?"));
        ROUNDINGS * UNIT + self.precision.slack * single * (self.precision.unit_roundoff / UNIT)
    }

    pub(crate) fn compare(&mut self, kind: &str, name: &str, got: &[f64], expected: &[f64]) {
        let allowed = self.bound(kind) * norm(expected.iter().copied());
        self.compare_within(name, got, expected, allowed);
    }

    fn compare_within(&mut self, name: &str, got: &[f64], expected: &[f64], allowed: f64) {
        assert_eq!(got.len(), expected.len(), "{}: {name}", self.name);
        let error = norm(got.iter().zip(expected).map(|(got, expected)| got - expected));
        if error.is_nan() || error > allowed {
            let size = norm(expected.iter().copied());
            self.differences.push(format!("{name}: off by {error:.3e} of {size:.3e}, allowed {allowed:.3e}"));
        }
    }

    /// Panics with every difference found.
    pub(crate) fn finish(self) {
        let shown = self.differences.iter().take(30).map(String::as_str).collect::<Vec<_>>().join("\n  ");
        assert!(self.differences.is_empty(), "{}: {} differences\n  {shown}", self.name, self.differences.len());
    }

    /// The output of the embeddings and of every layer; of the last one each sequence's first row, which is all there is.
    pub(crate) fn check_hidden_states<B: Backend>(&mut self, backend: &B) {
        let (batch, _) = self.batch("");
        let (layers, width) = (self.config().layers, self.config().hidden);
        for layer in 0..=layers {
            let model = self.model(backend, Freezing::Layers(layer));
            let mut space = model.workspace(backend, batch.tokens(), batch.sequences()).expect("memory");
            model.forward_trunk(backend, &mut space, &batch, None);
            let rows = model.trunk_rows(batch.tokens(), batch.sequences());
            let got = self.trunk_output(backend, &model, &space, rows * width);
            let name = format!("hidden_states/{layer}");
            let mut expected = self.golden.values(&name);
            if layer == layers {
                let first = |&start: &u32| expected[start as usize * width..][..width].to_vec();
                expected = batch.offsets[..batch.sequences()].iter().flat_map(first).collect();
            }
            self.compare("hidden_states", &name, &got, &expected);
        }
    }

    /// Through the bytes that a cache would keep.
    fn trunk_output<B: Backend>(&self, backend: &B, model: &Model<B>, space: &Workspace<B>, len: usize) -> Vec<f64> {
        let dtype = self.precision.dtype;
        let mut bytes = vec![0; len * dtype.size()];
        model.read_trunk(backend, space, 0, &mut bytes).expect("the trunk's output");
        let mut buffer = backend.buffer(dtype, len).expect("memory");
        backend.write_bytes(&mut buffer, 0, &bytes);
        let mut values = vec![0.0; len];
        backend.read(&buffer, 0, &mut values).expect("values");
        widen(&values)
    }

    /// Inference, and one pass of training: logits, loss and every gradient.
    pub(crate) fn check_gradients<B: Backend>(&mut self, backend: &B) {
        let (batch, targets) = self.batch("");
        let expected = self.golden.values("logits");
        let model = self.model(backend, Freezing::All);
        let mut space = model.workspace(backend, batch.tokens(), batch.sequences()).expect("memory");
        let logits = model.infer(backend, &mut space, &batch).expect("logits");
        self.compare("logits", "logits of inference", &widen(&logits), &expected);

        let mut run = Run::new(self, backend);
        let (loss, logits) = run.pass(&batch, &targets);
        self.compare("logits", "logits of training", &widen(&logits), &expected);
        self.compare("loss", "loss", &[loss], &self.golden.values("loss"));
        let gradients = run.read(|trainable| trainable.gradient);
        self.compare_gradients(&gradients);
    }

    pub(crate) fn compare_gradients(&mut self, gradients: &HashMap<String, Parameter>) {
        let stored = self.golden.names().into_iter().filter(|name| name.starts_with("grad/")).count();
        assert_eq!(stored, gradients.len(), "{}: other parameters have gradients", self.name);
        for (name, gradient) in gradients {
            let golden = format!("grad/{name}");
            let expected = self.golden.values(&golden);
            let got = thin(&gradient.values, gradient.rows, &self.golden.shape(&golden));
            if is_key_bias(name) {
                let matrix = norm(gradients[&name.replace(".bias", ".weight")].values.iter().copied());
                self.compare_within(&golden, &got, &vec![0.0; got.len()], self.bound("grad") * matrix);
            } else {
                self.compare("grad", &golden, &got, &expected);
            }
        }
    }

    /// Ten steps of AdamW: losses, gradient norms, and the weights at the end. `variant` is `""` or `"warmup/"`.
    pub(crate) fn check_steps<B: Backend>(&mut self, backend: &B, variant: &str) {
        let rates = self.golden.values(&format!("{variant}learning_rates"));
        let batches = [self.batch(""), self.batch("second/")];
        let limit = if variant.is_empty() { f64::INFINITY } else { number(&self.settings["warmup"]["max_grad_norm"]) };
        let mut run = Run::new(self, backend);
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        for (step, rates) in rates.chunks(2).enumerate() {
            let (batch, targets) = &batches[step % 2];
            losses.push(run.pass(batch, targets).0);
            let size = run.gradient_norm();
            norms.push(size);
            let clip = (limit / (size + 1e-6)).min(1.0);
            run.step(step as u64 + 1, [rates[0], rates[1]], clip, !variant.is_empty());
        }
        let trained = run.read(|trainable| trainable.values);
        for (kind, got) in [("losses", losses), ("grad_norms", norms)] {
            let kind = format!("{variant}{kind}");
            let expected = self.golden.values(&kind);
            self.compare(&kind, &kind, &got, &expected);
        }
        self.compare_weights(variant, &trained);
    }

    /// The weights after the last step.
    pub(crate) fn compare_weights(&mut self, variant: &str, trained: &HashMap<String, Parameter>) {
        for (name, parameter) in trained.iter().filter(|(name, _)| !is_key_bias(name)) {
            let golden = format!("{variant}final/{name}");
            let got = thin(&parameter.values, parameter.rows, &self.golden.shape(&golden));
            self.compare(&format!("{variant}final"), &golden, &got, &self.golden.values(&golden));
        }
    }

    pub(crate) fn has_warmup(&self) -> bool {
        self.golden.has("warmup/losses")
    }
}

/// Softmax ignores what a key bias adds: its true gradient is 0.
fn is_key_bias(name: &str) -> bool {
    name.ends_with("attention.self.key.bias") || name.ends_with("attention.k_lin.bias")
}

/// The rows of a matrix that the golden of that shape holds: all, or 0, 9, 18, …
fn thin(values: &[f64], rows: usize, stored: &[usize]) -> Vec<f64> {
    const ROW_STRIDE: usize = 9;
    if rows == 0 || stored[0] == rows {
        return values.to_vec();
    }
    values.chunks(values.len() / rows).step_by(ROW_STRIDE).flatten().copied().collect()
}
