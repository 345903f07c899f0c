//! `serin bench`: a device's limits, and how near to them ops, layers, training steps and inference come.

mod ceilings;
mod conditions;
mod inference;
mod layers;
mod lengths;
mod measured;
mod ops;
mod profile;
mod spread;
mod step;
mod subject;
mod table;
mod texts;

use super::Ended;
use crate::args::{BenchArgs, SectionArg};
use anyhow::Context;
use ceilings::{Ceiling, Limits};
use conditions::Conditions;
use serde::Serialize;
use serin::Device;
use serin_checkpoint::save::write_json_atomic;
use serin_ops::Traced;
use std::io::{Write, stdout};
use std::time::Duration;
use subject::Subject;

/// The share of a part's time that the machine's ceilings take where they are only the yardstick.
const YARDSTICK: f64 = 0.2;

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    conditions: Conditions,
    machine: Vec<Ceiling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ops: Option<Vec<measured::Measured>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<measured::Measured>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<step::Steps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference: Option<Vec<inference::Inference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<texts::Texts>,
}

/// Measures, and shows.
pub fn run(args: &BenchArgs, quiet: bool) -> anyhow::Result<Ended> {
    let report = measure(args, &|text| {
        if !quiet {
            eprintln!("{text}");
        }
    })?;
    if let Some(path) = &args.json {
        if path.as_os_str() == "-" {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
            return Ok(Ended::Well);
        }
        write_json_atomic(path, &report).with_context(|| format!("cannot write {}", path.display()))?;
    }
    write!(stdout(), "{report}")?;
    Ok(Ended::Well)
}

fn measure(args: &BenchArgs, say: &dyn Fn(&str)) -> anyhow::Result<Report> {
    match args.device.options().open()? {
        Device::Cpu(cpu) => measure_on(cpu, args, say),
        Device::Cuda(cuda) => measure_on(cuda, args, say),
    }
}

fn measure_on<B: Limits>(device: B, args: &BenchArgs, say: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let dtype = args.device.options().precision.dtype(&device);
    let budget = Duration::from_secs_f64(args.seconds);
    let section = args.section;
    let subject = Subject::open(args.model.as_deref(), dtype)?;
    let conditions = Conditions::note(&device, &subject);
    say(&conditions.sentence());
    say("the machine …");
    let share = if section.has(SectionArg::Machine) { 1.0 } else { YARDSTICK };
    let ceilings = device.ceilings(dtype, budget.mul_f64(share))?;
    let device = Traced::new(device);
    let ops = when(section.has(SectionArg::Ops), || {
        say("ops …");
        ops::measure(&device, &subject, &ceilings, args.tokens, budget)
    })?;
    let layers = when(section.has(SectionArg::Layers), || {
        say("layers …");
        layers::measure(&device, &subject, &ceilings, args, budget)
    })?;
    let step = when(section.has(SectionArg::Step), || {
        say("training steps …");
        step::measure(&device, &subject, &ceilings, args, budget)
    })?;
    let asks_for_texts = args.file.is_some() && args.shapes.is_empty();
    let inference = when(section.has(SectionArg::Inference) && !asks_for_texts, || {
        say("inference …");
        inference::measure(&device, &subject, &ceilings, &args.shapes, budget)
    })?;
    let file = args.file.as_deref().filter(|_| section.has(SectionArg::Inference));
    let texts = match file {
        Some(file) => {
            say("inference of texts …");
            Some(texts::measure(args, file, budget)?)
        }
        None => None,
    };
    Ok(Report { conditions, machine: ceilings.all, ops, layers, step, inference, texts })
}

fn when<T>(wanted: bool, measure: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    if wanted { measure().map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serin_model::ModelConfig;
    use serin_tensor::DType;

    /// A model of three layers that anything takes milliseconds on.
    pub(super) fn tiny() -> Subject {
        let config = ModelConfig::from_json(&json!({
            "model_type": "roberta", "vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 3,
            "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 34, "type_vocab_size": 1,
        }));
        Subject { config: config.unwrap(), dtype: DType::F32, folder: None }
    }
}
