//! Every kernel against loops in f64, within what rounding allows.

use super::kernel::ran;
use super::{PackedWeight, linear, linear_backward_input, linear_backward_weight};
use crate::isa::{Isa, IsaLevel};
use crate::simd::{Storage, for_dtype};
use crate::{Cpu, CpuOptions};
use serin_ops::{Activation, InputGradient};
use serin_tensor::{AlignedBuffer, DType, Element};

const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];
const ROWS: [usize; 11] = [0, 1, 2, 15, 16, 17, 31, 33, 64, 100, 257];
/// (out features, in features) around tiles, panels and vectors, and some of a real model's.
const FEATURES: [(usize, usize); 23] = [
    (1, 1),
    (1, 48),
    (2, 1),
    (2, 48),
    (3, 33),
    (3, 768),
    (16, 16),
    (16, 31),
    (31, 2),
    (31, 64),
    (32, 32),
    (32, 3),
    (33, 33),
    (33, 96),
    (48, 16),
    (48, 48),
    (64, 33),
    (96, 31),
    (96, 64),
    (768, 32),
    (100, 768),
    (70, 2500),
    (2500, 33),
];
const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Tanh,
    Activation::Silu,
];
/// Elements behind each output that nothing may write.
const CANARIES: usize = 64;
const CANARY: f32 = 7.0;

fn cpu(level: IsaLevel, threads: usize) -> Cpu {
    Cpu::new(CpuOptions { threads, isa: Isa::detect().up_to(level) }).unwrap()
}

/// The kernel that must have run on a machine that has `level`.
fn expected(level: IsaLevel, dtype: DType) -> IsaLevel {
    if dtype == DType::BF16 { level } else { level.min(IsaLevel::Avx512) }
}

/// Runs `body` on every level, and fails if another kernel did the work.
fn on_every_level(dtype: DType, rows: usize, body: impl Fn(&Cpu)) {
    for level in Isa::detect().levels() {
        ran::take();
        body(&cpu(level, 1));
        let kernels = if rows == 0 { vec![] } else { vec![expected(level, dtype)] };
        assert_eq!(ran::take(), kernels);
    }
}

/// Reproducible numbers in -1..1, with a few zeros.
fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).map(|value| if value.abs() < 0.02 { 0.0 } else { value }).collect()
}

/// A buffer of the values rounded, and what it then holds.
fn stored(dtype: DType, values: &[f32]) -> (AlignedBuffer, Vec<f64>) {
    for_dtype!(dtype, T => {
        let rounded: Vec<T> = values.iter().map(|&value| <T as Element>::from_f32(value)).collect();
        (AlignedBuffer::from_slice(&rounded), rounded.iter().map(|value| f64::from(Element::to_f32(*value))).collect())
    })
}

/// A buffer with `len` numbers of a seed and canaries behind them.
fn output(dtype: DType, seed: u64, len: usize) -> (AlignedBuffer, Vec<f64>) {
    let mut values = numbers(seed, len);
    values.extend([CANARY; CANARIES]);
    stored(dtype, &values)
}

/// The values of a buffer, after a look at its canaries.
fn values(buffer: &AlignedBuffer, len: usize) -> Vec<f64> {
    let values = for_dtype!(buffer.dtype(), T => widened::<T>(buffer));
    assert!(values[len..].iter().all(|&value| value == f64::from(CANARY)), "written beyond the end");
    values[..len].to_vec()
}

fn widened<T: Storage>(buffer: &AlignedBuffer) -> Vec<f64> {
    buffer.as_slice::<T>().iter().map(|value| f64::from(value.to_f32())).collect()
}

/// A sum of products with the sum of their sizes, which bounds its rounding error.
#[derive(Clone, Copy)]
struct Sum {
    value: f64,
    size: f64,
}

