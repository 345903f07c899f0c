//! The vectors of every level that the machine has, against `half` and f64 functions, over many floats.

use super::activation::erf;
use super::exponential::{sigmoid, tanh};
use super::*;
use serin_ops::{Activation, Dropout, DropoutSite, keep};

/// The levels that have vectors of their own here, each with the instruction sets up to it.
fn levels() -> Vec<(IsaLevel, Isa)> {
    let isa = Isa::detect();
    let levels = isa.levels().into_iter().filter(|&level| level != IsaLevel::Amx);
    levels.map(|level| (level, isa.up_to(level))).collect()
}

/// Runs `kernel` at a level and checks that it did run there.
fn run_at<K: Kernel>((level, isa): (IsaLevel, Isa), kernel: K) -> K::Output {
    ran::take();
    let output = dispatch(isa, kernel);
    assert_eq!(ran::take(), [level], "the kernel ran at another level");
    output
}

/// An element-wise function generic over the level.
trait Function: Copy {
    fn apply<S: Simd>(self, simd: S, x: S::F32) -> S::F32;
}

/// `y = f(x)`.
struct Map<'a, F> {
    function: F,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<F: Function> Kernel for Map<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (x, y) in self.x.chunks(S::LANES).zip(self.y.chunks_mut(S::LANES)) {
            write(simd, y, self.function.apply(simd, read(simd, x)));
        }
    }
}

macro_rules! function {
    ($name:ident, $simd:ident, $x:ident => $body:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Function for $name {
            #[inline(always)]
            fn apply<S: Simd>(self, $simd: S, $x: S::F32) -> S::F32 {
                $body
            }
        }
    };
}

function!(Exp, simd, x => exp(simd, x));
function!(Erf, simd, x => erf(simd, x));
function!(Tanh, simd, x => tanh(simd, x));
function!(Sigmoid, simd, x => sigmoid(simd, x));

impl Function for Activation {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::F32) -> S::F32 {
        activation::<S, f32>(simd, self, x)
    }
}

function!(ShortGelu, simd, x => activation::<S, bf16>(simd, Activation::Gelu, x));
function!(ShortGeluDerivative, simd, x => activation_derivative::<S, bf16>(simd, Activation::Gelu, x));

/// f'(x).
#[derive(Clone, Copy)]
struct Derivative(Activation);

impl Function for Derivative {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::F32) -> S::F32 {
        activation_derivative::<S, f32>(simd, self.0, x)
    }
}

/// A float in 4,099 (a prime) of all bit patterns, the special ones, and a dense grid of -30..30.
fn many_floats() -> Vec<f32> {
    let tiny = f32::from_bits(1);
    let special = [0.0, 1.0, tiny, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, 88.72, 88.73, 103.97, 104.5, 3.8, 8.0];
    let mut floats: Vec<f32> = special.iter().flat_map(|&x| [x, -x]).collect();
    floats.extend([f32::NAN, -f32::NAN]);
    floats.extend((0..=u32::MAX / 4099).map(|index| f32::from_bits(index * 4099)));
    floats.extend((-300_000..=300_000).map(|index| index as f32 * 1e-4));
    floats
}

/// Checks `function` against `expected` at every level: `error(x, y, expected)` must be at most 1. Prints the greatest.
fn check(name: &str, function: impl Function, expected: fn(f64) -> f64, error: fn(f64, f64) -> f64, limit: f64) {
    let x = many_floats();
    let expected: Vec<f64> = x.iter().map(|&x| expected(f64::from(x))).collect();
    for level in levels() {
        let mut y = vec![0.0; x.len()];
        run_at(level, Map { function, x: &x, y: &mut y });
        let mut greatest = (0.0, 0.0);
        for ((&x, &y), &want) in x.iter().zip(&y).zip(&expected) {
            if want.is_nan() {
                assert!(y.is_nan(), "{name}({x}) = {y} at {}, not NaN", level.0);
                continue;
            }
            let off = if want as f32 == y { 0.0 } else { error(f64::from(y), want) };
            if off > greatest.0 || off.is_nan() {
                greatest = (off, x);
            }
        }
        println!("{name} at {}: error {:.3e} at {:e}", level.0, greatest.0, greatest.1);
        assert!(greatest.0 <= limit, "{name} at {}: error {:e} at {:e}", level.0, greatest.0, greatest.1);
    }
}

/// The error in units in the last place of the f32 next to `want`, of which the smallest is the denormals'.
fn in_last_places(y: f64, want: f64) -> f64 {
    let exponent = want.abs().log2().floor().clamp(-126.0, 127.0);
    (y - want).abs() / (exponent - 23.0).exp2()
}

fn absolutely(y: f64, want: f64) -> f64 {
    (y - want).abs()
}

