//! How fast the row ops move memory, at 4096 rows of 768 in bf16, beside plain copies of the same buffers.
//!
//! `cargo run --release -p serin-cpu --example rows_speed [instruction set]`. A number is the best of many short
//! repetitions; bytes are those that the op must read and write.

use serin_cpu::{Cpu, CpuOptions, Isa};
use serin_ops::{Activation, AdamwSlot, AdamwStep, Backend, Dropout, DropoutSite, EmbeddingTables, Norm};
use serin_tensor::{AlignedBuffer, DType};
use std::time::Instant;

const ROWS: usize = 4096;
const WIDTH: usize = 768;
const ELEMENTS: usize = ROWS * WIDTH;
const REPETITIONS: usize = 200;

/// The shortest of many runs, in seconds.
fn best(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..REPETITIONS).map(time).fold(f64::INFINITY, f64::min)
}

fn report(what: &str, bytes_an_element: usize, run: impl FnMut()) {
    let seconds = best(run);
    let bandwidth = (ELEMENTS * bytes_an_element) as f64 / seconds / 1e9;
    println!("  {what:<44} {:>8.1} us {bandwidth:>7.1} GB/s", seconds * 1e6);
}

fn random(cpu: &Cpu, dtype: DType, len: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(dtype, len);
    let values: Vec<f32> = (0..len).map(|index| (index * 7919 % 1009) as f32 / 250.0 - 2.0).collect();
    cpu.write(&mut buffer, 0, &values);
    buffer
}

/// Each thread copies its share of a buffer of bf16.
fn report_copy(threads: usize) {
    let from = vec![1u8; ELEMENTS * 2];
    let mut to = vec![0u8; ELEMENTS * 2];
    let share = from.len().div_ceil(threads);
    let seconds = std::thread::scope(|scope| {
        let shares = from.chunks(share).zip(to.chunks_mut(share));
        let copies: Vec<_> = shares.map(|(from, to)| scope.spawn(|| best(|| to.copy_from_slice(from)))).collect();
        copies.into_iter().map(|copy| copy.join().expect("a copy cannot fail")).fold(0.0, f64::max)
    });
    let bandwidth = (ELEMENTS * 4) as f64 / seconds / 1e9;
    println!("  {:<44} {:>8.1} us {bandwidth:>7.1} GB/s", "copy", seconds * 1e6);
}

fn report_norms(cpu: &Cpu) {
    let dropout = Dropout::new(0.1, 1, 1, 1, DropoutSite::AttentionOutput);
    let [mut x, residual, mut y, mut d_x] = [0; 4].map(|_| random(cpu, DType::BF16, ELEMENTS));
    let [weight, bias] = [0; 2].map(|_| random(cpu, DType::F32, WIDTH));
    let mut statistics = random(cpu, DType::F32, 2 * ROWS);
    let norm = || Norm { weight: &weight, bias: &bias, epsilon: 1e-5 };
    report("add + layer norm, inference", 6, || {
        cpu.add_layer_norm(&mut x, Some(&residual), None, norm(), ROWS, WIDTH, None, &mut y);
    });
    report("dropout + add + layer norm, training", 8, || {
        cpu.add_layer_norm(&mut x, Some(&residual), dropout, norm(), ROWS, WIDTH, Some(&mut statistics), &mut y);
    });
    let [mut d_weight, mut d_bias] = [0; 2].map(|_| random(cpu, DType::F32, WIDTH));
    let mut d_sum = random(cpu, DType::BF16, ELEMENTS);
    report("its backward", 8, || {
        let d_x = dropout.map(|dropout| (dropout, &mut d_x));
        cpu.add_layer_norm_backward(
            &residual,
            &y,
            &statistics,
            &weight,
            ROWS,
            WIDTH,
            &mut d_sum,
            d_x,
            &mut d_weight,
            &mut d_bias,
        );
    });
    if let Some(dropout) = dropout {
        report("dropout in place", 4, || cpu.dropout(&mut d_x, dropout, ROWS, WIDTH));
    }
}

fn report_activations(cpu: &Cpu) {
    let saved = random(cpu, DType::BF16, ELEMENTS);
    for activation in [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        let mut d = random(cpu, DType::BF16, ELEMENTS);
        report(&format!("{activation:?} backward"), 6, || {
            cpu.activation_backward(activation, &saved, ROWS, WIDTH, &mut d);
        });
    }
}

fn report_copies(cpu: &Cpu) {
    let mut host = vec![0.0f32; ELEMENTS];
    let mut buffer = random(cpu, DType::BF16, ELEMENTS);
    report("write f32 to bf16", 6, || cpu.write(&mut buffer, 0, &host));
    report("read bf16 to f32", 6, || cpu.read(&buffer, 0, &mut host).expect("the CPU reads"));
    let word = random(cpu, DType::F32, 50_265 * WIDTH);
    let position = random(cpu, DType::F32, 514 * WIDTH);
    let ids: Vec<u32> = (0..ROWS).map(|row| (row * 7919 % 50_265) as u32).collect();
    let positions: Vec<u32> = (0..ROWS).map(|row| (row % 512 + 2) as u32).collect();
    report("embed f32 tables to bf16", 10, || {
        let tables = EmbeddingTables { word: &word, position: &position, token_type: None };
        cpu.embed(tables, &ids, &positions, &positions, ROWS, WIDTH, &mut buffer);
    });
    let mut d_table = random(cpu, DType::F32, 50_265 * WIDTH);
    report("embed backward to f32", 10, || cpu.embed_backward(&buffer, &ids, ROWS, WIDTH, &mut d_table));
    let rows: Vec<u32> = (0..ROWS).map(|row| (row * 1777 % ROWS) as u32).collect();
    let mut out = random(cpu, DType::BF16, ELEMENTS);
    report("gather rows", 4, || cpu.gather_rows(&buffer, &rows, WIDTH, &mut out));
    report("scatter-add rows", 6, || cpu.scatter_add_rows(&buffer, &rows, WIDTH, &mut out));
}

fn report_optimizer(cpu: &Cpu) {
    let [mut parameter, gradient, mut first_moment, mut second_moment] =
        [0; 4].map(|_| random(cpu, DType::F32, ELEMENTS));
    report("gradient norm (f32)", 4, || {
        cpu.gradient_norm(&[(&gradient, ELEMENTS)]).expect("the CPU sums");
    });
    second_moment.as_mut_slice::<f32>().fill(1e-3);
    let step = AdamwStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 10, gradient_scale: 1.0 };
    report("AdamW (f32)", 28, || {
        let slot = AdamwSlot {
            parameter: &mut parameter,
            gradient: &gradient,
            first_moment: &mut first_moment,
            second_moment: &mut second_moment,
            len: ELEMENTS,
            learning_rate: 1e-5,
            weight_decay: 0.01,
        };
        cpu.adamw(&mut [slot], step);
    });
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = std::env::args().nth(1).map_or(Ok(Isa::detect()), |name| Isa::forced(&name))?;
    for threads in [1, 2] {
        let cpu = Cpu::new(CpuOptions { threads, isa })?;
        println!("{}, {ROWS} x {WIDTH} bf16", cpu.name());
        report_copy(threads);
        report_norms(&cpu);
        report_activations(&cpu);
        report_copies(&cpu);
        report_optimizer(&cpu);
    }
    Ok(())
}
