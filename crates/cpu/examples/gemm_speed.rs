//! How fast the matrix products of RoBERTa-base run here: `cargo run --release -p serin-cpu --example gemm_speed -- [DTYPE]
//! [ROWS,...] [THREADS,...] [ISA]`.
//!
//! Each figure is the best of many short repetitions: on a machine that others use too, that is what the code can do.
#![allow(unsafe_code)] // the ceiling is measured by instructions that Rust has no names for

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

/// FLOP/s of `tdpbf16ps` on registers alone, on one core.
#[cfg(target_arch = "x86_64")]
fn peak(isa: Isa) -> Option<f64> {
    const LOOPS: usize = 2000;
    if isa.best() != serin_cpu::IsaLevel::Amx {
        return None;
    }
    let mut configuration = [0u8; 64];
    configuration[0] = 1;
    for tile in 0..8 {
        configuration[16 + 2 * tile] = 64;
        configuration[48 + tile] = 16;
    }
    // Not zeros, with which the clock would run faster than with a model's numbers.
    let values: Vec<u16> =
        (0..1024u32).map(|i| 0x3f00 | (i.wrapping_mul(2_654_435_761) >> 16 & 0x80ff) as u16).collect();
    let seconds = best(|| {
        // SAFETY: the level says that AMX is there and permitted; the tiles are configured and released here.
        unsafe {
            std::arch::asm!(
                "ldtilecfg [{configuration}]",
                "tileloadd tmm4, [{values} + {stride}*1]",
                "tileloadd tmm5, [{values} + {stride}*1 + 256]",
                "tileloadd tmm6, [{values} + {stride}*1 + 512]",
                "tileloadd tmm7, [{values} + {stride}*1 + 1024]",
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {loops}",
                "jnz 2b",
                "tilerelease",
                configuration = in(reg) &configuration,
                values = in(reg) values.as_ptr(),
                stride = in(reg) 64usize,
                loops = inout(reg) LOOPS => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            );
        }
    });
    Some((LOOPS * 4 * 2 * 16 * 16 * 32) as f64 / seconds)
}

#[cfg(not(target_arch = "x86_64"))]
fn peak(_isa: Isa) -> Option<f64> {
    None
}
