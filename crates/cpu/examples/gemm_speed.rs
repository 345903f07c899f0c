//! How fast the matrix products of RoBERTa-base run here: `cargo run --release -p serin-cpu --example gemm_speed -- [DTYPE]
//! [ROWS,...] [THREADS,...] [ISA]`.
//!
//! For each shape a line with row-major activations and one with activations as the backend likes them, measured in turn. Each
//! figure is the best of many short repetitions: on a machine that others use too, that is what the code can do.

use serin_cpu::ceiling::{TileSource, tile_products};
use serin_cpu::{Cpu, CpuOptions, Isa};
use serin_ops::{Activation, Backend, InputGradient};
use serin_tensor::{AlignedBuffer, DType};
use std::time::{Duration, Instant};

const SHAPES: [(usize, usize); 4] = [(768, 768), (2304, 768), (3072, 768), (768, 3072)];
/// How long a figure is looked for.
const PATIENCE: Duration = Duration::from_millis(1200);

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
            "{:>6} {:>12} {:>10} {:>20} {:>20} {:>20} {:>20} {:>20}",
            "rows", "in→out", "order", "+bias", "+bias+GELU", "dX", "dX+GELU'", "dW"
        );
        for rows in numbers(argument(1, "4096,512,32")) {
            for (out_features, in_features) in SHAPES {
                for (order, seconds) in measure(&cpu, dtype, rows, out_features, in_features) {
                    print!("{rows:>6} {:>12} {order:>10}", format!("{in_features}→{out_features}"));
                    for seconds in seconds {
                        let speed = 2.0 * (rows * out_features * in_features) as f64 / seconds;
                        let share = peak
                            .map_or(String::new(), |peak| format!("{:3.0} %", 100.0 * speed / peak / threads as f64));
                        print!(" {:>20}", format!("{:.2} T {share} {:4.0} µs", speed / 1e12, seconds * 1e6));
                    }
                    println!();
                }
            }
        }
    }
}

/// Operands and results of the products of one matrix.
struct Operands {
    x: AlignedBuffer,
    dy: AlignedBuffer,
    y: AlignedBuffer,
    dx: AlignedBuffer,
    bias: AlignedBuffer,
    d_weight: AlignedBuffer,
    d_bias: AlignedBuffer,
}

impl Operands {
    /// `activations` makes a buffer of so many columns.
    fn new(cpu: &Cpu, [outs, ins]: [usize; 2], rows: usize, activations: impl Fn(usize) -> AlignedBuffer) -> Operands {
        let filled = |mut buffer: AlignedBuffer, len: usize| {
            cpu.write(&mut buffer, 0, &values(len, 1.0));
            buffer
        };
        let single = |len| cpu.buffer(DType::F32, len).expect("memory");
        Operands {
            x: filled(activations(ins), rows * ins),
            dy: filled(activations(outs), rows * outs),
            y: activations(outs),
            dx: activations(ins),
            bias: filled(single(outs), outs),
            d_weight: single(outs * ins),
            d_bias: single(outs),
        }
    }
}

fn values(len: usize, scale: f32) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * scale).collect()
}

/// Seconds of each product, in both orders.
fn measure(cpu: &Cpu, dtype: DType, rows: usize, outs: usize, ins: usize) -> [(&'static str, [f64; 5]); 2] {
    let weight = cpu.weight(&values(outs * ins, 0.05), outs, ins, dtype, true).expect("memory");
    let row_major = |width| cpu.buffer(dtype, rows * width).expect("memory");
    let own = |width| cpu.activations(dtype, rows, width).expect("memory");
    let mut both = [Operands::new(cpu, [outs, ins], rows, row_major), Operands::new(cpu, [outs, ins], rows, own)];
    let forward = |o: &mut Operands, function| {
        cpu.linear(&o.x, &weight, Some(&o.bias), function, rows, None, &mut o.y);
    };
    let through = |o: &mut Operands| {
        let through = InputGradient::ThroughActivation(Activation::Gelu, &o.x);
        cpu.linear_backward_input(&o.dy, &weight, rows, through, &mut o.dx);
    };
    let seconds = [
        best(&mut both, |o| forward(o, Activation::Identity)),
        best(&mut both, |o| forward(o, Activation::Gelu)),
        best(&mut both, |o| cpu.linear_backward_input(&o.dy, &weight, rows, InputGradient::Store, &mut o.dx)),
        best(&mut both, through),
        best(&mut both, |o| {
            cpu.linear_backward_weight(&o.dy, &o.x, rows, outs, ins, &mut o.d_weight, &mut o.d_bias);
        }),
    ];
    [("row-major", seconds.map(|both| both[0])), ("own", seconds.map(|both| both[1]))]
}

/// The shortest of many runs with either operands, in turn, in seconds.
fn best(operands: &mut [Operands; 2], mut run: impl FnMut(&mut Operands)) -> [f64; 2] {
    let started = Instant::now();
    let mut best = [f64::INFINITY; 2];
    while started.elapsed() < PATIENCE {
        for (best, operands) in best.iter_mut().zip(operands.iter_mut()) {
            let start = Instant::now();
            run(operands);
            *best = best.min(start.elapsed().as_secs_f64());
        }
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
