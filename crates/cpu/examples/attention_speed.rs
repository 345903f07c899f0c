//! How fast attention is: the best of many short runs, in milliseconds and TFLOP/s.
//!
//! `cargo run --release -p serin-cpu --example attention_speed [repetitions]`

use serin_cpu::{Cpu, CpuOptions, Isa, IsaLevel};
use serin_ops::{AttentionShape, Backend, Dropout, DropoutSite};
use serin_tensor::{AlignedBuffer, DType};
use std::time::{Duration, Instant};

const SHAPE: AttentionShape = AttentionShape { heads: 12, head_dim: 64 };

fn main() {
    let repetitions = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20);
    let full = vec![512; 8];
    // Lengths of IMDB reviews at 512 tokens: 267 on average.
    let ragged = vec![512, 512, 447, 331, 274, 241, 216, 198, 183, 174, 166, 158, 147, 135, 121, 457];
    let available = Isa::detect().levels();
    for (name, lengths) in [("8 x 512", &full), ("ragged, 16 texts", &ragged)] {
        println!("{name}: {} tokens", lengths.iter().sum::<usize>());
        for (level, dtype) in [
            (IsaLevel::Amx, DType::BF16),
            (IsaLevel::Avx512Bf16, DType::BF16),
            (IsaLevel::Avx512, DType::F32),
            (IsaLevel::Avx512, DType::F16),
            (IsaLevel::Avx2, DType::F32),
            (IsaLevel::Neon, DType::F32),
        ] {
            if available.contains(&level) {
                [1, 2].into_iter().for_each(|threads| measure(level, dtype, threads, lengths, repetitions));
            }
        }
    }
}

fn measure(level: IsaLevel, dtype: DType, threads: usize, lengths: &[usize], repetitions: usize) {
    let isa = Isa::forced(level.name()).expect("asked only for what is there");
    let cpu = Cpu::new(CpuOptions { threads, isa }).expect("threads start");
    let offsets: Vec<u32> = std::iter::once(0)
        .chain(lengths.iter().scan(0, |end, &len| {
            *end += len as u32;
            Some(*end)
        }))
        .collect();
    let rows: usize = lengths.iter().sum();
    let buffer = |len: usize| {
        let mut buffer = AlignedBuffer::zeroed(dtype, len);
        let values: Vec<f32> =
            (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u16 as f32 / 32768.0 - 1.0).collect();
        cpu.write(&mut buffer, 0, &values);
        buffer
    };
    let qkv = buffer(rows * 3 * SHAPE.width());
    let d_out = buffer(rows * SHAPE.width());
    let mut out = buffer(rows * SHAPE.width());
    let mut d_qkv = buffer(rows * 3 * SHAPE.width());
    let mut log_sum_exp = AlignedBuffer::zeroed(DType::F32, rows * SHAPE.heads);
    let dropout = Dropout::new(0.1, 1, 1, 1, DropoutSite::AttentionProbabilities);

    let pairs: usize = lengths.iter().map(|len| len * len).sum();
    let product = (2 * pairs * SHAPE.width()) as f64;
    let line = |what: &str, products: f64, time: Duration| {
        let rate = products * product / time.as_secs_f64() / 1e12;
        println!(
            "  {level:>11} {dtype} {threads} threads {what:<20} {:8.3} ms {rate:6.3} TFLOP/s",
            time.as_secs_f64() * 1e3
        );
    };
    let repetitions = if level >= IsaLevel::Avx512Bf16 { repetitions } else { repetitions.div_ceil(8) };
    line("inference", 2.0, best(repetitions, || cpu.attention(&qkv, &offsets, SHAPE, None, None, &mut out)));
    line(
        "forward, dropout",
        2.0,
        best(repetitions, || {
            cpu.attention(&qkv, &offsets, SHAPE, dropout, Some(&mut log_sum_exp), &mut out);
        }),
    );
    line(
        "backward, dropout",
        5.0,
        best(repetitions, || {
            cpu.attention_backward(&d_out, &qkv, &out, &log_sum_exp, &offsets, SHAPE, dropout, &mut d_qkv);
        }),
    );
    cpu.attention(&qkv, &offsets, SHAPE, None, Some(&mut log_sum_exp), &mut out);
    line(
        "backward",
        5.0,
        best(repetitions, || {
            cpu.attention_backward(&d_out, &qkv, &out, &log_sum_exp, &offsets, SHAPE, None, &mut d_qkv);
        }),
    );
    first_row(&cpu, dtype, &offsets, repetitions, &buffer);
}

fn first_row(cpu: &Cpu, dtype: DType, offsets: &[u32], repetitions: usize, buffer: &impl Fn(usize) -> AlignedBuffer) {
    let (sequences, rows) = (offsets.len() - 1, offsets[offsets.len() - 1] as usize);
    let offsets = offsets.to_vec();
    let (q, kv) = (buffer(sequences * SHAPE.width()), buffer(rows * 2 * SHAPE.width()));
    let (d_out, mut out) = (buffer(sequences * SHAPE.width()), buffer(sequences * SHAPE.width()));
    let mut log_sum_exp = AlignedBuffer::zeroed(DType::F32, sequences * SHAPE.heads);
    let (mut d_q, mut d_kv) = (buffer(sequences * SHAPE.width()), buffer(rows * 2 * SHAPE.width()));
    let bytes = (rows * 2 * SHAPE.width() * dtype.size()) as f64;
    let line = |what: &str, passes: f64, time: Duration| {
        let rate = passes * bytes / time.as_secs_f64() / 1e9;
        println!("  {:>11} {what:<35} {:8.3} ms {rate:6.1} GB/s", "", time.as_secs_f64() * 1e3);
    };
    line(
        "first row, inference",
        1.0,
        best(repetitions, || {
            cpu.first_row_attention(&q, &kv, &offsets, SHAPE, None, Some(&mut log_sum_exp), &mut out);
        }),
    );
    line(
        "first row, backward",
        2.0,
        best(repetitions, || {
            cpu.first_row_attention_backward(
                &d_out,
                &q,
                &kv,
                &out,
                &log_sum_exp,
                &offsets,
                SHAPE,
                None,
                &mut d_q,
                &mut d_kv,
            );
        }),
    );
}

fn best(repetitions: usize, mut run: impl FnMut()) -> Duration {
    run();
    let times = (0..repetitions).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}
