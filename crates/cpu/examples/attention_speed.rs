//! How fast attention is with RoBERTa-base's 12 heads of 64: `cargo run --release -p serin-cpu --example attention_speed --
//! [THREADS,...] [ISA:DTYPE,...] [LENGTH,...]`.
//!
//! Activations are row-major, then as the backend likes them. Each figure is the best of many repetitions: on a machine that others
//! use too, that is what the code can do.

use serin_cpu::{Cpu, CpuOptions, Isa};
use serin_ops::{AttentionShape, Backend, Dropout, DropoutSite};
use serin_tensor::{AlignedBuffer, DType};
use std::time::{Duration, Instant};

const SHAPE: AttentionShape = AttentionShape { heads: 12, head_dim: 64 };
/// How long a figure is looked for.
const PATIENCE: Duration = Duration::from_millis(400);
/// Like IMDB's reviews at 512 tokens, which have 267 on average.
const REVIEWS: &str = "512,512,447,331,274,241,216,198,183,174,166,158,147,135,121,457";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let list = |index: usize, default: &str| -> Vec<String> {
        arguments.get(index).map_or(default, String::as_str).split(',').map(str::to_string).collect()
    };
    let lengths = |list: Vec<String>| list.iter().map(|n| n.parse().expect("a length")).collect::<Vec<usize>>();
    let batches = match arguments.get(2) {
        Some(_) => vec![lengths(list(2, ""))],
        None => vec![vec![512], vec![512; 8], lengths(list(2, REVIEWS))],
    };
    for lengths in &batches {
        println!("{} texts, {} tokens", lengths.len(), lengths.iter().sum::<usize>());
        for kernel in list(1, "amx:bf16,avx512-bf16:bf16,avx512:fp32,avx2:fp32") {
            let (isa, dtype) = kernel.split_once(':').expect("ISA:DTYPE");
            let isa = Isa::forced(isa).expect("an instruction set");
            let dtype = match dtype {
                "bf16" => DType::BF16,
                "fp16" => DType::F16,
                _ => DType::F32,
            };
            for threads in list(0, "1,2") {
                let threads = threads.parse().expect("a number");
                let cpu = Cpu::new(CpuOptions { threads, isa }).expect("threads");
                println!("  {dtype}, {}", cpu.name());
                attention(&cpu, dtype, lengths, false);
                attention(&cpu, dtype, lengths, true);
                first_row(&cpu, dtype, lengths);
            }
        }
    }
}

fn offsets(lengths: &[usize]) -> Vec<u32> {
    let mut offsets = vec![0];
    for &len in lengths {
        offsets.push(offsets[offsets.len() - 1] + len as u32);
    }
    offsets
}

fn filled(cpu: &Cpu, dtype: DType, len: usize) -> AlignedBuffer {
    let mut buffer = cpu.buffer(dtype, len).expect("memory");
    cpu.write(&mut buffer, 0, &values(len));
    buffer
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// `own`: with activations in the order that the backend likes best.
fn attention(cpu: &Cpu, dtype: DType, lengths: &[usize], own: bool) {
    let (offsets, rows, width) = (offsets(lengths), lengths.iter().sum::<usize>(), SHAPE.width());
    let activations = |width: usize| {
        let mut buffer = match own {
            true => cpu.activations(dtype, rows, width).expect("memory"),
            false => cpu.buffer(dtype, rows * width).expect("memory"),
        };
        cpu.write(&mut buffer, 0, &values(rows * width));
        buffer
    };
    let [qkv, mut d_qkv] = [0, 1].map(|_| activations(3 * width));
    let [d_out, mut out] = [0, 1].map(|_| activations(width));
    let mut saved = cpu.buffer(DType::F32, rows * SHAPE.heads).expect("memory");
    let dropped = Dropout::new(0.1, 1, 1, 1, DropoutSite::AttentionProbabilities);
    let pairs: usize = lengths.iter().map(|len| len * len).sum();
    let report = |what: &str, products: usize, seconds: f64| {
        let speed = (products * 2 * pairs * width) as f64 / seconds / 1e12;
        let order = if own { "own order" } else { "row-major" };
        println!("    {what:<26} {order} {:8.3} ms {speed:6.3} TFLOP/s", seconds * 1e3);
    };
    report("inference", 2, best(|| cpu.attention(&qkv, &offsets, SHAPE, None, None, &mut out)));
    for (name, dropout) in [("", None), (", dropout", dropped)] {
        let forward = best(|| cpu.attention(&qkv, &offsets, SHAPE, dropout, Some(&mut saved), &mut out));
        report(&format!("forward{name}"), 2, forward);
        let backward =
            best(|| cpu.attention_backward(&d_out, &qkv, &out, &saved, &offsets, SHAPE, dropout, &mut d_qkv));
        report(&format!("backward{name}"), 5, backward);
    }
}

fn first_row(cpu: &Cpu, dtype: DType, lengths: &[usize]) {
    let (offsets, rows, count) = (offsets(lengths), lengths.iter().sum::<usize>(), lengths.len());
    let [kv, mut d_kv] = [0, 1].map(|_| filled(cpu, dtype, rows * 2 * SHAPE.width()));
    let [q, d_out, mut out, mut d_q] = [0; 4].map(|_| filled(cpu, dtype, count * SHAPE.width()));
    let mut saved = cpu.buffer(DType::F32, count * SHAPE.heads).expect("memory");
    let dropout = Dropout::new(0.1, 1, 1, 1, DropoutSite::AttentionProbabilities);
    let report = |what: &str, passes: usize, seconds: f64| {
        let speed = (passes * rows * 2 * SHAPE.width() * dtype.size()) as f64 / seconds / 1e9;
        println!("    {what:<26} {:8.3} ms {speed:6.1} GB/s", seconds * 1e3);
    };
    let forward = best(|| cpu.first_row_attention(&q, &kv, &offsets, SHAPE, dropout, Some(&mut saved), &mut out));
    report("first row, forward", 1, forward);
    let backward = best(|| {
        cpu.first_row_attention_backward(&d_out, &q, &kv, &out, &saved, &offsets, SHAPE, dropout, &mut d_q, &mut d_kv);
    });
    report("first row, backward", 2, backward);
}

/// Seconds of the fastest repetition.
fn best(mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    while begun.elapsed() < PATIENCE {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}
