//! The report as tables for eyes.

use super::Report;
use super::ceilings::Ceiling;
use super::inference::Inference;
use super::measured::Measured;
use super::step::{Forecast, Steady, Steps};
use super::texts::Texts;
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
        self.texts.as_ref().map_or(Ok(()), |found| texts(f, found))
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
        let (unit, scale) = unit.in_tables();
        let [median, min, max] = [speed.median, speed.min, speed.max].map(|value| value / scale);
        let many = |threads: usize| format!("{threads} thread{}", if threads == 1 { "" } else { "s" });
        let threads = threads.map_or(String::new(), many);
        writeln!(f, "  {name:<30} {threads:<12} {median:>9.3} {unit:<8} ({min:.3} … {max:.3})")?;
    }
    Ok(())
}

fn steps(f: &mut fmt::Formatter<'_>, steps: &Steps) -> fmt::Result {
    writeln!(f, "\nTraining step: {}", steps.what())?;
    if steps.ops_apart {
        writeln!(f, "  (ops are of other steps than those timed, in which each is waited for)")?;
    }
    steady(f, "first epoch, frozen layers computed", &steps.first_epoch)?;
    if let Some(later) = &steps.later_epochs {
        steady(f, "later epochs, frozen layers from their cache", later)?;
    }
    forecast(f, &steps.forecast)?;
    if let Some(bytes) = steps.peak_memory {
        writeln!(f, "  memory of this process at most: {:.2} GiB", bytes as f64 / f64::from(1 << 30))?;
    }
    Ok(())
}

fn forecast(f: &mut fmt::Formatter<'_>, forecast: &Forecast) -> fmt::Result {
    writeln!(
        f,
        "\n  {} epochs of {} examples, each evaluated on as many: {} (first epoch {} and {}, later ones {} and {})",
        forecast.epochs,
        forecast.examples,
        duration(forecast.seconds),
        duration(forecast.first_epoch_seconds),
        duration(forecast.first_evaluation_seconds),
        duration(forecast.later_epoch_seconds),
        duration(forecast.later_evaluation_seconds),
    )
}

/// In the unit that has few digits.
fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds >= 3600.0 => format!("{:.2} h", seconds / 3600.0),
        _ if seconds >= 120.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{seconds:.1} s"),
    }
}

fn steady(f: &mut fmt::Formatter<'_>, title: &str, steps: &Steady) -> fmt::Result {
    heading(f, &format!("  {title}"))?;
    line(f, &steps.step)?;
    writeln!(
        f,
        "  {:.2} steps/s, {:.1} examples/s, {:.0} tokens/s; an epoch of {} examples: {} of training",
        steps.steps_per_second,
        steps.examples_per_second,
        steps.tokens_per_second,
        steps.forecast_examples,
        duration(steps.epoch_seconds)
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

fn texts(f: &mut fmt::Formatter<'_>, texts: &Texts) -> fmt::Result {
    let Texts { model_seconds: model, whole_seconds: whole, .. } = texts;
    writeln!(f, "\nInference of {} texts, {} tokens", texts.texts, texts.tokens)?;
    writeln!(f, "  {:<30} {:>10.3} s", "tokenizing alone", texts.tokenizing_seconds)?;
    for (name, seconds, rate) in [
        ("the model alone", model, texts.model_tokens_per_second),
        ("from the file to logits", whole, texts.whole_tokens_per_second),
    ] {
        let spread = format!("{:.3} … {:.3}", seconds.min, seconds.max);
        writeln!(f, "  {name:<30} {:>10.3} s {spread:>19} {rate:>12.0} tokens/s", seconds.median)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_few_digits() {
        assert_eq!([0.04, 119.0, 120.0, 5400.0].map(duration), ["0.0 s", "119.0 s", "2.0 min", "1.50 h"]);
    }
}