/// Relative; a denormal counts as the smallest normal number.
fn relatively(y: f64, want: f64) -> f64 {
    (y - want).abs() / want.abs().max(f64::from(f32::MIN_POSITIVE))
}

/// Absolute up to 1, relative beyond.
fn mixed(y: f64, want: f64) -> f64 {
    (y - want).abs() / want.abs().max(1.0)
}

/// erf in f64: Taylor's series up to 3, Laplace's continued fraction of erfc beyond.
pub(crate) fn erf_f64(x: f64) -> f64 {
    let z = x.abs();
    if z.is_nan() {
        return x;
    }
    let value = if z < 3.0 {
        let (mut term, mut sum) = (z, z);
        for n in 1..60 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else if z > 27.0 {
        1.0
    } else {
        let fraction = (1..60).rev().fold(z, |tail, n| z + f64::from(n) / 2.0 / tail);
        1.0 - (-z * z).exp() / fraction / std::f64::consts::PI.sqrt()
    };
    value.copysign(x)
}

fn sigmoid_f64(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu_f64(x: f64) -> f64 {
    0.5 * x * (1.0 + erf_f64(x * std::f64::consts::FRAC_1_SQRT_2))
}

fn gelu_tanh_f64(x: f64) -> f64 {
    0.5 * x * (1.0 + gelu_tanh_inner_f64(x).tanh())
}

fn gelu_tanh_inner_f64(x: f64) -> f64 {
    (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)
}

#[test]
fn erf_f64_agrees_with_published_values() {
    // Abramowitz & Stegun, table 7.1, and DLMF 7.
    for (x, y) in [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (2.0, 0.995_322_265_018_952_7)] {
        assert!((erf_f64(x) - y).abs() < 1e-14);
    }
    assert!((erf_f64(2.999_999_999) - erf_f64(3.000_000_001)).abs() < 1e-12, "the two formulas meet");
    assert!((1.0 - erf_f64(3.5) - 7.430_983_723_414_128e-7).abs() < 1e-15);
}

#[test]
fn exp_is_within_two_units_in_the_last_place() {
    check("exp", Exp, f64::exp, in_last_places, 2.0);
}

#[test]
fn erf_is_accurate_and_saturates_exactly() {
    check("erf", Erf, erf_f64, absolutely, 3e-7);
    for level in levels() {
        let mut y = [0.0; 4];
        run_at(level, Map { function: Erf, x: &[3.8, -3.8, 1e30, f32::NEG_INFINITY], y: &mut y });
        assert_eq!(y, [1.0, -1.0, 1.0, -1.0], "{}", level.0);
    }
}

#[test]
fn tanh_and_sigmoid_are_accurate() {
    check("tanh", Tanh, f64::tanh, relatively, 2e-7);
    check("sigmoid", Sigmoid, sigmoid_f64, absolutely, 2e-7);
}

#[test]
fn activations_are_accurate() {
    check("gelu", Activation::Gelu, gelu_f64, mixed, 5e-7);
    check("gelu for bf16", ShortGelu, gelu_f64, mixed, 2.5e-6);
    check("gelu_tanh", Activation::GeluTanh, gelu_tanh_f64, mixed, 6e-7);
    check("silu", Activation::Silu, |x| x * sigmoid_f64(x), mixed, 4e-7);
    check("tanh", Activation::Tanh, f64::tanh, mixed, 2e-7);
    check("relu", Activation::Relu, |x| if x.is_nan() { x } else { x.max(0.0) }, mixed, 0.0);
    check("identity", Activation::Identity, |x| x, mixed, 0.0);
}

#[test]
fn derivatives_are_accurate() {
    let gelu = |x: f64| {
        let slope = if x.is_infinite() { 0.0 } else { x * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt() };
        0.5 * (1.0 + erf_f64(x * std::f64::consts::FRAC_1_SQRT_2)) + slope
    };
    check("gelu'", Derivative(Activation::Gelu), gelu, absolutely, 8e-7);
    check("gelu' for bf16", ShortGeluDerivative, gelu, absolutely, 3e-6);
    let gelu_tanh = |x: f64| {
        let t = gelu_tanh_inner_f64(x).tanh();
        let slope = (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 3.0 * 0.044715 * x * x);
        0.5 * (1.0 + t) + if t.abs() == 1.0 { 0.0 } else { 0.5 * x * (1.0 - t * t) * slope }
    };
    check("gelu_tanh'", Derivative(Activation::GeluTanh), gelu_tanh, absolutely, 4e-7);
    let silu = |x: f64| {
        let s = sigmoid_f64(x);
        if x.is_infinite() { s } else { s + x * s * (1.0 - s) }
    };
    check("silu'", Derivative(Activation::Silu), silu, absolutely, 4e-7);
    // From the output.
    check("relu'", Derivative(Activation::Relu), |y| if y > 0.0 { 1.0 } else { 0.0 }, absolutely, 0.0);
    check("identity'", Derivative(Activation::Identity), |_| 1.0, absolutely, 0.0);
}

/// Reads as one type, writes as another.
struct Recode<'a, From, To> {
    from: &'a [From],
    to: &'a mut [To],
}

impl<From: Storage, To: Storage> Kernel for Recode<'_, From, To> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (from, to) in self.from.chunks(S::LANES).zip(self.to.chunks_mut(S::LANES)) {
            write(simd, to, read(simd, from));
        }
    }
}