/// `a bᵀ`, with a `[rows, depth]` and b `[columns, depth]` given as functions.
fn products(
    rows: usize,
    columns: usize,
    depth: usize,
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
) -> Vec<Sum> {
    let mut sums = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let terms = (0..depth).map(|at| a(row, at) * b(column, at));
            let (value, size) = terms.fold((0.0, 0.0), |(value, size), term| (value + term, size + term.abs()));
            sums.push(Sum { value, size });
        }
    }
    sums
}

/// An upper bound of the error of a sum of `terms` products in f32: `n u / (1 - n u)` times the sum of sizes.
fn sum_error(terms: usize, size: f64) -> f64 {
    let rounding = (terms + 2) as f64 * DType::F32.unit_roundoff();
    rounding / (1.0 - rounding) * size
}

/// Fails unless `got` is `want` within `error` before it was rounded to `dtype`.
#[track_caller]
fn assert_close(dtype: DType, got: f64, want: f64, error: f64, what: impl Fn() -> String) {
    // The smallest normal f16 or f32: below, results are rounded absolutely or flushed.
    let tiny = if dtype == DType::F16 { 6.0e-8 } else { 1.2e-38 };
    let allowed = error + dtype.unit_roundoff() * (want.abs() + error) + tiny;
    assert!((got - want).abs() <= allowed, "{dtype} {}: got {got}, want {want} ± {allowed}", what());
}

/// erf by its Taylor series, which converges everywhere, or 1 where the rest is below 1e-12.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn apply(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// f' by central differences; at the output for tanh and relu.
fn derivative(activation: Activation, saved: f64) -> f64 {
    match activation {
        Activation::Relu => f64::from(u8::from(saved > 0.0)),
        Activation::Tanh => 1.0 - saved * saved,
        _ => (apply(activation, saved + 1e-5) - apply(activation, saved - 1e-5)) / 2e-5,
    }
}

/// What a vectorised activation may be off by, relative to `max(1, |x|)`.
fn activation_error(dtype: DType) -> f64 {
    if dtype == DType::BF16 { 3e-6 } else { 1e-6 }
}
/// No activation here is steeper than this.
const STEEPEST: f64 = 1.13;

fn check_forward(dtype: DType, rows: usize, (out_features, in_features): (usize, usize), activation: Activation) {
    let master = numbers(1, out_features * in_features);
    let (_, w) = stored(dtype, &master);
    let (x_buffer, x) = stored(dtype, &numbers(2, rows * in_features));
    let (bias_buffer, bias) = stored(DType::F32, &numbers(3, out_features));
    let sums = products(rows, out_features, in_features, |r, k| x[r * in_features + k], |c, k| w[c * in_features + k]);
    let len = rows * out_features;
    on_every_level(dtype, rows, |cpu| {
        let weight = PackedWeight::pack(cpu, &master, out_features, in_features, dtype, false);
        let (mut y, _) = output(dtype, 4, len);
        let (mut before, _) = output(dtype, 5, len);
        linear(cpu, &x_buffer, &weight, Some(&bias_buffer), activation, rows, Some(&mut before), &mut y);
        for (at, (y, before)) in values(&y, len).into_iter().zip(values(&before, len)).enumerate() {
            let sum = Sum { value: sums[at].value + bias[at % out_features], ..sums[at] };
            let error = sum_error(in_features, sum.size + bias[at % out_features].abs());
            let what = || format!("{activation:?} {rows}x{out_features}x{in_features} at {at}, {}", cpu.isa().best());
            assert_close(dtype, before, sum.value, error, what);
            let error = STEEPEST * error + activation_error(dtype) * sum.value.abs().max(1.0);
            assert_close(dtype, y, apply(activation, sum.value), error, what);
        }
        let (mut plain, _) = output(dtype, 6, len);
        linear(cpu, &x_buffer, &weight, None, Activation::Identity, rows, None, &mut plain);
        for (at, (got, sum)) in values(&plain, len).into_iter().zip(&sums).enumerate() {
            assert_close(dtype, got, sum.value, sum_error(in_features, sum.size), || format!("no bias, at {at}"));
        }
    });
}

