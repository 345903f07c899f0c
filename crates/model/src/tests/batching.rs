//! A batch gives what its parts give: alone, in micro-batches, and from a cached trunk.

use super::{Large, batch, targets, tiny};
use crate::{Batch, BuildOptions, DropoutContext, Family, Freezing, Model, ModelConfig, ProblemType, Targets};
use serin_ops::reference::{Real, Reference};
use serin_tensor::DType;

const CLASSES: ProblemType = ProblemType::SingleLabelClassification;

fn build<T: Real>(config: &ModelConfig, freezing: Freezing) -> Model<Reference<T>> {
    let options = BuildOptions { freezing, dtype: DType::F32 };
    Model::build(&Reference::new(), config.clone(), &mut Large, options).unwrap()
}

/// The targets of a run of sequences.
fn part(all: &Targets, labels: usize, run: std::ops::Range<usize>) -> Targets {
    Targets { values: all.values[run.start * labels..run.end * labels].to_vec(), ..all.clone() }
}

/// Gradients of a batch, summed over micro-batches of at most `tokens` tokens, with dropout.
fn gradients(config: &ModelConfig, freezing: Freezing, batch: &Batch, tokens: usize) -> (f64, Vec<Vec<f64>>) {
    let backend = Reference::<f64>::new();
    let targets = targets(config);
    let mut model = build::<f64>(config, freezing);
    let mut space = model.workspace(&backend, batch.tokens(), batch.sequences()).unwrap();
    model.zero_gradients(&backend);
    let mut loss = 0.0;
    for run in batch.micro_batches(tokens) {
        let (first_sequence, first_token) = (run.start as u64, u64::from(batch.offsets[run.start]));
        let dropout = DropoutContext { seed: 9, step: 4, first_sequence, first_token };
        let (piece, wanted) = (batch.slice(run.clone()), part(&targets, config.labels.len(), run));
        model.forward_trunk(&backend, &mut space, &piece, Some(&dropout));
        let output = model.train_micro_batch(&backend, &mut space, &piece, &wanted, 0.25, Some(&dropout)).unwrap();
        loss += output.loss_sum;
    }
    (loss, model.trainable().iter().map(|trainable| trainable.gradient.values.clone()).collect())
}

#[test]
fn micro_batches_add_up_to_the_whole_batch() {
    for family in Family::ALL {
        for freezing in [Freezing::Nothing, Freezing::Layers(1), Freezing::Layers(2)] {
            let config = tiny(family, "gelu", CLASSES);
            let batch = batch(&config);
            let (loss, whole) = gradients(&config, freezing, &batch, 100);
            for tokens in [1, 6, 10] {
                assert!(batch.micro_batches(tokens).len() > 1);
                let (split_loss, split) = gradients(&config, freezing, &batch, tokens);
                assert!((loss - split_loss).abs() <= 1e-12 * loss, "{loss} {split_loss}");
                for (whole, split) in whole.iter().zip(&split) {
                    let largest = whole.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
                    // Key biases have no gradient but noise, of the size of rounding.
                    let allowed = 1e-12 * largest.max(1e-3);
                    assert!(whole.iter().zip(split).all(|(a, b)| (a - b).abs() <= allowed), "{family:?} {freezing:?}");
                }
            }
        }
    }
}

#[test]
fn a_sequence_gives_the_same_logits_alone_and_among_others() {
    let backend = Reference::<f64>::new();
    for family in Family::ALL {
        let config = tiny(family, "gelu", CLASSES);
        let batch = batch(&config);
        let model = build::<f64>(&config, Freezing::All);
        let mut space = model.workspace(&backend, batch.tokens(), batch.sequences()).unwrap();
        let together = model.infer(&backend, &mut space, &batch).unwrap();
        for (sequence, expected) in together.chunks(config.labels.len()).enumerate() {
            let alone = batch.slice(sequence..sequence + 1);
            assert_eq!(model.infer(&backend, &mut space, &alone).unwrap(), expected, "{family:?}");
        }
    }
}

#[test]
fn a_trunk_that_was_stored_gives_the_same_logits_and_gradients() {
    let backend = Reference::<f32>::new();
    let config = tiny(Family::Roberta, "gelu", CLASSES);
    let (batch, targets) = (batch(&config), targets(&config));
    for layers in 0..=2 {
        let mut model = build::<f32>(&config, Freezing::Layers(layers));
        let mut space = model.workspace(&backend, batch.tokens(), batch.sequences()).unwrap();
        let expected = model.infer(&backend, &mut space, &batch).unwrap();
        model.forward_trunk(&backend, &mut space, &batch, None);
        let mut bytes = vec![0; model.trunk_rows(batch.tokens(), batch.sequences()) * config.hidden * 4];
        model.read_trunk(&backend, &space, 0, &mut bytes).unwrap();
        let direct = model.train_micro_batch(&backend, &mut space, &batch, &targets, 1.0, None).unwrap();

        let mut other = model.workspace(&backend, batch.tokens(), batch.sequences()).unwrap();
        model.write_trunk(&backend, &mut other, 0, &bytes);
        assert_eq!(model.infer_from_trunk(&backend, &mut other, &batch).unwrap(), expected);
        model.write_trunk(&backend, &mut other, 0, &bytes);
        let cached = model.train_micro_batch(&backend, &mut other, &batch, &targets, 1.0, None).unwrap();
        assert_eq!((direct.loss_sum, direct.logits), (cached.loss_sum, cached.logits));
    }
}

#[test]
fn dropout_of_another_step_gives_another_loss() {
    let backend = Reference::<f64>::new();
    let config = tiny(Family::Roberta, "gelu", CLASSES);
    let (batch, targets) = (batch(&config), targets(&config));
    let mut model = build::<f64>(&config, Freezing::Nothing);
    let mut space = model.workspace(&backend, batch.tokens(), batch.sequences()).unwrap();
    let mut loss = |dropout: Option<u64>| {
        let context = dropout.map(|step| DropoutContext { seed: 1, step, first_sequence: 0, first_token: 0 });
        model.forward_trunk(&backend, &mut space, &batch, context.as_ref());
        model.train_micro_batch(&backend, &mut space, &batch, &targets, 1.0, context.as_ref()).unwrap().loss_sum
    };
    let (off, first, second) = (loss(None), loss(Some(1)), loss(Some(2)));
    assert!(off != first && first != second && second != off);
    assert_eq!(loss(Some(1)), first);
}
