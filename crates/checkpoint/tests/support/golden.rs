//! Any backend against what PyTorch computed: hidden states, logits, loss, gradients and ten optimizer steps.
//!
//! `golden/README.md` describes the files. Included by path from the tests of every crate that has a backend to check.
#![allow(dead_code)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serin_checkpoint::model::{LoadedFolder, file_name};
use serin_checkpoint::{Dtype, WeightFiles};
use serin_model::{
    Batch, BuildOptions, Freezing, LossSettings, Model, ModelConfig, ParameterKind, Sequence, Target, Targets,
    Workspace,
};
use serin_ops::{AdamwSlot, AdamwStep, Backend};
use serin_tensor::DType;

/// How exactly a backend computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precision {
    /// The unit roundoff of its arithmetic and storage.
    pub(crate) unit_roundoff: f64,
    /// How many times PyTorch's own float32 error it may be away (scaled to this roundoff): sums in another order.
    pub(crate) slack: f64,
    /// The storage type of activations.
    pub(crate) dtype: DType,
}

impl Precision {
    pub(crate) const DOUBLE: Precision =
        Precision { unit_roundoff: 1.0 / (1u64 << 53) as f64, slack: 4.0, dtype: DType::F32 };
    pub(crate) const SINGLE: Precision = Precision { unit_roundoff: UNIT, slack: 4.0, dtype: DType::F32 };
}

/// Half the distance from 1 to the next f32.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;
/// f32 roundings on the way, whatever the backend computes in: the stored golden, the value read back, 1/normalizer, and
/// class weights, smoothing, learning rates and betas.
const ROUNDINGS: f64 = 4.0;

/// The folders under `golden/models` that hold a case.
pub(crate) fn cases() -> Vec<PathBuf> {
    let all = std::fs::read_dir(models()).expect("golden/models").map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<PathBuf> = all.filter(|path| path.join("golden.json").exists()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", models().display());
    cases
}

pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models")
}

/// Numbers of a golden file.
pub(crate) struct Tensors(WeightFiles);

