//! Packed self-attention: correct, independent of threads and neighbours, and never outside its buffers.

use super::inputs::*;
use super::oracle::{Bounded, Gradients};
use crate::Cpu;
use crate::gemm::kernel::ran as products;
use crate::isa::{Isa, IsaLevel};
use serin_ops::{AttentionShape, Backend, Dropout};
use serin_tensor::{AlignedBuffer, DType};

/// A batch and what the oracle says of it, per sequence and head.
struct Case {
    shape: AttentionShape,
    dtype: DType,
    lengths: Vec<usize>,
    dropout: Option<Dropout>,
    /// `[rows, 3 * width]`.
    qkv: AlignedBuffer,
    /// `[rows, width]`.
    d_out: AlignedBuffer,
}

struct Output {
    out: AlignedBuffer,
    log_sum_exp: AlignedBuffer,
    d_qkv: AlignedBuffer,
}

impl Case {
    fn new(head_dim: usize, dtype: DType, lengths: &[usize], dropout: Option<Dropout>, deviation: f32) -> Case {
        let shape = AttentionShape { heads: 2, head_dim };
        let rows: usize = lengths.iter().sum();
        let qkv = normal(11, rows * 3 * shape.width(), deviation);
        let d_out = normal(12, rows * shape.width(), 1.0);
        let (qkv, d_out) = (buffer(dtype, &qkv), buffer(dtype, &d_out));
        Case { shape, dtype, lengths: lengths.to_vec(), dropout, qkv, d_out }
    }

    fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    fn run(&self, cpu: &Cpu) -> Output {
        let (rows, width) = (self.rows(), self.shape.width());
        let offsets = offsets(&self.lengths);
        let mut out = unwritten(self.dtype, rows * width);
        let mut log_sum_exp = unwritten(DType::F32, rows * self.shape.heads);
        cpu.attention(&self.qkv, &offsets, self.shape, self.dropout, Some(&mut log_sum_exp), &mut out);
        let mut without = unwritten(self.dtype, rows * width);
        cpu.attention(&self.qkv, &offsets, self.shape, self.dropout, None, &mut without);
        assert_same("with and without log_sum_exp", &out, &without);
        let mut d_qkv = unwritten(self.dtype, rows * 3 * width);
        let Case { d_out, qkv, shape, dropout, .. } = self;
        cpu.attention_backward(d_out, qkv, &out, &log_sum_exp, &offsets, *shape, *dropout, &mut d_qkv);
        Output { out, log_sum_exp, d_qkv }
    }

    /// What the oracle says, in the order of sequences and heads.
    fn expected(&self) -> Vec<(Bounded, Bounded, Gradients)> {
        let width = self.shape.width();
        let (qkv, d_out) = (values(&self.qkv), values(&self.d_out));
        let inputs = [0, 1, 2].map(|part| (&qkv[..], 3 * width, part * width));
        let mut expected = Vec::new();
        for_each_problem(
            &self.lengths,
            self.shape,
            self.dropout,
            self.dtype,
            inputs,
            false,
            |_, head, rows, problem| {
                let d_out = columns(&d_out, width, rows, head * self.shape.head_dim, self.shape.head_dim);
                let (out, log_sum_exp) = problem.forward();
                expected.push((out, log_sum_exp, problem.backward(&d_out)));
            },
        );
        expected
    }

    fn check(&self, what: &str, output: &Output, expected: &[(Bounded, Bounded, Gradients)]) {
        let AttentionShape { heads, head_dim } = self.shape;
        let (rows, width, offsets) = (self.rows(), self.shape.width(), offsets(&self.lengths));
        let [out, log_sum_exp, d_qkv] = [&output.out, &output.log_sum_exp, &output.d_qkv].map(values);
        for (index, (expected_out, statistics, gradients)) in expected.iter().enumerate() {
            let (sequence, head) = (index / heads, index % heads);
            let what = format!("{what}, sequence of {}, head {head}", self.lengths[sequence]);
            let own = offsets[sequence] as usize..offsets[sequence + 1] as usize;
            assert_close(
                &format!("{what}, out"),
                &columns(&out, width, own.clone(), head * head_dim, head_dim),
                expected_out,
            );
            let got = &log_sum_exp[head * rows..][..rows][own.clone()];
            assert_close(&format!("{what}, log_sum_exp"), got, statistics);
            for (part, expected) in [&gradients.q, &gradients.k, &gradients.v].into_iter().enumerate() {
                let got = columns(&d_qkv, 3 * width, own.clone(), part * width + head * head_dim, head_dim);
                assert_close(&format!("{what}, gradient {part}"), &got, expected);
            }
        }
    }
}

/// Every storage type and instruction set, one thread, after the oracle has been asked once a type.
fn on_every_level(head_dim: usize, lengths: &[usize], probability: f32, deviation: f32) {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let case = Case::new(head_dim, dtype, lengths, dropout(probability), deviation);
        let expected = case.expected();
        for level in Isa::detect().levels() {
            let what = format!("{level}, {dtype}, head of {head_dim}, dropout {probability}");
            let output = ran_on(level, &case, &what);
            case.check(&what, &output, &expected);
        }
    }
}