#[test]
fn widening_is_exact_for_every_bit_pattern() {
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let brains: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    for level in levels() {
        let (mut from_halves, mut from_brains) = (vec![0.0f32; 65536], vec![0.0f32; 65536]);
        run_at(level, Recode { from: &halves, to: &mut from_halves });
        run_at(level, Recode { from: &brains, to: &mut from_brains });
        for (wide, want) in from_halves.iter().zip(halves.iter().map(|x| x.to_f32())) {
            assert!(wide.to_bits() == want.to_bits() || wide.is_nan() && want.is_nan(), "{want} at {}", level.0);
        }
        for (wide, want) in from_brains.iter().zip(brains.iter().map(|x| x.to_f32())) {
            assert!(wide.to_bits() == want.to_bits() || wide.is_nan() && want.is_nan(), "{want} at {}", level.0);
        }
    }
}

#[test]
fn narrowing_rounds_to_nearest_even() {
    let mut x = many_floats();
    // Ties and their neighbours.
    x.extend((0..0x7f80u32).flat_map(|upper| [0x7fff, 0x8000, 0x8001].map(|low| f32::from_bits(upper << 16 | low))));
    x.extend(
        (0..0x8000u32)
            .flat_map(|upper| [0xfff, 0x1000, 0x1001].map(|low| f32::from_bits(0x3800_0000 + (upper << 13) + low))),
    );
    for level in levels() {
        let (mut halves, mut brains) = (vec![f16::ZERO; x.len()], vec![bf16::ZERO; x.len()]);
        run_at(level, Recode { from: &x, to: &mut halves });
        run_at(level, Recode { from: &x, to: &mut brains });
        for ((&x, half), brain) in x.iter().zip(halves).zip(brains) {
            let (want_half, want_brain) = (f16::from_f32(x), bf16::from_f32(x));
            assert!(half == want_half || half.is_nan() && x.is_nan(), "f16 of {x:e} at {}: {half}", level.0);
            let flushed = level.0 == IsaLevel::Avx512Bf16 && x.abs() < f32::MIN_POSITIVE && brain == bf16::ZERO;
            assert!(
                brain == want_brain || brain.is_nan() && x.is_nan() || flushed,
                "bf16 of {x:e} at {}: {brain}",
                level.0
            );
        }
    }
}

#[test]
fn short_slices_are_read_as_zeros_and_not_written_beyond() {
    fn check<T: Storage>(level: (IsaLevel, Isa)) {
        for len in 0..=2 * MAX_LANES {
            let from = vec![T::from_f32(1.5); len];
            let mut to = [T::from_f32(7.0); 3 * MAX_LANES];
            run_at(level, Recode { from: &from, to: &mut to[MAX_LANES / 2..][..len] });
            for (index, value) in to.iter().enumerate() {
                let inside = (MAX_LANES / 2..MAX_LANES / 2 + len).contains(&index);
                assert_eq!(value.to_f32(), if inside { 1.5 } else { 7.0 }, "{index} of {len} at {}", level.0);
            }
            let mut wide = vec![7.0f32; MAX_LANES];
            run_at(level, FirstVector { from: &from, to: &mut wide });
            let lanes = wide.iter().position(|&lane| lane == 7.0).unwrap_or(MAX_LANES);
            let want: Vec<f32> = (0..lanes).map(|lane| if lane < len { 1.5 } else { 0.0 }).collect();
            assert_eq!(wide[..lanes], want, "{len} at {}", level.0);
        }
    }
    for level in levels() {
        check::<f32>(level);
        check::<bf16>(level);
        check::<f16>(level);
    }
}

/// Stores all lanes of the first vector.
struct FirstVector<'a, T> {
    from: &'a [T],
    to: &'a mut [f32],
}

impl<T: Storage> Kernel for FirstVector<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        write(simd, self.to, read(simd, self.from));
    }
}

/// What single operations give for two vectors: one number a lane for each, then the sum and the maximum of `a`.
struct Operations<'a> {
    a: &'a [f32; MAX_LANES],
    b: &'a [f32; MAX_LANES],
}

