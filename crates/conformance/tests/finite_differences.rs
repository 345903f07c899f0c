//! Every backward op of the reference against central differences of its forward, in f64.

use serin_ops::reference::{Reference, ReferenceBuffer};
use serin_ops::{
    Activation, AttentionShape, Backend, Dropout, DropoutSite, EmbeddingTables, InputGradient, LossKind, Norm,
};
use serin_tensor::DType;

type Buffer = ReferenceBuffer<f64>;

const R: Reference<f64> = Reference::new();
const STEP: f64 = 1e-5;
/// The third derivative's share, `STEP² |f'''| / 6`, and rounding, `2⁻⁵³ |f| / STEP`, for sums of a few hundred terms of
/// size 1.
const ALLOWED: f64 = 1e-7;
const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Tanh,
    Activation::Silu,
];

fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = 4.0 * ((state >> 11) as f64 / (1u64 << 53) as f64) - 2.0;
        // Away from the kink of relu.
        if value.abs() < 1e-3 { 0.5 } else { value }
    };
    (0..len).map(|_| next()).collect()
}

fn of(values: &[f64]) -> Buffer {
    Buffer { dtype: DType::F32, values: values.to_vec() }
}

fn zeros(len: usize) -> Buffer {
    of(&vec![0.0; len])
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Fails unless `gradient` holds the slopes of `objective` at `x`.
#[track_caller]
fn check(what: &str, x: &[f64], gradient: &[f64], objective: impl Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}");
    assert!(gradient.iter().any(|slope| slope.abs() > 1e-3), "{what}: no slope to speak of");
    for (index, &gradient) in gradient.iter().enumerate() {
        let at = |by: f64| {
            let mut moved = x.to_vec();
            moved[index] += by;
            objective(&moved)
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!((slope - gradient).abs() <= ALLOWED * (1.0 + slope.abs()), "{what}[{index}]: {gradient}, not {slope}");
    }
}

/// Exact in f32, as a weight must be.
fn exact(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|value| f64::from(value as f32)).collect()
}

const ROWS: usize = 3;
const INS: usize = 4;
const OUTS: usize = 5;

/// `Σ dy ⊙ f(x Wᵀ + b)`, the weight by way of its master copy, which keeps f64.
fn linear(x: &[f64], w: &[f64], b: &[f64], activation: Activation) -> (Vec<f64>, Vec<f64>) {
    let mut weight = R.weight(&[0.0; OUTS * INS], OUTS, INS, DType::F32, true).unwrap();
    R.refresh_weight(&mut weight, &of(w));
    let (mut before, mut y) = (zeros(ROWS * OUTS), zeros(ROWS * OUTS));
    R.linear(&of(x), &weight, Some(&of(b)), activation, ROWS, Some(&mut before), &mut y);
    (before.values, y.values)
}

#[test]
fn linear_layers() {
    let (x, w) = (numbers(ROWS * INS, 1), exact(numbers(OUTS * INS, 2)));
    let (b, dy) = (numbers(OUTS, 3), numbers(ROWS * OUTS, 4));
    let objective = |x: &[f64], w: &[f64], b: &[f64]| dot(&linear(x, w, b, Activation::Identity).1, &dy);
    let mut weight = R.weight(&[0.0; OUTS * INS], OUTS, INS, DType::F32, true).unwrap();
    R.refresh_weight(&mut weight, &of(&w));

    let mut dx = zeros(ROWS * INS);
    R.linear_backward_input(&of(&dy), &weight, ROWS, InputGradient::Store, &mut dx);
    check("dx", &x, &dx.values, |x| objective(x, &w, &b));
    let residual = numbers(ROWS * INS, 5);
    let mut accumulated = of(&residual);
    R.linear_backward_input(&of(&dy), &weight, ROWS, InputGradient::Accumulate, &mut accumulated);
    check("dx with a residual", &x, &accumulated.values, |x| objective(x, &w, &b) + dot(x, &residual));

    let (mut dw, mut db) = (zeros(OUTS * INS), zeros(OUTS));
    R.linear_backward_weight(&of(&dy), &of(&x), ROWS, OUTS, INS, &mut dw, &mut db);
    check("dW", &w, &dw.values, |w| objective(&x, w, &b));
    check("db", &b, &db.values, |b| objective(&x, &w, b));
}

