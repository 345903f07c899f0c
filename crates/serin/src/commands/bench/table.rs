//! The report as tables for eyes.

use super::Report;
use super::ceilings::Ceiling;
use super::inference::Inference;
use super::measured::Measured;
use super::step::{Steady, Steps};
use std::fmt;

/// Ops of a step that are listed: the rest are short.
const SHOWN_OPS: usize = 14;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.conditions.sentence())?;
        ceilings(f, &self.machine)?;
        if let Some(ops) = &self.ops {
            heading(f, "Ops")?;
            measured(f, ops)?;
        }
        if let Some(layers) = &self.layers {
            heading(f, "Layers")?;
            measured(f, layers)?;
        }
        if let Some(step) = &self.step {
            steps(f, step)?;
        }
        if let Some(shapes) = &self.inference {
            inference(f, shapes)?;
        }
        Ok(())
    }
}

fn heading(f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    writeln!(
        f,
        "  {:<30} {:<24} {:>10} {:>21} {:>8} {:>8} {:>8} {:>6} {:>6}",
        "", "", "ms", "min … max", "TFLOP/s", "GB/s", "ceiling", "bound", "peak"
    )
}

fn measured(f: &mut fmt::Formatter<'_>, all: &[Measured]) -> fmt::Result {
    all.iter().try_for_each(|one| line(f, one))
}

fn line(f: &mut fmt::Formatter<'_>, one: &Measured) -> fmt::Result {
    let time = &one.milliseconds;
    let spread = if time.repetitions > 1 { format!("{:.3} … {:.3}", time.min, time.max) } else { String::new() };
    let speed = |value: f64| if value > 0.0 { format!("{value:.2}") } else { String::new() };
    let peak = one.percent_of_peak.map_or(String::new(), |percent| format!("{percent:.0} %"));
    let ceiling = if one.bound.is_empty() { String::new() } else { format!("{:.0} %", one.percent_of_ceiling) };
    writeln!(
        f,
        "  {:<30} {:<24} {:>10.3} {:>21} {:>8} {:>8} {:>8} {:>6} {:>6}",
        one.name,
        one.detail,
        time.median,
        spread,
        speed(one.tflops),
        speed(one.gigabytes_per_second),
        ceiling,
        one.bound,
        peak
    )
}

fn ceilings(f: &mut fmt::Formatter<'_>, all: &[Ceiling]) -> fmt::Result {
    writeln!(f, "\nThe machine at most")?;
    for Ceiling { name, threads, unit, speed } in all {
        let (scale, unit) = if *unit == "FLOP/s" { (1e12, "TFLOP/s") } else { (1e9, "GB/s") };
        let [median, min, max] = [speed.median, speed.min, speed.max].map(|value| value / scale);
        let threads = format!("{threads} thread{}", if *threads == 1 { "" } else { "s" });
        writeln!(f, "  {name:<30} {threads:<12} {median:>9.3} {unit:<8} ({min:.3} … {max:.3})")?;
    }
    Ok(())
}

fn steps(f: &mut fmt::Formatter<'_>, steps: &Steps) -> fmt::Result {
    writeln!(f, "\nTraining step: {}", steps.what())?;
    steady(f, "first epoch, frozen layers computed", &steps.first_epoch)?;
    if let Some(later) = &steps.later_epochs {
        steady(f, "later epochs, frozen layers from their cache", later)?;
    }
    if let Some(bytes) = steps.peak_memory {
        writeln!(f, "  memory of this process at most: {:.2} GiB", bytes as f64 / f64::from(1 << 30))?;
    }
    Ok(())
}

fn steady(f: &mut fmt::Formatter<'_>, title: &str, steps: &Steady) -> fmt::Result {
    heading(f, &format!("  {title}"))?;
    line(f, &steps.step)?;
    let (hours, rest) = (steps.epoch_seconds / 3600.0, steps.epoch_seconds / 60.0);
    let epoch = if hours >= 1.0 { format!("{hours:.2} h") } else { format!("{rest:.1} min") };
    writeln!(
        f,
        "  {:.1} examples/s, {:.0} tokens/s; an epoch of {} examples: {epoch} of training",
        steps.examples_per_second, steps.tokens_per_second, steps.forecast_examples
    )?;
    let (last, ops) = steps.ops.split_last().map_or((None, &[][..]), |(last, ops)| (Some(last), ops));
    measured(f, ops.get(..SHOWN_OPS).unwrap_or(ops))?;
    last.map_or(Ok(()), |last| line(f, last))
}

fn inference(f: &mut fmt::Formatter<'_>, shapes: &[Inference]) -> fmt::Result {
    writeln!(f, "\nInference")?;
    writeln!(
        f,
        "  {:>12} {:>10} {:>21} {:>10} {:>10} {:>8} {:>8} {:>6}",
        "texts×tokens", "ms", "min … max", "tokens/s", "texts/s", "TFLOP/s", "ceiling", "peak"
    )?;
    for shape in shapes {
        let (measured, time) = (&shape.measured, &shape.measured.milliseconds);
        writeln!(
            f,
            "  {:>12} {:>10.3} {:>21} {:>10.0} {:>10.1} {:>8.2} {:>8} {:>6}",
            format!("{}×{}", shape.sequences, shape.length),
            time.median,
            format!("{:.3} … {:.3}", time.min, time.max),
            shape.tokens_per_second,
            shape.texts_per_second,
            measured.tflops,
            format!("{:.0} %", measured.percent_of_ceiling),
            measured.percent_of_peak.map_or(String::new(), |percent| format!("{percent:.0} %"))
        )?;
    }
    Ok(())
}
