//! What is counted against numbers by hand, and that the backend inside computes.

use super::*;
use crate::reference::Reference;
use crate::{Activation, AttentionShape, InputGradient};

fn traced() -> Traced<Reference<f32>> {
    Traced::new(Reference::new())
}

#[test]
fn a_product_is_counted_and_computed() {
    let backend = traced();
    let weight = backend.weight(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3, DType::BF16, true).unwrap();
    let mut x = backend.buffer(DType::BF16, 12).unwrap();
    backend.write(&mut x, 0, &[1.0; 12]);
    let mut y = backend.buffer(DType::BF16, 8).unwrap();
    backend.take();
    backend.linear(&x, &weight, None, Activation::Identity, 4, None, &mut y);
    let calls = backend.take();
    assert_eq!((calls.len(), calls[0].op, calls[0].features), (1, "linear", Some((3, 2))));
    // 4 rows by a matrix of 6: 24 multiplications and as many additions; 12, 6 and 8 elements of 2 bytes.
    assert_eq!(calls[0].work, Work { flops: 48.0, bytes: 52.0 });
    let mut values = [0.0; 8];
    backend.read(&y, 0, &mut values).unwrap();
    assert_eq!(values, [6.0, 15.0, 6.0, 15.0, 6.0, 15.0, 6.0, 15.0]);
}

#[test]
fn both_gradients_of_a_product_count_as_much_as_it() {
    let backend = traced();
    let weight = backend.weight(&[0.5; 6], 2, 3, DType::F32, true).unwrap();
    let buffer = |len| backend.buffer(DType::F32, len).unwrap();
    let (dy, x, mut dx, mut d_weight, mut d_bias) = (buffer(8), buffer(12), buffer(12), buffer(6), buffer(2));
    backend.linear_backward_input(&dy, &weight, 4, InputGradient::Accumulate, &mut dx);
    backend.linear_backward_weight(&dy, &x, 4, 2, 3, &mut d_weight, &mut d_bias);
    let [input, by_weight] = backend.take()[..] else { panic!("two calls") };
    // dy 8, the matrix 6, dx 12 read and 12 written; then dy 8, x 12, the matrix's gradient 6 read and 6 written.
    assert_eq!(input.work, Work { flops: 48.0, bytes: 4.0 * 38.0 });
    assert_eq!(by_weight.work, Work { flops: 48.0, bytes: 4.0 * 32.0 });
}

#[test]
fn attention_counts_pairs_inside_sequences() {
    let backend = traced();
    let shape = AttentionShape { heads: 2, head_dim: 4 };
    let mut sequences = backend.sequences(2).unwrap();
    backend.write_sequences(&mut sequences, &[0, 3, 5]);
    let buffer = |len| backend.buffer(DType::F32, len).unwrap();
    let (qkv, mut out) = (buffer(5 * 24), buffer(5 * 8));
    backend.attention(&qkv, &sequences, shape, None, None, &mut out);
    let (q, kv, mut first) = (buffer(2 * 8), buffer(5 * 16), buffer(2 * 8));
    backend.first_row_attention(&q, &kv, &sequences, shape, None, None, &mut first);
    let [all, first] = backend.take()[..] else { panic!("two calls") };
    // 9 + 4 pairs, 8 wide, scores and weighted sum: 13 · 8 · 2 products of a multiplication and an addition.
    assert_eq!(all.work.flops, 13.0 * 8.0 * 2.0 * 2.0);
    // One query a sequence meets its 3 and its 2 keys.
    assert_eq!(first.work.flops, 5.0 * 8.0 * 2.0 * 2.0);
}

#[test]
fn gathering_counts_the_rows_that_are_gathered() {
    let backend = traced();
    let mut indices = backend.indices(4).unwrap();
    backend.write_indices(&mut indices, &[2, 0]);
    let mut x = backend.buffer(DType::F32, 9).unwrap();
    backend.write(&mut x, 0, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let mut out = backend.buffer(DType::F32, 6).unwrap();
    backend.take();
    backend.gather_rows(&x, &indices, 3, &mut out);
    assert_eq!(backend.take()[0].work, Work { flops: 0.0, bytes: 48.0 });
    let mut values = [0.0; 6];
    backend.read(&out, 0, &mut values).unwrap();
    assert_eq!(values, [6.0, 7.0, 8.0, 0.0, 1.0, 2.0]);
}

#[test]
fn a_span_has_its_time_at_its_end_and_nothing_is_noted_unwatched() {
    let backend = traced();
    let mut buffer = backend.buffer(DType::F32, 1 << 16).unwrap();
    let mut zero_thrice = |backend: &Traced<_>| {
        backend.take();
        let started = Instant::now();
        (0..3).for_each(|_| backend.fill_zero(&mut buffer, 1 << 16));
        (backend.take(), started.elapsed())
    };
    backend.watch(Watch::Spans(vec![1, 2]));
    let (calls, whole) = zero_thrice(&backend);
    let times: Vec<Duration> = calls.iter().map(|call| call.time).collect();
    assert_eq!(times.len(), 3);
    assert!(times[0].is_zero() && !times[1].is_zero() && !times[2].is_zero(), "{times:?}");
    // `whole` begins after the first span does, by nothing but a reading of the clock.
    assert!(times[1] + times[2] <= whole + Duration::from_millis(1), "{times:?} in {whole:?}");
    backend.watch(Watch::Nothing);
    assert!(zero_thrice(&backend).0.is_empty());
    backend.watch(Watch::Calls);
    assert!(zero_thrice(&backend).0.iter().all(|call| !call.time.is_zero()));
}