#[test]
fn activations_alone_and_before_a_linear_layer() {
    // An identity matrix makes `linear` the activation itself.
    let identity: Vec<f32> = (0..INS * INS).map(|at| f32::from(u8::from(at / INS == at % INS))).collect();
    let identity = R.weight(&identity, INS, INS, DType::F32, true).unwrap();
    let (x, w) = (numbers(ROWS * INS, 1), exact(numbers(OUTS * INS, 2)));
    let [d, dy] = [(INS, 3), (OUTS, 4)].map(|(width, seed)| numbers(ROWS * width, seed));
    let mut weight = R.weight(&[0.0; OUTS * INS], OUTS, INS, DType::F32, true).unwrap();
    R.refresh_weight(&mut weight, &of(&w));
    for activation in ACTIVATIONS {
        let apply = |x: &[f64]| {
            let mut y = zeros(ROWS * INS);
            R.linear(&of(x), &identity, None, activation, ROWS, None, &mut y);
            y.values
        };
        let from_output = matches!(activation, Activation::Tanh | Activation::Relu);
        let saved = of(&if from_output { apply(&x) } else { x.clone() });
        let mut slopes = of(&d);
        R.activation_backward(activation, &saved, ROWS, INS, &mut slopes);
        check(&format!("{activation:?}"), &x, &slopes.values, |x| dot(&apply(x), &d));

        let mut dx = zeros(ROWS * INS);
        let through = InputGradient::ThroughActivation(activation, &saved);
        R.linear_backward_input(&of(&dy), &weight, ROWS, through, &mut dx);
        check(&format!("through {activation:?}"), &x, &dx.values, |x| {
            dot(&linear(&apply(x), &w, &[0.0; OUTS], Activation::Identity).1, &dy)
        });
    }
}

#[test]
fn embedding_tables() {
    let (rows, width, vocab) = (6, 3, 4);
    let [ids, positions, types] = [vec![2, 0, 2, 3, 2, 0], vec![0, 1, 2, 0, 1, 2], vec![0, 0, 1, 1, 0, 1]];
    let tables = [(vocab, 1), (3, 2), (2, 3)].map(|(count, seed)| numbers(count * width, seed));
    let d_out = numbers(rows * width, 4);
    for (number, indices) in [&ids, &positions, &types].into_iter().enumerate() {
        let mut d_table = zeros(tables[number].len());
        R.embed_backward(&of(&d_out), indices, rows, width, &mut d_table);
        check("embed", &tables[number], &d_table.values, |moved| {
            let mut tables = tables.clone();
            tables[number] = moved.to_vec();
            let [word, position, token_type] = tables.map(|table| of(&table));
            let tables = EmbeddingTables { word: &word, position: &position, token_type: Some(&token_type) };
            let mut out = zeros(rows * width);
            R.embed(tables, &ids, &positions, &types, rows, width, &mut out);
            dot(&out.values, &d_out)
        });
    }
}

const SHAPE: AttentionShape = AttentionShape { heads: 2, head_dim: 3 };
const OFFSETS: [u32; 5] = [0, 3, 3, 4, 9];

fn some_dropout(site: DropoutSite) -> [Option<Dropout>; 2] {
    [None, Dropout::new(0.4, 1, 2, 3, site)]
}

#[test]
fn attention_of_all_rows() {
    let (rows, width) = (9, SHAPE.width());
    let (qkv, d_out) = (numbers(rows * 3 * width, 1), numbers(rows * width, 2));
    let sequences = OFFSETS.to_vec();
    for dropout in some_dropout(DropoutSite::AttentionProbabilities) {
        let forward = |qkv: &[f64]| {
            let (mut out, mut saved) = (zeros(rows * width), zeros(rows * SHAPE.heads));
            R.attention(&of(qkv), &sequences, SHAPE, dropout, Some(&mut saved), &mut out);
            (out, saved)
        };
        let (out, saved) = forward(&qkv);
        let mut d_qkv = zeros(rows * 3 * width);
        R.attention_backward(&of(&d_out), &of(&qkv), &out, &saved, &sequences, SHAPE, dropout, &mut d_qkv);
        check("qkv", &qkv, &d_qkv.values, |qkv| dot(&forward(qkv).0.values, &d_out));
    }
}

#[test]
fn attention_of_first_rows() {
    let (rows, width, count) = (9, SHAPE.width(), 4);
    let (q, kv, d_out) = (numbers(count * width, 1), numbers(rows * 2 * width, 2), numbers(count * width, 3));
    let sequences = OFFSETS.to_vec();
    for dropout in some_dropout(DropoutSite::AttentionProbabilities) {
        let forward = |q: &[f64], kv: &[f64]| {
            let (mut out, mut saved) = (zeros(count * width), zeros(count * SHAPE.heads));
            R.first_row_attention(&of(q), &of(kv), &sequences, SHAPE, dropout, Some(&mut saved), &mut out);
            (out, saved)
        };
        let (out, saved) = forward(&q, &kv);
        let (mut d_q, mut d_kv) = (zeros(count * width), zeros(rows * 2 * width));
        R.first_row_attention_backward(
            &of(&d_out),
            &of(&q),
            &of(&kv),
            &out,
            &saved,
            &sequences,
            SHAPE,
            dropout,
            &mut d_q,
            &mut d_kv,
        );
        check("q", &q, &d_q.values, |q| dot(&forward(q, &kv).0.values, &d_out));
        check("kv", &kv, &d_kv.values, |kv| dot(&forward(&q, kv).0.values, &d_out));
    }
}

