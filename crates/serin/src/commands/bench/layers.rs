//! Every layer, forward and backward, on one micro-batch.

use super::ceilings::{Ceilings, Limits};
use super::lengths;
use super::measured::Measured;
use super::profile::{Bundle, Part, bundles, parts};
use super::spread::repeat;
use super::subject::Subject;
use crate::args::BenchArgs;
use serin_model::{
    Batch, DropoutContext, Freezing, LossSettings, Model, ProblemType, Sequence, Target, Targets, Workspace,
};
use serin_ops::{Backend, Call, Traced, Watch};
use std::collections::BTreeMap;
use std::time::Duration;

/// A micro-batch of training, ready to run again and again.
pub struct Rehearsal<'a, B: Backend> {
    device: &'a B,
    model: Model<B>,
    space: Workspace<B>,
    batch: Batch,
    targets: Targets,
}

impl<'a, B: Backend> Rehearsal<'a, B> {
    /// Plans a micro-batch of `tokens` tokens, of texts as long as IMDB's.
    pub fn new(device: &'a B, subject: &Subject, frozen: usize, tokens: usize) -> anyhow::Result<Rehearsal<'a, B>> {
        let config = &subject.config;
        let ids: Vec<Vec<u32>> = lengths::filling(tokens, config.max_length())
            .into_iter()
            .enumerate()
            .map(|(index, length)| lengths::ids(config, index, length))
            .collect();
        let model = subject.build(device, Freezing::Layers(frozen))?;
        let batch = Batch::pack(config, ids.iter().map(|ids| Sequence { ids, types: &[] }));
        let labels = config.labels.len();
        let loss = LossSettings {
            problem_type: ProblemType::SingleLabelClassification,
            labels,
            label_smoothing: 0.0,
            class_weights: None,
        };
        let classes: Vec<Target> = (0..batch.sequences()).map(|index| Target::Class((index % labels) as u32)).collect();
        let space = model.workspace(device, batch.tokens(), batch.sequences())?;
        Ok(Rehearsal { device, model, space, targets: loss.targets(&classes), batch })
    }

    /// Forward and backward, with dropout in the trained layers.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let dropout = DropoutContext { seed: 42, step: 0, first_sequence: 0, first_token: 0 };
        self.model.forward_trunk(self.device, &mut self.space, &self.batch, None);
        let (space, batch, targets) = (&mut self.space, &self.batch, &self.targets);
        self.model.train_micro_batch(self.device, space, batch, targets, 1.0, Some(&dropout))?;
        Ok(())
    }
}

/// The parts of the model in the order of a step.
pub fn measure<B: Limits>(
    device: &Traced<B>,
    subject: &Subject,
    ceilings: &Ceilings,
    args: &BenchArgs,
    budget: Duration,
) -> anyhow::Result<Vec<Measured>> {
    let frozen = subject.frozen_layers(args.freeze_layers);
    let mut rehearsal = Rehearsal::new(device, subject, frozen, args.tokens)?;
    if B::ENQUEUES {
        device.take();
        rehearsal.run()?;
        device.watch(Watch::Spans(ends(&parts(&device.take(), subject.config.layers, frozen))));
    }
    let passes = repeat(budget, || {
        device.take();
        rehearsal.run()?;
        Ok(bundles(parts(&device.take(), subject.config.layers, frozen)))
    });
    device.watch(Watch::Calls);
    Ok(summary(&passes?, frozen, args.tokens, ceilings))
}

/// The numbers of the calls that end a part: those after which a device with a queue is waited for.
fn ends(parts: &[(Part, Call)]) -> Vec<usize> {
    let next = |index: usize| parts.get(index + 1).map(|(part, _)| *part);
    (0..parts.len()).filter(|&index| next(index) != Some(parts[index].0)).collect()
}