/// Runs the case, and fails unless the level's own kernels, and no others, computed it.
fn ran_on(level: IsaLevel, case: &Case, what: &str) -> Output {
    crate::simd::ran::take();
    products::take();
    let output = case.run(&cpu(level, 1));
    let ran = (crate::simd::ran::take(), products::take());
    let in_pairs = level >= IsaLevel::Avx512Bf16 && case.dtype == DType::BF16 && case.shape.head_dim.is_multiple_of(32);
    // The tiles of AMX hold bf16 only: f32 goes through the widest vectors.
    let vectors = level.min(IsaLevel::Avx512Bf16);
    let expected = if in_pairs { (vec![], vec![level]) } else { (vec![vectors], vec![]) };
    assert!(ran == expected || case.rows() == 0, "{what}: ran {ran:?}, not {expected:?}");
    output
}

#[test]
fn heads_of_64() {
    on_every_level(64, &LENGTHS, 0.0, 1.0);
}

#[test]
fn heads_of_64_with_dropout() {
    on_every_level(64, &LENGTHS, 0.1, 1.0);
}

#[test]
fn heads_of_32() {
    on_every_level(32, &LENGTHS, 0.0, 1.0);
}

#[test]
fn heads_of_32_with_dropout() {
    on_every_level(32, &LENGTHS, 0.5, 1.0);
}

#[test]
fn heads_of_12() {
    on_every_level(12, &LENGTHS, 0.0, 1.0);
}

#[test]
fn heads_of_12_with_dropout() {
    on_every_level(12, &LENGTHS, 0.1, 1.0);
}

#[test]
fn scores_of_hundreds_do_not_overflow() {
    // Scores have a standard deviation of deviation² whatever the head's width: here 144, so 500 is among them.
    on_every_level(64, &[1, 40, 130], 0.0, 12.0);
    on_every_level(32, &[1, 40, 130], 0.1, 12.0);
}

#[test]
fn sequences_longer_than_any_block() {
    on_every_level(32, &[600, 5], 0.1, 1.0);
}

#[test]
fn an_empty_batch_does_nothing() {
    for lengths in [&[][..], &[0], &[0, 0]] {
        on_every_level(64, lengths, 0.1, 1.0);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for level in Isa::detect().levels() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let case = Case::new(64, dtype, &[100, 1, 0, 257, 33], dropout(0.1), 1.0);
            let one = case.run(&cpu(level, 1));
            for threads in [2, 3, 5] {
                let many = case.run(&cpu(level, threads));
                assert_same("out", &one.out, &many.out);
                assert_same("log_sum_exp", &one.log_sum_exp, &many.log_sum_exp);
                assert_same("d_qkv", &one.d_qkv, &many.d_qkv);
            }
        }
    }
}

#[test]
fn neighbours_in_the_batch_do_not_change_a_bit() {
    for (level, head_dim) in
        Isa::detect().levels().into_iter().flat_map(|level| [(level, 64), (level, 32), (level, 12)])
    {
        let cpu = cpu(level, 2);
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let lengths = [33, 100, 16, 257, 1];
            let packed = Case::new(head_dim, dtype, &lengths, None, 1.0);
            let together = packed.run(&cpu);
            let [qkv, d_out, out, d_qkv] = [&packed.qkv, &packed.d_out, &together.out, &together.d_qkv].map(values);
            let offsets = offsets(&lengths);
            for (sequence, len) in lengths.into_iter().enumerate() {
                let rows = offsets[sequence] as usize..offsets[sequence + 1] as usize;
                let part = |of: &[f64], width: usize| -> Vec<f32> {
                    of[rows.start * width..rows.end * width].iter().map(|&value| value as f32).collect()
                };
                let width = packed.shape.width();
                let alone = Case {
                    lengths: vec![len],
                    qkv: buffer(dtype, &part(&qkv, 3 * width)),
                    d_out: buffer(dtype, &part(&d_out, width)),
                    ..packed
                };
                let output = alone.run(&cpu);
                assert_same("out", &output.out, &buffer(dtype, &part(&out, width)));
                assert_same("d_qkv", &output.d_qkv, &buffer(dtype, &part(&d_qkv, 3 * width)));
            }
        }
    }
}

#[test]
fn nan_in_a_key_reaches_every_query_of_its_sequence_and_no_other() {
    for level in Isa::detect().levels() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let mut case = Case::new(64, dtype, &[20, 40], None, 1.0);
            let width = case.shape.width();
            let mut qkv: Vec<f32> = values(&case.qkv).iter().map(|&value| value as f32).collect();
            qkv[5 * 3 * width + width] = f32::NAN;
            case.qkv = buffer(dtype, &qkv);
            let out = values(&case.run(&cpu(level, 1)).out);
            for row in 0..60 {
                let nan = out[row * width..][..64].iter().all(|value| value.is_nan());
                assert_eq!(nan, row < 20, "{level}, {dtype}: row {row}");
                assert!(out[row * width + 64..][..64].iter().all(|value| value.is_finite()));
            }
        }
    }
}