impl Kernel for Operations<'_> {
    type Output = (usize, Vec<Vec<f32>>, f32, f32);
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let (a, b) = (read(simd, self.a), read(simd, self.b));
        let vectors = [
            simd.add(a, b),
            simd.sub(a, b),
            simd.mul(a, b),
            simd.div(a, b),
            simd.fma(a, b, a),
            simd.neg_fma(a, b, a),
            simd.max(a, b),
            simd.min(a, b),
            simd.sqrt(simd.abs(a)),
            simd.abs(a),
            simd.round(a),
            simd.scale(a, simd.round(b)),
            simd.select(simd.less(a, b), a, b),
        ];
        let lanes = |vector| {
            let mut lanes = vec![0.0; S::LANES];
            write(simd, &mut lanes, vector);
            lanes
        };
        (S::LANES, vectors.map(lanes).to_vec(), simd.sum(a), simd.max_lane(a))
    }
}

#[test]
fn single_operations_are_those_of_ieee_754() {
    let a: [f32; MAX_LANES] =
        [1.5, -2.5, 0.0, 3.0e5, -0.5, 2.5, 7.25, -1.0e-3, 1.0, -1.0, 100.5, 0.3, -0.7, 12.0, 5.5, -6.5];
    let b: [f32; MAX_LANES] =
        [0.5, -3.5, 2.0, 1.0, -0.25, 4.0, -7.25, 20.0, -20.0, 3.0, 1.0, 0.9, -100.0, 60.0, 5.5, -8.0];
    let want: [fn(f64, f64) -> f64; 13] = [
        |a, b| a + b,
        |a, b| a - b,
        |a, b| a * b,
        |a, b| a / b,
        |a, b| a * b + a,
        |a, b| a - a * b,
        f64::max,
        f64::min,
        |a, _| a.abs().sqrt(),
        |a, _| a.abs(),
        |a, _| a.round_ties_even(),
        |a, b| a * b.round_ties_even().exp2(),
        f64::min,
    ];
    for level in levels() {
        let (lanes, vectors, sum, max) = run_at(level, Operations { a: &a, b: &b });
        for (operation, (vector, want)) in vectors.iter().zip(want).enumerate() {
            for lane in 0..lanes {
                let want = want(f64::from(a[lane]), f64::from(b[lane]));
                let error = (f64::from(vector[lane]) - want).abs();
                // Without FMA a product is rounded on the way: half a unit of |a b|.
                let scale = want.abs().max(f64::from(a[lane] * b[lane]).abs());
                assert!(error <= scale * 1.2e-7, "operation {operation}, lane {lane}, {}: {error:e}", level.0);
            }
        }
        let exact: f64 = a[..lanes].iter().map(|&a| f64::from(a)).sum();
        assert!((f64::from(sum) - exact).abs() < 0.1, "sum at {}", level.0);
        assert_eq!(max, a[..lanes].iter().copied().fold(f32::MIN, f32::max));
    }
}

#[test]
fn max_and_min_pass_a_nan_on_as_their_second_operand() {
    for level in levels() {
        let (_, vectors, ..) = run_at(level, Operations { a: &[1.0; MAX_LANES], b: &[f32::NAN; MAX_LANES] });
        assert!(vectors[6][0].is_nan() && vectors[7][0].is_nan(), "{}", level.0);
        let (_, vectors, ..) = run_at(level, Operations { a: &[f32::NAN; MAX_LANES], b: &[1.0; MAX_LANES] });
        assert!(vectors[6][0] == 1.0 && vectors[7][0] == 1.0, "{}", level.0);
    }
}

/// Mask bits of a row.
struct MaskBits<'a> {
    dropout: Dropout,
    row: u64,
    kept: &'a mut [f32],
}

impl Kernel for MaskBits<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let key = self.dropout.row_key(self.row);
        for (index, kept) in self.kept.chunks_mut(2 * S::LANES).enumerate() {
            let keep = keep_pair(simd, key, (index * 2 * S::LANES) as u32, self.dropout.threshold);
            let [first, second] = drop_pair(simd, keep, simd.splat(1.0), [simd.splat(1.0); 2]);
            let (low, high) = kept.split_at_mut(kept.len().min(S::LANES));
            write(simd, low, first);
            write(simd, high, second);
        }
    }
}

#[test]
fn mask_bits_are_those_of_the_definition() {
    for level in levels() {
        for probability in [1.0 / 65536.0, 0.1, 0.5, 0.5001, 0.9, 1.0] {
            let dropout = Dropout::new(probability, 3, 1, 4, DropoutSite::HeadInput).unwrap().starting_at(159);
            for row in [0, 1, 77] {
                let mut kept = vec![9.0; 1000];
                run_at(level, MaskBits { dropout, row, kept: &mut kept });
                for (column, &kept) in kept.iter().enumerate() {
                    let want = keep(&dropout, row, column as u32);
                    assert_eq!(kept, f32::from(u8::from(want)), "({row}, {column}) of {probability} at {}", level.0);
                }
            }
        }
    }
}
