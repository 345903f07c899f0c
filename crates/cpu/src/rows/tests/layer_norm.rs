//! Layer norm with residual and dropout, forward and backward.

use super::*;
use serin_ops::{Dropout, DropoutSite, Norm, keep};

const EPSILON: f64 = 1e-5;

/// The forward of one row in f64: y, and (mean, 1/√(var + ε)).
fn forward(sum: &[f64], weight: &[f64], bias: &[f64]) -> (Vec<f64>, [f64; 2]) {
    let width = sum.len() as f64;
    let mean = sum.iter().sum::<f64>() / width;
    let variance = sum.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / width;
    let inverse = 1.0 / (variance + f64::from(EPSILON as f32)).sqrt();
    let y = sum.iter().zip(weight).zip(bias).map(|((s, w), b)| (s - mean) * inverse * w + b).collect();
    (y, [mean, inverse])
}

/// The gradient of one row's sum in f64, from the statistics.
fn backward(dy: &[f64], sum: &[f64], weight: &[f64], [mean, inverse]: [f64; 2]) -> Vec<f64> {
    let width = sum.len() as f64;
    let normal: Vec<f64> = sum.iter().map(|s| (s - mean) * inverse).collect();
    let g: Vec<f64> = dy.iter().zip(weight).map(|(dy, w)| dy * w).collect();
    let mean_g = g.iter().sum::<f64>() / width;
    let mean_gn = g.iter().zip(&normal).map(|(g, n)| g * n).sum::<f64>() / width;
    g.iter().zip(&normal).map(|(g, n)| (g - mean_g - n * mean_gn) * inverse).collect()
}

/// Roundings on the way to a sum over a row: one an element of a lane's share, and those of the tree.
fn roundings(width: usize) -> f64 {
    12.0 + width as f64 / 8.0
}

fn some_dropout() -> Dropout {
    Dropout::new(0.1, 11, 3, 2, DropoutSite::AttentionOutput).unwrap().starting_at(6)
}

/// `dropout(x) + residual` in f64.
fn sums(x: &[f64], residual: Option<&[f64]>, dropout: Option<Dropout>, width: usize) -> Vec<f64> {
    let element = |(index, &x): (usize, &f64)| {
        let dropped = dropout.map_or(x, |dropout| {
            let kept = keep(&dropout, (index / width) as u64, (index % width) as u32);
            if kept { x * f64::from(dropout.scale) } else { 0.0 }
        });
        dropped + residual.map_or(0.0, |residual| residual[index])
    };
    x.iter().enumerate().map(element).collect()
}

fn check_forward(levels: &[Level], dtype: DType, rows: usize, width: usize, dropout: Option<Dropout>, joined: bool) {
    let [weight, bias] = [random(DType::F32, width, 3), random(DType::F32, width, 4)];
    let [before, residual] = [random(dtype, rows * width, 1), random(dtype, rows * width, 2)];
    let residual = joined.then_some(&residual);
    let sum = sums(&values(&before), residual.map(values).as_deref(), dropout, width);
    let (w, b) = (values(&weight), values(&bias));
    let (mut y, mut statistics, mut tolerance) = (vec![], vec![], vec![]);
    for row in sum.chunks(width) {
        let (row_y, [mean, inverse]) = forward(row, &w, &b);
        let largest = row.iter().fold(0.0, |largest: f64, s| largest.max(s.abs()));
        // What is lost in the sum and the mean is magnified by 1/σ; the statistics' own error is relative to it.
        let lost = U * roundings(width) * largest.max(1.0);
        tolerance.extend([lost, lost * inverse * inverse * 2.0 + inverse * U * roundings(width)]);
        statistics.extend([mean, inverse]);
        y.extend(row_y);
    }
    for level in levels {
        let norm = || Norm { weight: &weight, bias: &bias, epsilon: EPSILON as f32 };
        let (mut x, mut out) = (copy(&before), random(dtype, rows * width, 8));
        let mut stored = random(DType::F32, 2 * rows, 9);
        level.run(rows > 0, |cpu| {
            cpu.add_layer_norm(&mut x, residual, dropout, norm(), rows, width, Some(&mut stored), &mut out);
        });
        let y_tolerance = |index: usize| {
            let (row, column) = (index / width, index % width);
            let relative = tolerance[2 * row + 1] / statistics[2 * row + 1];
            let size = 1.0 + ((sum[index] - statistics[2 * row]) * statistics[2 * row + 1]).abs();
            w[column].abs() * size * 2.0 * relative + 2.0 * U * (b[column].abs() + y[index].abs())
        };
        assert_close("y", &out, &y, y_tolerance);
        assert_close("statistics", &stored, &statistics, |index| tolerance[index]);
        assert_close("sum", &x, &sum, |_| 4.0 * U * 4.5);
        let (mut x, mut inference) = (copy(&before), random(dtype, rows * width, 8));
        level.run(rows > 0, |cpu| {
            cpu.add_layer_norm(&mut x, residual, dropout, norm(), rows, width, None, &mut inference);
        });
        assert_eq!(inference.as_bytes(), out.as_bytes(), "the same with and without statistics");
    }
}