impl Tensors {
    pub(crate) fn open(path: &Path) -> Tensors {
        Tensors(WeightFiles::open(path).unwrap_or_else(|error| panic!("{error}")))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.0.get(name).unwrap_or_else(|| panic!("golden without {name}")).shape
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.views().map(|view| view.name.to_owned()).collect()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        let view = self.0.get(name).unwrap_or_else(|| panic!("golden without {name}"));
        let (fours, eights) = (view.data.as_chunks::<4>().0, view.data.as_chunks::<8>().0);
        match view.dtype {
            Dtype::F32 => fours.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
            Dtype::I32 => fours.iter().map(|&bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
            Dtype::F64 => eights.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The batch whose tensors begin with `prefix`.
    pub(crate) fn batch(&self, config: &ModelConfig, prefix: &str) -> Batch {
        let ids: Vec<u32> = self.values(&format!("{prefix}ids")).into_iter().map(|id| id as u32).collect();
        let types: Vec<u8> = self.values(&format!("{prefix}type_ids")).into_iter().map(|kind| kind as u8).collect();
        let mut start = 0;
        let lengths = self.values(&format!("{prefix}lengths"));
        let sequences = lengths.iter().map(|&length| {
            let rows = start..start + length as usize;
            start = rows.end;
            Sequence { ids: &ids[rows.clone()], types: &types[rows] }
        });
        Batch::pack(config, sequences)
    }
}

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
        let text = std::fs::read(path.join("golden.json")).expect("golden.json");
        Case {
            name: path.file_name().expect("a folder").to_string_lossy().into_owned(),
            folder: LoadedFolder::open(path).unwrap_or_else(|error| panic!("{error}")),
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

    fn compare(&mut self, kind: &str, name: &str, got: &[f64], expected: &[f64]) {
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

    fn compare_gradients(&mut self, gradients: &HashMap<String, Parameter>) {
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

/// A parameter's numbers, read back.
pub(crate) struct Parameter {
    pub(crate) values: Vec<f64>,
    pub(crate) rows: usize,
}

/// A model in training.
pub(crate) struct Run<'a, B: Backend> {
    backend: &'a B,
    pub(crate) model: Model<B>,
    space: Workspace<B>,
    moments: Vec<[B::Buffer; 2]>,
    betas: [f32; 2],
    epsilon: f32,
    weight_decay: f32,
}

impl<'a, B: Backend> Run<'a, B> {
    pub(crate) fn new(case: &Case, backend: &'a B) -> Run<'a, B> {
        let mut model = case.model(backend, case.freezing());
        let sizes = ["", "second/"].map(|prefix| case.golden.values(&format!("{prefix}lengths")));
        let tokens = sizes.iter().map(|lengths| lengths.iter().sum::<f64>() as usize).max().unwrap_or(0);
        let space = model.workspace(backend, tokens, sizes[0].len()).expect("memory");
        let moment = |len| backend.buffer(DType::F32, len).expect("memory");
        let moments =
            model.trainable().iter().map(|trainable| [moment(trainable.len), moment(trainable.len)]).collect();
        let optimizer = &case.settings["optimizer"];
        Run {
            backend,
            model,
            space,
            moments,
            betas: [0, 1].map(|index| number(&optimizer["betas"][index]) as f32),
            epsilon: number(&optimizer["eps"]) as f32,
            weight_decay: number(&optimizer["weight_decay"]) as f32,
        }
    }

    /// Forward and backward of a whole batch from zeroed gradients: the mean loss and the logits.
    pub(crate) fn pass(&mut self, batch: &Batch, targets: &Targets) -> (f64, Vec<f32>) {
        self.model.zero_gradients(self.backend);
        self.model.forward_trunk(self.backend, &mut self.space, batch, None);
        let scale = (1.0 / targets.normalizer) as f32;
        let output = self.model.train_micro_batch(self.backend, &mut self.space, batch, targets, scale, None);
        let output = output.expect("a pass");
        (output.loss_sum / targets.normalizer, output.logits)
    }

    fn gradient_norm(&mut self) -> f64 {
        let trainable = self.model.trainable();
        let gradients: Vec<_> = trainable.iter().map(|trainable| (&*trainable.gradient, trainable.len)).collect();
        let norm = self.backend.gradient_norm(&gradients).expect("a norm");
        assert!(norm.finite);
        norm.sum_of_squares.sqrt()
    }

    /// Learning rates of encoder and head; BERT's pooler is the encoder's, as in `golden/model_goldens.py`.
    fn step(&mut self, step: u64, rates: [f64; 2], clip: f64, exempt_norms_and_biases: bool) {
        let family = self.model.config().family;
        let mut trainable = self.model.trainable();
        let parts = trainable.iter_mut().zip(&mut self.moments);
        let mut slots: Vec<AdamwSlot<'_, B>> = parts
            .map(|(trainable, [first_moment, second_moment])| {
                let spec = &trainable.specs[0];
                let exempt = exempt_norms_and_biases && !spec.kind.usually_decayed();
                AdamwSlot {
                    parameter: &mut *trainable.values,
                    gradient: &*trainable.gradient,
                    first_moment,
                    second_moment,
                    len: trainable.len,
                    learning_rate: rates[usize::from(is_head(&file_name(family, &spec.name)))] as f32,
                    weight_decay: if exempt { 0.0 } else { self.weight_decay },
                }
            })
            .collect();
        let [beta1, beta2] = self.betas;
        let gradient_scale = clip as f32;
        self.backend.adamw(&mut slots, AdamwStep { beta1, beta2, epsilon: self.epsilon, step, gradient_scale });
        self.model.refresh(self.backend);
    }

    /// Values or gradients of all trained parameters, by their names in the checkpoint.
    fn read(
        &mut self,
        which: impl for<'b> Fn(serin_model::TrainableMut<'b, B>) -> &'b mut B::Buffer,
    ) -> HashMap<String, Parameter> {
        let family = self.model.config().family;
        let mut all = HashMap::new();
        for trainable in self.model.trainable() {
            let (specs, len) = (trainable.specs, trainable.len);
            let mut values = vec![0.0; len];
            self.backend.read(which(trainable), 0, &mut values).expect("values");
            let mut rest = values.as_slice();
            for spec in specs {
                let (own, others) = rest.split_at(spec.len());
                rest = others;
                let rows = if spec.kind == ParameterKind::Matrix || spec.kind == ParameterKind::Table {
                    spec.shape[0]
                } else {
                    0
                };
                all.insert(file_name(family, &spec.name), Parameter { values: widen(own), rows });
            }
        }
        all
    }
}

fn is_head(name: &str) -> bool {
    name.starts_with("classifier.") || name.starts_with("pre_classifier.")
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

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}