fn check_backward_input(
    dtype: DType,
    rows: usize,
    (out_features, in_features): (usize, usize),
    activation: Activation,
) {
    let master = numbers(1, out_features * in_features);
    let (_, w) = stored(dtype, &master);
    let (dy_buffer, dy) = stored(dtype, &numbers(2, rows * out_features));
    let (saved_buffer, saved) = stored(dtype, &numbers(3, rows * in_features));
    let sums =
        products(rows, in_features, out_features, |r, k| dy[r * out_features + k], |c, k| w[k * in_features + c]);
    let slopes: Vec<f64> = saved.iter().map(|&saved| derivative(activation, saved)).collect();
    let len = rows * in_features;
    on_every_level(dtype, rows, |cpu| {
        let weight = PackedWeight::pack(cpu, &master, out_features, in_features, dtype, true);
        let run = |gradient| {
            let (mut dx, before) = output(dtype, 4, len);
            linear_backward_input(cpu, &dy_buffer, &weight, rows, gradient, &mut dx);
            (values(&dx, len), before)
        };
        let what = |at| move || format!("dx {rows}x{out_features}x{in_features} at {at}, {}", cpu.isa().best());
        let (stored, _) = run(InputGradient::Store);
        let (accumulated, before) = run(InputGradient::Accumulate);
        for (at, sum) in sums.iter().enumerate() {
            let error = sum_error(out_features, sum.size);
            assert_close(dtype, stored[at], sum.value, error, what(at));
            let error = sum_error(out_features, sum.size + before[at].abs());
            assert_close(dtype, accumulated[at], sum.value + before[at], error, what(at));
        }
        let (through, _) = run(InputGradient::ThroughActivation(activation, &saved_buffer));
        for (at, sum) in sums.iter().enumerate() {
            let error = STEEPEST * sum_error(out_features, sum.size) + 2.0 * activation_error(dtype) * sum.size;
            assert_close(dtype, through[at], sum.value * slopes[at], error, what(at));
        }
    });
}

fn check_backward_weight(dtype: DType, rows: usize, (out_features, in_features): (usize, usize)) {
    let (dy_buffer, dy) = stored(dtype, &numbers(1, rows * out_features));
    let (x_buffer, x) = stored(dtype, &numbers(2, rows * in_features));
    let sums =
        products(out_features, in_features, rows, |r, k| dy[k * out_features + r], |c, k| x[k * in_features + c]);
    let bias_sums = products(out_features, 1, rows, |r, k| dy[k * out_features + r], |_, _| 1.0);
    let len = out_features * in_features;
    on_every_level(dtype, rows, |cpu| {
        let (mut d_weight, weight_before) = output(DType::F32, 3, len);
        let (mut d_bias, bias_before) = output(DType::F32, 4, out_features);
        linear_backward_weight(cpu, &dy_buffer, &x_buffer, rows, out_features, in_features, &mut d_weight, &mut d_bias);
        let both =
            [(values(&d_weight, len), weight_before, &sums), (values(&d_bias, out_features), bias_before, &bias_sums)];
        for (got, before, sums) in both {
            for (at, sum) in sums.iter().enumerate() {
                let error = sum_error(rows, sum.size + before[at].abs());
                let what = || format!("gradient {rows}x{out_features}x{in_features} at {at}, {}", cpu.isa().best());
                assert_close(DType::F32, got[at], sum.value + before[at], error, what);
            }
        }
    });
}

/// All shapes for all types, with one activation and another.
fn for_shapes(check: impl Fn(DType, usize, (usize, usize), Activation)) {
    for dtype in DTYPES {
        for features in FEATURES {
            for rows in ROWS {
                check(dtype, rows, features, ACTIVATIONS[(rows + features.0 + features.1) % ACTIVATIONS.len()]);
            }
        }
        for activation in ACTIVATIONS {
            check(dtype, 33, (48, 33), activation);
        }
    }
}