#[test]
fn layer_norm_agrees_with_f64() {
    let levels = Level::all();
    for dtype in DTYPES {
        for (rows, width) in shapes() {
            for (dropout, joined) in [(None, false), (None, true), (Some(some_dropout()), true)] {
                check_forward(&levels, dtype, rows, width, dropout, joined);
            }
        }
    }
}

#[test]
fn the_backward_formula_is_the_slope_of_the_forward() {
    for width in [2, 3, 17, 48] {
        let [s, w, b, dy] =
            [1, 2, 3, 4].map(|seed| numbers(width, seed).into_iter().map(f64::from).collect::<Vec<_>>());
        let objective = |s: &[f64]| -> f64 { forward(s, &w, &b).0.iter().zip(&dy).map(|(y, d)| y * d).sum() };
        let gradient = backward(&dy, &s, &w, forward(&s, &w, &b).1);
        for column in 0..width {
            let moved = |step: f64| {
                let mut s = s.clone();
                s[column] += step;
                objective(&s)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[column]).abs() < 1e-6 * (1.0 + slope.abs()), "{slope} {}", gradient[column]);
        }
    }
}

/// What the backward reads, and the f64 results.
struct Backward {
    dy: AlignedBuffer,
    sum: AlignedBuffer,
    statistics: AlignedBuffer,
    weight: AlignedBuffer,
    d_sum: Vec<f64>,
    d_sum_tolerance: Vec<f64>,
    /// Σ_rows and Σ_rows of magnitudes, for dγ and dβ.
    d_weight: [Vec<f64>; 2],
    d_bias: [Vec<f64>; 2],
}

fn backward_case(dtype: DType, rows: usize, width: usize) -> Backward {
    let [dy, sum] = [random(dtype, rows * width, 1), random(dtype, rows * width, 2)];
    let weight = random(DType::F32, width, 3);
    let (dys, s, w) = (values(&dy), values(&sum), values(&weight));
    let zeros = || [vec![0.0; width], vec![0.0; width]];
    let (mut d_sum, mut d_sum_tolerance, mut stored) = (vec![], vec![], vec![]);
    let (mut d_weight, mut d_bias) = (zeros(), zeros());
    for (dy, s) in dys.chunks(width).zip(s.chunks(width)) {
        let statistics = forward(s, &w, &w).1.map(|value| value as f32);
        stored.extend(statistics);
        let [mean, inverse] = statistics.map(f64::from);
        d_sum.extend(backward(dy, s, &w, [mean, inverse]));
        let largest_n = s.iter().fold(1.0, |largest: f64, s| largest.max(((s - mean) * inverse).abs()));
        let largest_g = dy.iter().zip(&w).fold(0.0, |largest: f64, (dy, w)| largest.max((dy * w).abs()));
        // n is off by U |s| / σ beside its own rounding.
        let lost = U * roundings(width) * largest_g * largest_n * (largest_n + 2.0 * inverse) * inverse;
        d_sum_tolerance.extend(std::iter::repeat_n(lost, width));
        for (column, (dy, s)) in dy.iter().zip(s).enumerate() {
            let n = (s - mean) * inverse;
            d_weight[0][column] += dy * n;
            d_weight[1][column] += dy.abs() * (n.abs() + 2.0 * inverse);
            d_bias[0][column] += dy;
            d_bias[1][column] += dy.abs();
        }
    }
    let statistics = guarded(DType::F32, &stored);
    Backward { dy, sum, statistics, weight, d_sum, d_sum_tolerance, d_weight, d_bias }
}

