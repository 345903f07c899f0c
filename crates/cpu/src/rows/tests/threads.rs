//! One thread, two and three give the same bits.

use super::*;
use serin_ops::{Activation, AdamwSlot, AdamwStep, Dropout, DropoutSite, EmbeddingTables, Norm};

/// Many blocks, the last one short.
const TOKENS: usize = 523;
const WIDTH: usize = 768;

/// Every op on the same inputs; the bytes of all that they wrote.
fn everything(cpu: &Cpu, dtype: DType) -> Vec<Vec<u8>> {
    let len = TOKENS * WIDTH;
    let dropout = Dropout::new(0.1, 1, 2, 3, DropoutSite::Embedding).unwrap();
    let [word, position] = [random(dtype, 97 * WIDTH, 1), random(dtype, 31 * WIDTH, 2)];
    let (ids, positions) = (scattered(TOKENS, 97), scattered(TOKENS, 31));
    let [weight, bias] = [random(DType::F32, WIDTH, 3), random(DType::F32, WIDTH, 4)];
    let [mut x, mut y, mut d_sum, mut d_x] = [0; 4].map(|_| guarded(dtype, &vec![0.0; len]));
    let mut statistics = guarded(DType::F32, &vec![0.0; 2 * TOKENS]);
    let [mut d_weight, mut d_bias] = [5, 6].map(|seed| random(DType::F32, WIDTH, seed));
    let mut d_table = random(DType::F32, 97 * WIDTH, 7);
    let mut gathered = guarded(DType::F32, &vec![0.0; len]);

    let tables = EmbeddingTables { word: &word, position: &position, token_type: None };
    cpu.embed(tables, &ids, &positions, &vec![], TOKENS, WIDTH, &mut x);
    let norm = Norm { weight: &weight, bias: &bias, epsilon: 1e-5 };
    cpu.add_layer_norm(&mut x, None, Some(dropout), norm, TOKENS, WIDTH, Some(&mut statistics), &mut y);
    cpu.activation_backward(Activation::Gelu, &x, TOKENS, WIDTH, &mut y);
    let d_dropped = Some((dropout, &mut d_x));
    cpu.add_layer_norm_backward(
        &y,
        &x,
        &statistics,
        &weight,
        TOKENS,
        WIDTH,
        &mut d_sum,
        d_dropped,
        &mut d_weight,
        &mut d_bias,
    );
    cpu.embed_backward(&d_sum, &ids, TOKENS, WIDTH, &mut d_table);
    cpu.dropout(&mut d_sum, dropout, TOKENS, WIDTH);
    cpu.gather_rows(&d_sum, &scattered(TOKENS, TOKENS), WIDTH, &mut gathered);
    let norm = cpu.gradient_norm(&[(&gathered, len), (&d_table, 97 * WIDTH)]).unwrap();
    let [mut parameter, mut first, mut second] = [8, 9, 8].map(|seed| random(DType::F32, len, seed));
    second.as_mut_slice::<f32>().iter_mut().for_each(|value| *value = value.abs());
    let slot = AdamwSlot {
        parameter: &mut parameter,
        gradient: &gathered,
        first_moment: &mut first,
        second_moment: &mut second,
        len,
        learning_rate: 1e-3,
        weight_decay: 0.01,
    };
    let step = AdamwStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 3, gradient_scale: 1.0 };
    cpu.adamw(&mut [slot], step);
    let buffers = [x, y, statistics, d_sum, d_x, d_weight, d_bias, d_table, gathered, parameter, first, second];
    let bytes = buffers.iter().map(|buffer| buffer.as_bytes().to_vec());
    bytes.chain([norm.sum_of_squares.to_le_bytes().to_vec()]).collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for dtype in DTYPES {
        let at = |threads| everything(&Cpu::new(CpuOptions { threads, isa: Isa::detect() }).unwrap(), dtype);
        let one = at(1);
        for threads in [2, 3] {
            for (index, (one, many)) in one.iter().zip(at(threads)).enumerate() {
                assert!(*one == many, "buffer {index} of {dtype} differs on {threads} threads");
            }
        }
    }
}