#[test]
fn layer_norm_with_residual_and_dropout() {
    let (rows, width) = (3, 7);
    let [x, residual, dy] = [1, 2, 3].map(|seed| numbers(rows * width, seed));
    let [weight, bias] = [4, 5].map(|seed| numbers(width, seed));
    for dropout in some_dropout(DropoutSite::AttentionOutput) {
        let forward = |x: &[f64], residual: &[f64], weight: &[f64], bias: &[f64]| {
            let (mut sum, mut statistics, mut y) = (of(x), zeros(2 * rows), zeros(rows * width));
            let (weight, bias) = (of(weight), of(bias));
            let norm = Norm { weight: &weight, bias: &bias, epsilon: 1e-5 };
            let residual = of(residual);
            R.add_layer_norm(&mut sum, Some(&residual), dropout, norm, rows, width, Some(&mut statistics), &mut y);
            (dot(&y.values, &dy), sum, statistics)
        };
        let (_, sum, statistics) = forward(&x, &residual, &weight, &bias);
        let [mut d_sum, mut d_x] = [(); 2].map(|()| zeros(rows * width));
        let [mut d_weight, mut d_bias] = [(); 2].map(|()| zeros(width));
        let through = dropout.map(|dropout| (dropout, &mut d_x));
        R.add_layer_norm_backward(
            &of(&dy),
            &sum,
            &statistics,
            &of(&weight),
            rows,
            width,
            &mut d_sum,
            through,
            &mut d_weight,
            &mut d_bias,
        );
        check("residual", &residual, &d_sum.values, |residual| forward(&x, residual, &weight, &bias).0);
        let d_x = if dropout.is_some() { d_x } else { d_sum };
        check("x", &x, &d_x.values, |x| forward(x, &residual, &weight, &bias).0);
        check("γ", &weight, &d_weight.values, |weight| forward(&x, &residual, weight, &bias).0);
        check("β", &bias, &d_bias.values, |bias| forward(&x, &residual, &weight, bias).0);
    }
}

#[test]
fn dropout_is_its_own_backward() {
    let (rows, width) = (4, 9);
    let (x, d) = (numbers(rows * width, 1), numbers(rows * width, 2));
    let dropout = Dropout::new(0.4, 1, 2, 3, DropoutSite::HeadInput).unwrap();
    let apply = |x: &[f64]| {
        let mut x = of(x);
        R.dropout(&mut x, dropout, rows, width);
        x.values
    };
    check("dropout", &x, &apply(&d), |x| dot(&apply(x), &d));
}

#[test]
fn scattering_is_the_backward_of_gathering() {
    let (rows, width, indices) = (5, 3, vec![3, 0, 4]);
    let (x, d_out) = (numbers(rows * width, 1), numbers(indices.len() * width, 2));
    let mut d_x = zeros(rows * width);
    R.scatter_add_rows(&of(&d_out), &indices, width, &mut d_x);
    check("x", &x, &d_x.values, |x| {
        let mut out = zeros(indices.len() * width);
        R.gather_rows(&of(x), &indices, width, &mut out);
        dot(&out.values, &d_out)
    });
}

#[test]
fn losses() {
    let (rows, labels) = (3, 4);
    let (logits, targets) = (numbers(rows * labels, 1), numbers(rows * labels, 2));
    let targets: Vec<f64> = targets.iter().map(|target| target.abs()).collect();
    for kind in [LossKind::SoftmaxCrossEntropy, LossKind::SigmoidCrossEntropy, LossKind::SquaredError] {
        let (mut losses, mut d_logits) = (zeros(rows), zeros(rows * labels));
        R.loss(kind, &of(&logits), &of(&targets), rows, labels, 0.25, &mut losses, Some(&mut d_logits));
        check(&format!("{kind:?}"), &logits, &d_logits.values, |logits| {
            let mut losses = zeros(rows);
            R.loss(kind, &of(logits), &of(&targets), rows, labels, 0.25, &mut losses, None);
            0.25 * losses.values.iter().sum::<f64>()
        });
    }
}

#[test]
fn vocabulary_loss() {
    let (rows, classes, targets) = (3, 5, vec![4, 0, 2]);
    let logits = numbers(rows * classes, 1);
    let mut d_logits = of(&logits);
    R.vocabulary_loss(&mut d_logits, &targets, rows, classes, Some(0.25), &mut zeros(2 * rows));
    check("logits", &logits, &d_logits.values, |logits| {
        let mut losses = zeros(2 * rows);
        R.vocabulary_loss(&mut of(logits), &targets, rows, classes, None, &mut losses);
        0.25 * losses.values.iter().step_by(2).sum::<f64>()
    });
}