fn check_backward(levels: &[Level], dtype: DType, rows: usize, width: usize, dropout: Option<Dropout>) {
    let case = backward_case(dtype, rows, width);
    // Gradients are added to what is there.
    let [weight_before, bias_before] = [random(DType::F32, width, 5), random(DType::F32, width, 6)];
    let plus = |before: &AlignedBuffer, sum: &[f64]| -> Vec<f64> {
        values(before).iter().zip(sum).map(|(before, sum)| before + sum).collect()
    };
    for level in levels {
        let [mut d_sum, mut d_x] = [7, 8].map(|seed| random(dtype, rows * width, seed));
        let [mut d_weight, mut d_bias] = [copy(&weight_before), copy(&bias_before)];
        level.run(rows > 0, |cpu| {
            cpu.add_layer_norm_backward(
                &case.dy,
                &case.sum,
                &case.statistics,
                &case.weight,
                rows,
                width,
                &mut d_sum,
                dropout.map(|dropout| (dropout, &mut d_x)),
                &mut d_weight,
                &mut d_bias,
            );
        });
        assert_close("d_sum", &d_sum, &case.d_sum, |index| case.d_sum_tolerance[index]);
        let additions = (rows + 2) as f64 * U;
        let weight_tolerance = |column: usize| additions * (2.0 + case.d_weight[1][column]);
        assert_close("d_weight", &d_weight, &plus(&weight_before, &case.d_weight[0]), weight_tolerance);
        let bias_tolerance = |column: usize| additions * (2.0 + case.d_bias[1][column]);
        assert_close("d_bias", &d_bias, &plus(&bias_before, &case.d_bias[0]), bias_tolerance);
        if let Some(dropout) = dropout {
            // Of the gradient before it was stored, so it is rounded once.
            let dropped = sums(&case.d_sum, None, Some(dropout), width);
            let tolerance = |index: usize| match dropped[index] {
                0.0 => 0.0,
                _ => f64::from(dropout.scale) * case.d_sum_tolerance[index],
            };
            assert_close("d_x", &d_x, &dropped, tolerance);
            if dtype == DType::F32 {
                let dropped = sums(&values(&d_sum), None, Some(dropout), width);
                let dropped: Vec<f64> = dropped.iter().map(|&value| rounded(dtype, value as f32)).collect();
                assert_same("d_x", &d_x, &dropped);
            }
        }
    }
}

#[test]
fn the_backward_agrees_with_f64() {
    let levels = Level::all();
    for dtype in DTYPES {
        for (rows, width) in shapes() {
            for dropout in [None, Some(some_dropout())] {
                check_backward(&levels, dtype, rows, width, dropout);
            }
        }
    }
}

#[test]
fn a_large_mean_does_not_swallow_the_variance() {
    // E[x²] - E[x]² would have nothing left: 1e4² is 2²⁶ units of f32's last place.
    let width = 768;
    let wave: Vec<f32> = (0..width).map(|column| 10_000.0 + if column % 2 == 0 { 0.5 } else { -0.5 }).collect();
    let one = guarded(DType::F32, &vec![1.0; width]);
    let zero = guarded(DType::F32, &vec![0.0; width]);
    for level in Level::all() {
        let (mut x, mut y) = (guarded(DType::F32, &wave), random(DType::F32, width, 1));
        let norm = Norm { weight: &one, bias: &zero, epsilon: 1e-12 };
        level.run(true, |cpu| cpu.add_layer_norm(&mut x, None, None, norm, 1, width, None, &mut y));
        let want: Vec<f64> = (0..width).map(|column| if column % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert_close("y", &y, &want, |_| 1e-2);
    }
}
