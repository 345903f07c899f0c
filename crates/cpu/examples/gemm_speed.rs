//! How fast the matrix products of RoBERTa-base run here: `cargo run --release -p serin-cpu --example gemm_speed -- [DTYPE]
//! [ROWS,...] [THREADS,...] [ISA]`.
//!
//! Each figure is the best of many short repetitions: on a machine that others use too, that is what the code can do.

use serin_cpu::ceiling::{TileSource, tile_products};
use serin_cpu::{Cpu, CpuOptions, Isa};
use serin_ops::{Activation, Backend, InputGradient};
use serin_tensor::DType;
use std::time::{Duration, Instant};

const SHAPES: [(usize, usize); 4] = [(768, 768), (2304, 768), (3072, 768), (768, 3072)];
/// How long a figure is looked for.
const PATIENCE: Duration = Duration::from_millis(600);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).map_or(default, String::as_str).to_string();
    let numbers = |list: String| list.split(',').map(|n| n.parse().expect("a number")).collect::<Vec<usize>>();
    let dtype = match argument(0, "bf16").as_str() {
        "fp32" => DType::F32,
        "fp16" => DType::F16,
        _ => DType::BF16,
    };
    let isa = arguments.get(3).map_or_else(Isa::detect, |name| Isa::forced(name).expect("an instruction set"));
    let peak = peak(isa);
    if let Some(peak) = peak {
        println!("AMX bf16 ceiling of one core, no loads: {:.2} TFLOP/s", peak / 1e12);
    }
    for threads in numbers(argument(2, "1,2")) {
        let cpu = Cpu::new(CpuOptions { threads, isa }).expect("threads");
        println!("{dtype}, {}", cpu.name());
        println!(
            "{:>6} {:>12} {:>20} {:>20} {:>20} {:>20} {:>20}",
            "rows", "in→out", "+bias", "+bias+GELU", "dX", "dX+GELU'", "dW"
        );
        for rows in numbers(argument(1, "4096,512,32")) {
            for (out_features, in_features) in SHAPES {
                print!("{rows:>6} {:>12}", format!("{in_features}→{out_features}"));
                for seconds in measure(&cpu, dtype, rows, out_features, in_features) {
                    let speed = 2.0 * (rows * out_features * in_features) as f64 / seconds;
                    let share =
                        peak.map_or(String::new(), |peak| format!("{:3.0} %", 100.0 * speed / peak / threads as f64));
                    print!(" {:>20}", format!("{:.2} T {share} {:4.0} µs", speed / 1e12, seconds * 1e6));
                }
                println!();
            }
        }
    }
}

/// Seconds of each product.
fn measure(cpu: &Cpu, dtype: DType, rows: usize, out_features: usize, in_features: usize) -> [f64; 5] {
    let values =
        |len: usize, scale: f32| (0..len).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * scale).collect::<Vec<_>>();
    let filled = |dtype, len: usize| {
        let mut buffer = cpu.buffer(dtype, len).expect("memory");
        cpu.write(&mut buffer, 0, &values(len, 1.0));
        buffer
    };
    let master = values(out_features * in_features, 0.05);
    let weight = cpu.weight(&master, out_features, in_features, dtype, true).expect("memory");
    let (x, dy) = (filled(dtype, rows * in_features), filled(dtype, rows * out_features));
    let (mut y, mut dx) = (filled(dtype, rows * out_features), filled(dtype, rows * in_features));
    let bias = filled(DType::F32, out_features);
    let mut d_weight = filled(DType::F32, out_features * in_features);
    let mut d_bias = filled(DType::F32, out_features);
    [
        best(|| cpu.linear(&x, &weight, Some(&bias), Activation::Identity, rows, None, &mut y)),
        best(|| cpu.linear(&x, &weight, Some(&bias), Activation::Gelu, rows, None, &mut y)),
        best(|| cpu.linear_backward_input(&dy, &weight, rows, InputGradient::Store, &mut dx)),
        best(|| {
            let through = InputGradient::ThroughActivation(Activation::Gelu, &x);
            cpu.linear_backward_input(&dy, &weight, rows, through, &mut dx);
        }),
        best(|| cpu.linear_backward_weight(&dy, &x, rows, out_features, in_features, &mut d_weight, &mut d_bias)),
    ]
}

/// The shortest of many runs, in seconds.
fn best(mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    while started.elapsed() < PATIENCE {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// FLOP/s of tile products on registers alone, on one core, the best of many; `None` without AMX.
fn peak(isa: Isa) -> Option<f64> {
    let cpu = Cpu::new(CpuOptions { threads: 1, isa }).expect("threads");
    let started = Instant::now();
    let mut best: Option<f64> = None;
    while started.elapsed() < PATIENCE {
        let speed = tile_products(&cpu, TileSource::Registers, 1)?;
        best = Some(best.map_or(speed, |best| best.max(speed)));
    }
    best
}