#[test]
fn forward_is_the_product_with_bias_and_activation() {
    for_shapes(check_forward);
}

#[test]
fn backward_input_is_the_product_with_the_matrix() {
    for_shapes(check_backward_input);
}

#[test]
fn backward_weight_is_the_product_of_the_transposes() {
    for_shapes(|dtype, rows, features, _| check_backward_weight(dtype, rows, features));
}

#[test]
fn layers_of_a_real_size_are_right() {
    for dtype in DTYPES {
        check_forward(dtype, 257, (768, 768), Activation::Gelu);
        check_backward_input(dtype, 257, (96, 768), Activation::Gelu);
        check_backward_weight(dtype, 2100, (33, 64));
    }
}

/// What `run` writes with one, two and three threads, bit for bit.
fn assert_same_on_any_threads(run: impl Fn(&Cpu) -> Vec<AlignedBuffer>) {
    for level in Isa::detect().levels() {
        let bytes =
            |threads| run(&cpu(level, threads)).iter().map(|buffer| buffer.as_bytes().to_vec()).collect::<Vec<_>>();
        let alone = bytes(1);
        assert!(alone == bytes(2) && alone == bytes(3), "{level}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for dtype in DTYPES {
        for (rows, out_features, in_features) in [(5, 96, 64), (700, 100, 96), (2500, 64, 48)] {
            let master = numbers(1, out_features * in_features);
            let (x, _) = stored(dtype, &numbers(2, rows * in_features));
            let (dy, _) = stored(dtype, &numbers(3, rows * out_features));
            assert_same_on_any_threads(|cpu| {
                let weight = PackedWeight::pack(cpu, &master, out_features, in_features, dtype, true);
                let mut y = AlignedBuffer::zeroed(dtype, rows * out_features);
                let mut dx = AlignedBuffer::zeroed(dtype, rows * in_features);
                let mut d_weight = AlignedBuffer::zeroed(DType::F32, out_features * in_features);
                let mut d_bias = AlignedBuffer::zeroed(DType::F32, out_features);
                linear(cpu, &x, &weight, None, Activation::Gelu, rows, None, &mut y);
                linear_backward_input(cpu, &dy, &weight, rows, InputGradient::Store, &mut dx);
                linear_backward_weight(cpu, &dy, &x, rows, out_features, in_features, &mut d_weight, &mut d_bias);
                vec![y, dx, d_weight, d_bias]
            });
        }
    }
}

#[test]
fn refreshing_is_packing_anew() {
    for dtype in DTYPES {
        for level in Isa::detect().levels() {
            let cpu = cpu(level, 2);
            let (first, second) = (numbers(1, 33 * 50), numbers(2, 33 * 50));
            let mut weight = PackedWeight::pack(&cpu, &first, 33, 50, dtype, true);
            weight.refresh(&cpu, &second);
            let fresh = PackedWeight::pack(&cpu, &second, 33, 50, dtype, true);
            assert!(weight.same_bits(&fresh), "{level} {dtype}");
            assert_eq!((weight.out_features(), weight.in_features()), (33, 50));
        }
    }
}

#[test]
fn what_is_not_finite_stays_so_and_stays_where_it_is() {
    for dtype in DTYPES {
        on_every_level(dtype, 3, |cpu| {
            let weight = PackedWeight::pack(cpu, &numbers(1, 5 * 7), 5, 7, dtype, false);
            let mut values = numbers(2, 3 * 7);
            values[7] = f32::NAN;
            values[8] = f32::INFINITY;
            let (x, _) = stored(dtype, &values);
            let mut y = AlignedBuffer::zeroed(dtype, 3 * 5);
            linear(cpu, &x, &weight, None, Activation::Identity, 3, None, &mut y);
            let y = for_dtype!(dtype, T => widened::<T>(&y));
            for (at, value) in y.into_iter().enumerate() {
                assert_eq!(value.is_nan(), at / 5 == 1, "row {}", at / 5);
            }
        });
    }
}
