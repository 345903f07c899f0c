//! The calls of a pass through the model, by op and by the part of the model that they belong to.

use serin_ops::{Call, Work};
use std::collections::BTreeMap;
use std::fmt;

/// Where in a step a call belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Before the layers.
    Embeddings,
    /// A layer's forward pass.
    Forward(usize),
    /// The head's forward pass, and the loss.
    Head,
    /// The head's backward pass.
    HeadBackward,
    /// A layer's backward pass.
    Backward(usize),
    /// Clearing gradients, their norm, the optimizer, laying out matrices.
    Update,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Embeddings => f.write_str("embeddings"),
            Part::Forward(layer) => write!(f, "layer {layer} forward"),
            Part::Head => f.write_str("head and loss"),
            Part::HeadBackward => f.write_str("head backward"),
            Part::Backward(layer) => write!(f, "layer {layer} backward"),
            Part::Update => f.write_str("update"),
        }
    }
}

/// Every call with its part. `trunk` layers lie below the trained ones; where they are read from a cache, a micro-batch begins
/// above them.
///
/// The order of ops tells parts apart: a layer has two norms, the second of which ends its forward pass and begins its
/// backward pass; the embeddings end with a norm; the head ends with the loss.
pub fn parts(calls: &[Call], layers: usize, trunk: usize) -> Vec<(Part, Call)> {
    let mut place = Place { part: None, norms: 0, layers, trunk };
    calls.iter().map(|call| (place.of(call.op), *call)).collect()
}

struct Place {
    /// Where the last call was; `None` between micro-batches.
    part: Option<Part>,
    /// Norms of this part that were passed.
    norms: usize,
    layers: usize,
    trunk: usize,
}

impl Place {
    fn of(&mut self, op: &str) -> Part {
        let part = match (op, self.part) {
            ("gradient_norm" | "adamw" | "refresh_weight", _) => Part::Update,
            ("fill_zero", None | Some(Part::Update)) => Part::Update,
            ("write_bytes" | "embed", _) => Part::Embeddings,
            // Rows of a cache on the device, before the layers; after them they are put there.
            ("copy", None | Some(Part::Update | Part::Embeddings | Part::Backward(_))) => Part::Embeddings,
            (_, None | Some(Part::Update)) => Part::Forward(self.trunk),
            // The next micro-batch, with a trunk from the cache that came in no piece.
            ("linear" | "gather_rows", Some(Part::Backward(_))) => Part::Forward(self.trunk),
            ("loss", _) => Part::Head,
            ("linear_backward_weight", Some(Part::Head)) => Part::HeadBackward,
            ("add_layer_norm_backward", Some(Part::HeadBackward)) => self.enter(Part::Backward(self.layers - 1)),
            ("add_layer_norm_backward", Some(Part::Backward(layer))) if self.norms == 2 && layer > 0 => {
                self.enter(Part::Backward(layer - 1))
            }
            // What follows the embeddings' norm, but for a dropout, is the first layer; after rows of a cache, the first
            // trained one.
            ("linear" | "gather_rows", Some(Part::Embeddings)) => {
                self.enter(self.forward(if self.norms > 0 { 0 } else { self.trunk }))
            }
            (_, Some(Part::Forward(layer))) if self.norms == 2 && !matches!(op, "read_bytes" | "copy") => {
                self.enter(self.forward(layer + 1))
            }
            (_, Some(part)) => part,
        };
        if self.part != Some(part) {
            self.enter(part);
        }
        if matches!(op, "add_layer_norm" | "add_layer_norm_backward") {
            self.norms += 1;
        }
        part
    }

    fn forward(&self, layer: usize) -> Part {
        if layer < self.layers { Part::Forward(layer) } else { Part::Head }
    }

    fn enter(&mut self, part: Part) -> Part {
        if self.part != Some(part) {
            self.part = Some(part);
            self.norms = 0;
        }
        part
    }
}

/// Calls of one kind: their time and their work.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// Seconds of all of them.
    pub seconds: f64,
    /// What each needed.
    pub works: Vec<Work>,
}

/// Calls with the same key, together.
pub fn bundles<K: Ord>(calls: impl IntoIterator<Item = (K, Call)>) -> BTreeMap<K, Bundle> {
    let mut bundles: BTreeMap<K, Bundle> = BTreeMap::new();
    for (key, call) in calls {
        let bundle = bundles.entry(key).or_default();
        bundle.seconds += call.time.as_secs_f64();
        bundle.works.push(call.work);
    }
    bundles
}

/// The op of a call, and the shape of its matrix.
pub fn kind(call: &Call) -> (&'static str, String) {
    let shape = |(ins, outs)| format!("{ins}→{outs}");
    (call.op, call.features.map_or(String::new(), shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The parts of ops in this order, in a model of two layers of which the first is frozen.
    fn placed(ops: &[&'static str]) -> Vec<Part> {
        let call = |&op: &&'static str| Call { op, features: None, time: Duration::ZERO, work: Work::default() };
        let calls: Vec<Call> = ops.iter().map(call).collect();
        parts(&calls, 2, 1).into_iter().map(|(part, _)| part).collect()
    }

    #[test]
    fn rows_of_a_cache_on_the_device_come_before_layers_and_go_there_after_them() {
        let layer = ["linear", "add_layer_norm", "linear", "add_layer_norm"];
        let computed = [&["embed", "add_layer_norm"][..], &layer, &["copy"], &layer].concat();
        let parts = placed(&computed);
        assert_eq!(parts[..2], [Part::Embeddings; 2]);
        assert_eq!(parts[2..7], [Part::Forward(0); 5]);
        assert_eq!(parts[7..], [Part::Forward(1); 4]);
        let cached = [&["fill_zero", "copy", "copy"][..], &layer].concat();
        let parts = placed(&cached);
        assert_eq!(parts[..3], [Part::Update, Part::Embeddings, Part::Embeddings]);
        assert_eq!(parts[3..], [Part::Forward(1); 4]);
    }
}
