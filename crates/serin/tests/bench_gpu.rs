//! `serin bench --device cuda` on stand-ins for NVIDIA's libraries: what is measured is complete, and means nothing there.

#[path = "../../cuda/tests/support/mod.rs"]
mod gpu;
mod support;

use gpu::stand_ins::StandIns;
use serde_json::Value;
use support::{Place, Run, SENTIMENT, labelled_rows};

fn bench(place: &Place, stand_ins: &StandIns, arguments: &[&str]) -> Run {
    let all =
        ["bench", "--device=cuda", "--model=model", "--seconds=0.05", "--tokens=40", "--batch-size=2", "--steps=2"];
    let mut command = place.command(&[&all[..], arguments].concat());
    command.env("SERIN_CACHE", place.path("cache"));
    stand_ins.found_by(&mut command);
    Run::of(command.output().unwrap())
}

/// Every number under `value` that has one of these names.
fn numbers(value: &Value, names: &[&str]) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(|inside| numbers(inside, names)).collect(),
        Value::Object(fields) => {
            let of = |(name, inside): (&String, &Value)| match inside.as_f64() {
                Some(number) if names.contains(&name.as_str()) => vec![number],
                _ => numbers(inside, names),
            };
            fields.iter().flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn bench_measures_the_gpu_in_every_part() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = Place::new();
    let report: Value = serde_json::from_str(&bench(&place, stand_ins, &["all", "--json=-"]).well()).unwrap();
    assert!(report["conditions"]["device"].as_str().is_some_and(|name| name.contains("stand-in")), "{report}");
    assert_eq!(report["conditions"]["precision"], "bf16");
    let machine = report["machine"].as_array().unwrap();
    let unit = |name: &str| machine.iter().find(|ceiling| ceiling["name"] == name).map(|ceiling| &ceiling["unit"]);
    for (name, expected) in [
        ("bf16 products", "FLOP/s"),
        ("fp16 products", "FLOP/s"),
        ("L2 read", "B/s"),
        ("memory read", "B/s"),
        ("memory copy, both ways counted", "B/s"),
        ("host to GPU, pinned", "B/s"),
        ("a launch among others", "s"),
    ] {
        assert_eq!(unit(name), Some(&Value::from(expected)), "{name}: {machine:?}");
    }
    for part in ["ops", "layers", "step", "inference"] {
        let times = numbers(&report[part], &["median", "steps_per_second", "tokens_per_second"]);
        assert!(times.len() > 4 && times.iter().all(|&time| time > 0.0), "{part}: {times:?}");
    }
    // What products need is held against the largest product.
    let linear = report["ops"].as_array().unwrap().iter().find(|op| op["name"] == "linear").unwrap();
    assert!(linear["percent_of_peak"].as_f64().is_some_and(|percent| percent > 0.0), "{linear}");
    let step = &report["step"];
    for steps in [&step["first_epoch"], &step["later_epochs"]] {
        assert_eq!(steps["step"]["milliseconds"]["repetitions"], 2);
        let parts: Vec<_> =
            steps["parts"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
        assert!(parts.contains(&"layer 1 backward") && parts.contains(&"update"), "{parts:?}");
    }
    assert!(numbers(&step["forecast"], &["seconds"])[0] > 0.0);
}

#[test]
fn bench_shows_the_gpu_in_tables() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = Place::new();
    place.write(
        "few.jsonl",
        labelled_rows(&SENTIMENT).lines().take(10).map(|row| format!("{row}\n")).collect::<String>(),
    );
    let table = bench(&place, stand_ins, &["step"]).well();
    for part in
        ["CUDA: stand-in", "TFLOP/s", "GB/s", "µs", "waited for", "steps/s", "12 epochs of 25000", "later epochs"]
    {
        assert!(table.contains(part), "{part} is not in:\n{table}");
    }
    let texts = bench(&place, stand_ins, &["inference", "--file=few.jsonl"]).well();
    assert!(texts.contains("Inference of 10 texts") && texts.contains("tokens/s"), "{texts}");
}
