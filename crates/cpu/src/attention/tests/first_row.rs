//! Attention of the first row: correct, independent of threads, and never outside its buffers.

use super::inputs::*;
use super::oracle::{Bounded, Gradients};
use crate::Cpu;
use crate::isa::{Isa, IsaLevel};
use serin_ops::{AttentionShape, Backend, Dropout};
use serin_tensor::{AlignedBuffer, DType};

struct Case {
    shape: AttentionShape,
    dtype: DType,
    lengths: Vec<usize>,
    dropout: Option<Dropout>,
    /// `[sequences, width]`.
    q: AlignedBuffer,
    /// `[rows, 2 * width]`.
    kv: AlignedBuffer,
    /// `[sequences, width]`.
    d_out: AlignedBuffer,
}

struct Output {
    out: AlignedBuffer,
    log_sum_exp: AlignedBuffer,
    d_q: AlignedBuffer,
    d_kv: AlignedBuffer,
}

impl Case {
    fn new(head_dim: usize, dtype: DType, lengths: &[usize], dropout: Option<Dropout>, deviation: f32) -> Case {
        let shape = AttentionShape { heads: 5, head_dim };
        let (rows, width): (usize, usize) = (lengths.iter().sum(), shape.width());
        let q = buffer(dtype, &normal(21, lengths.len() * width, deviation));
        let kv = buffer(dtype, &normal(22, rows * 2 * width, deviation));
        let d_out = buffer(dtype, &normal(23, lengths.len() * width, 1.0));
        Case { shape, dtype, lengths: lengths.to_vec(), dropout, q, kv, d_out }
    }

    fn run(&self, cpu: &Cpu) -> Output {
        let (rows, width): (usize, usize) = (self.lengths.iter().sum(), self.shape.width());
        let (count, offsets) = (self.lengths.len(), offsets(&self.lengths));
        let mut out = unwritten(self.dtype, count * width);
        let mut log_sum_exp = unwritten(DType::F32, count * self.shape.heads);
        let Case { q, kv, d_out, shape, dropout, .. } = self;
        cpu.first_row_attention(q, kv, &offsets, *shape, *dropout, Some(&mut log_sum_exp), &mut out);
        let mut d_q = unwritten(self.dtype, count * width);
        let mut d_kv = unwritten(self.dtype, rows * 2 * width);
        cpu.first_row_attention_backward(
            d_out,
            q,
            kv,
            &out,
            &log_sum_exp,
            &offsets,
            *shape,
            *dropout,
            &mut d_q,
            &mut d_kv,
        );
        Output { out, log_sum_exp, d_q, d_kv }
    }

    fn expected(&self) -> Vec<(Bounded, Bounded, Gradients)> {
        let width = self.shape.width();
        let (q, kv, d_out) = (values(&self.q), values(&self.kv), values(&self.d_out));
        let inputs = [(&q[..], width, 0), (&kv[..], 2 * width, 0), (&kv[..], 2 * width, width)];
        let mut expected = Vec::new();
        for_each_problem(
            &self.lengths,
            self.shape,
            self.dropout,
            self.dtype,
            inputs,
            true,
            |sequence, head, _, problem| {
                let head_dim = self.shape.head_dim;
                let d_out = columns(&d_out, width, sequence..sequence + 1, head * head_dim, head_dim);
                let (out, log_sum_exp) = problem.forward();
                expected.push((out, log_sum_exp, problem.backward(&d_out)));
            },
        );
        expected
    }

    fn check(&self, what: &str, output: &Output, expected: &[(Bounded, Bounded, Gradients)]) {
        let AttentionShape { heads, head_dim } = self.shape;
        let (width, count, offsets) = (self.shape.width(), self.lengths.len(), offsets(&self.lengths));
        let [out, log_sum_exp, d_q, d_kv] = [&output.out, &output.log_sum_exp, &output.d_q, &output.d_kv].map(values);
        for (index, (expected_out, statistics, gradients)) in expected.iter().enumerate() {
            let (sequence, head) = (index / heads, index % heads);
            let what = format!("{what}, sequence of {}, head {head}", self.lengths[sequence]);
            let one = sequence..sequence + 1;
            let own = offsets[sequence] as usize..offsets[sequence + 1] as usize;
            assert_close(
                &format!("{what}, out"),
                &columns(&out, width, one.clone(), head * head_dim, head_dim),
                expected_out,
            );
            assert_close(&format!("{what}, d_q"), &columns(&d_q, width, one, head * head_dim, head_dim), &gradients.q);
            if self.lengths[sequence] > 0 {
                assert_close(&format!("{what}, log_sum_exp"), &[log_sum_exp[head * count + sequence]], statistics);
            }
            for (part, expected) in [&gradients.k, &gradients.v].into_iter().enumerate() {
                let got = columns(&d_kv, 2 * width, own.clone(), part * width + head * head_dim, head_dim);
                assert_close(&format!("{what}, gradient of kv {part}"), &got, expected);
            }
        }
    }
}

fn on_every_level(head_dim: usize, probability: f32, deviation: f32) {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let case = Case::new(head_dim, dtype, &LENGTHS, dropout(probability), deviation);
        let expected = case.expected();
        for level in Isa::detect().levels() {
            let what = format!("{level}, {dtype}, head of {head_dim}, dropout {probability}");
            crate::simd::ran::take();
            let output = case.run(&cpu(level, 1));
            assert_eq!(crate::simd::ran::take(), [level.min(IsaLevel::Avx512Bf16)], "{what}");
            case.check(&what, &output, &expected);
        }
    }
}

#[test]
fn without_dropout() {
    for head_dim in [64, 32, 12] {
        on_every_level(head_dim, 0.0, 1.0);
    }
}

#[test]
fn with_dropout() {
    for (head_dim, probability) in [(64, 0.1), (32, 0.5), (12, 0.1)] {
        on_every_level(head_dim, probability, 1.0);
    }
}

#[test]
fn scores_of_hundreds_do_not_overflow() {
    on_every_level(64, 0.1, 12.0);
}

#[test]
fn threads_do_not_change_a_bit() {
    for level in Isa::detect().levels() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for lengths in [&[100, 1, 0, 257, 33][..], &[300]] {
                let case = Case::new(64, dtype, lengths, dropout(0.1), 1.0);
                let one = case.run(&cpu(level, 1));
                for threads in [2, 3, 5] {
                    let many = case.run(&cpu(level, threads));
                    assert_same("out", &one.out, &many.out);
                    assert_same("log_sum_exp", &one.log_sum_exp, &many.log_sum_exp);
                    assert_same("d_q", &one.d_q, &many.d_q);
                    assert_same("d_kv", &one.d_kv, &many.d_kv);
                }
            }
        }
    }
}