fn summary(passes: &[BTreeMap<Part, Bundle>], frozen: usize, tokens: usize, ceilings: &Ceilings) -> Vec<Measured> {
    let Some(last) = passes.last() else { return Vec::new() };
    let mut parts: Vec<&Part> = last.keys().collect();
    // Forward passes rise, backward passes fall.
    parts.sort_by_key(|part| match part {
        Part::Backward(layer) => (1, usize::MAX - layer),
        Part::HeadBackward => (1, 0),
        Part::Update => (2, 0),
        _ => (0, 0),
    });
    let measured = |part: &&Part| {
        let seconds: Vec<f64> = passes.iter().filter_map(|pass| Some(pass.get(part)?.seconds)).collect();
        let detail = match part {
            Part::Forward(layer) if *layer < frozen => "frozen",
            Part::Forward(_) | Part::Backward(_) => "trained, dropout",
            _ => "",
        };
        Measured::new(part.to_string(), format!("{tokens} tokens {detail}"), &seconds, &last[part].works, ceilings)
    };
    parts.iter().map(measured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::tests::tiny;
    use serin_cpu::{Cpu, CpuOptions};

    #[test]
    fn a_pass_falls_into_the_parts_of_the_model() {
        let device = Traced::new(Cpu::new(CpuOptions::default()).unwrap());
        let subject = tiny();
        let mut rehearsal = Rehearsal::new(&device, &subject, 1, 40).unwrap();
        device.take();
        rehearsal.run().unwrap();
        let (layers, calls) = (subject.config.layers, device.take());
        let bundles = bundles(parts(&calls, layers, 1));
        let seen: Vec<Part> = bundles.keys().copied().collect();
        let forward = (0..3).map(Part::Forward);
        let backward = (1..3).map(Part::Backward);
        let expected: Vec<Part> = [Part::Embeddings]
            .into_iter()
            .chain(forward)
            .chain([Part::Head, Part::HeadBackward])
            .chain(backward)
            .collect();
        assert_eq!(seen, expected);
        let norms = |part: Part, op: &str| parts_of(&calls, layers, part).filter(|found| *found == op).count();
        assert_eq!(norms(Part::Embeddings, "add_layer_norm"), 1);
        for layer in 1..3 {
            assert_eq!(norms(Part::Forward(layer), "add_layer_norm"), 2);
            assert_eq!(norms(Part::Backward(layer), "add_layer_norm_backward"), 2);
        }
    }

    #[test]
    fn every_part_has_one_end_and_all_of_its_time_there() {
        let device = Traced::new(Cpu::new(CpuOptions::default()).unwrap());
        let subject = tiny();
        let mut rehearsal = Rehearsal::new(&device, &subject, 1, 40).unwrap();
        let layers = subject.config.layers;
        let mut pass = |device: &Traced<Cpu>| {
            device.take();
            rehearsal.run().unwrap();
            parts(&device.take(), layers, 1)
        };
        let ends = ends(&pass(&device));
        // The embeddings, three layers, the head, the head's backward, two layers' backwards.
        assert_eq!(ends.len(), 8);
        device.watch(Watch::Spans(ends.clone()));
        let spans = pass(&device);
        assert_eq!(ends.last(), Some(&(spans.len() - 1)));
        for (index, (part, call)) in spans.iter().enumerate() {
            assert_eq!(!call.time.is_zero(), ends.contains(&index), "{part}: {call:?}");
        }
        assert!(bundles(spans).values().all(|bundle| bundle.seconds > 0.0));
    }

    fn parts_of(calls: &[serin_ops::Call], layers: usize, part: Part) -> impl Iterator<Item = &'static str> {
        let calls = parts(calls, layers, 1).into_iter();
        calls.filter(move |(found, _)| *found == part).map(|(_, call)| call.op).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_layer_needs_what_its_shape_says() {
        let device = Traced::new(Cpu::new(CpuOptions::default()).unwrap());
        let subject = tiny();
        let mut rehearsal = Rehearsal::new(&device, &subject, 1, 40).unwrap();
        device.take();
        rehearsal.run().unwrap();
        let bundles = bundles(parts(&device.take(), subject.config.layers, 1));
        let flops = |part: Part| bundles[&part].works.iter().map(|work| work.flops).sum::<f64>();
        // 40 tokens in texts of lengths that sum up to it; 16 wide, 32 in the feed-forward block.
        let lengths: Vec<f64> = lengths::filling(40, 32).into_iter().map(|length| length as f64).collect();
        let (texts, pairs) = (lengths.len() as f64, lengths.iter().map(|length| length * length).sum::<f64>());
        let matrices = 4.0 * 16.0 * 16.0 + 2.0 * 16.0 * 32.0;
        assert_eq!(flops(Part::Forward(0)), 2.0 * 40.0 * matrices + 4.0 * 16.0 * pairs);
        // The matrices twice, attention's four products; the lowest trained layer passes no gradient to its input through
        // queries, keys and values.
        let to_input = 2.0 * 40.0 * 3.0 * 16.0 * 16.0;
        assert_eq!(flops(Part::Backward(1)), 2.0 * 2.0 * 40.0 * matrices - to_input + 8.0 * 16.0 * pairs);
        // Keys and values of all tokens, everything else of one row a text.
        let first = 2.0 * 40.0 * 2.0 * 16.0 * 16.0 + 2.0 * texts * (2.0 * 16.0 * 16.0 + 2.0 * 16.0 * 32.0);
        assert_eq!(flops(Part::Forward(2)), first + 4.0 * 16.0 * 40.0);
    }
}
