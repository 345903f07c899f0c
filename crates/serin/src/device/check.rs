//! Whether a GPU computes what the CPU computes: asked before one is taken unasked.

use serin_cpu::Cpu;
use serin_ops::{Activation, AttentionShape, Backend, DeviceError, Dropout, DropoutSite, InputGradient, Norm};
use serin_tensor::DType;

/// Two sequences, of lengths that fill no tile.
const OFFSETS: [u32; 3] = [0, 70, 101];
const ROWS: usize = 101;
const SHAPE: AttentionShape = AttentionShape { heads: 2, head_dim: 64 };
const WIDTH: usize = SHAPE.width();
/// Of the largest number of an op's output: bf16 keeps 8 bits, a few roundings lie between two devices, and a real mistake is
/// far larger.
const APART: f32 = 0.05;

/// Runs a layer's ops forward and backward on both and compares what comes out.
///
/// # Errors
/// What failed on the device, or which op's numbers differ.
pub(super) fn agrees<B: Backend>(device: &B, cpu: &Cpu) -> Result<(), DeviceError> {
    match first_difference(&layer(device)?, &layer(cpu)?) {
        Some(op) => {
            Err(DeviceError { device: device.name(), reason: format!("{op} gives other numbers than on the CPU") })
        }
        None => Ok(()),
    }
}

fn first_difference(found: &[Output], expected: &[Output]) -> Option<&'static str> {
    let differs = |((_, found), (_, expected)): &(&Output, &Output)| {
        let bound = APART * largest(expected);
        !found.iter().zip(expected).all(|(one, other)| (one - other).abs() <= bound)
    };
    found.iter().zip(expected).find(differs).map(|(found, _)| found.0)
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// What an op gave.
type Output = (&'static str, Vec<f32>);

/// Numbers around 0 with no pattern that a layout could hide.
fn values(len: usize, seed: usize, scale: f32) -> Vec<f32> {
    let value = |i: usize| (((i + 1) * (2 * seed + 7919) % 10_007) as f32 / 10_007.0 - 0.5) * scale;
    (0..len).map(value).collect()
}

fn buffer<B: Backend>(device: &B, dtype: DType, values: &[f32]) -> Result<B::Buffer, DeviceError> {
    let mut buffer = device.buffer(dtype, values.len())?;
    device.write(&mut buffer, 0, values);
    Ok(buffer)
}

fn read<B: Backend>(device: &B, buffer: &B::Buffer) -> Result<Vec<f32>, DeviceError> {
    let mut values = vec![0.0; device.len(buffer)];
    device.read(buffer, 0, &mut values)?;
    Ok(values)
}

/// Projection, attention with dropout, residual and norm, and the way back, in bf16.
fn layer<B: Backend>(device: &B) -> Result<Vec<Output>, DeviceError> {
    let wide = DType::BF16;
    let zeros = |dtype, len| device.buffer(dtype, len);
    let x = buffer(device, wide, &values(ROWS * WIDTH, 1, 2.0))?;
    let weight = device.weight(&values(3 * WIDTH * WIDTH, 2, 0.3), 3 * WIDTH, WIDTH, wide, true)?;
    let bias = buffer(device, DType::F32, &values(3 * WIDTH, 3, 1.0))?;
    let mut sequences = device.sequences(OFFSETS.len() - 1)?;
    device.write_sequences(&mut sequences, &OFFSETS);
    let dropout = Dropout::new(0.1, 1, 2, 3, DropoutSite::AttentionProbabilities);

    let (mut qkv, mut pre_activation) = (zeros(wide, ROWS * 3 * WIDTH)?, zeros(wide, ROWS * 3 * WIDTH)?);
    device.linear(&x, &weight, Some(&bias), Activation::Gelu, ROWS, Some(&mut pre_activation), &mut qkv);
    let (mut attended, mut log_sum_exp) = (zeros(wide, ROWS * WIDTH)?, zeros(DType::F32, SHAPE.heads * ROWS)?);
    device.attention(&qkv, &sequences, SHAPE, dropout, Some(&mut log_sum_exp), &mut attended);
    let mut sum = buffer(device, wide, &read(device, &attended)?)?;
    let gamma = buffer(device, DType::F32, &values(WIDTH, 4, 2.0))?;
    let (mut statistics, mut y) = (zeros(DType::F32, 2 * ROWS)?, zeros(wide, ROWS * WIDTH)?);
    let norm = || Norm { weight: &gamma, bias: &gamma, epsilon: 1e-5 };
    device.add_layer_norm(&mut sum, Some(&x), None, norm(), ROWS, WIDTH, Some(&mut statistics), &mut y);

    let mut d_sum = zeros(wide, ROWS * WIDTH)?;
    let (mut d_gamma, mut d_beta) = (zeros(DType::F32, WIDTH)?, zeros(DType::F32, WIDTH)?);
    device.add_layer_norm_backward(
        &x,
        &sum,
        &statistics,
        &gamma,
        ROWS,
        WIDTH,
        &mut d_sum,
        None,
        &mut d_gamma,
        &mut d_beta,
    );
    let mut d_qkv = zeros(wide, ROWS * 3 * WIDTH)?;
    device.attention_backward(&x, &qkv, &attended, &log_sum_exp, &sequences, SHAPE, dropout, &mut d_qkv);
    let mut d_x = zeros(wide, ROWS * WIDTH)?;
    device.linear_backward_input(&d_qkv, &weight, ROWS, InputGradient::Store, &mut d_x);
    let (mut d_weight, mut d_bias) = (zeros(DType::F32, 3 * WIDTH * WIDTH)?, zeros(DType::F32, 3 * WIDTH)?);
    device.linear_backward_weight(&d_qkv, &x, ROWS, 3 * WIDTH, WIDTH, &mut d_weight, &mut d_bias);

    [
        ("linear", &qkv),
        ("attention", &attended),
        ("add_layer_norm", &y),
        ("add_layer_norm_backward", &d_sum),
        ("attention_backward", &d_qkv),
        ("linear_backward_input", &d_x),
        ("linear_backward_weight", &d_weight),
    ]
    .into_iter()
    .map(|(op, buffer)| Ok((op, read(device, buffer)?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_cpu::CpuOptions;
    use serin_ops::reference::Reference;

    #[test]
    fn the_reference_agrees_with_the_cpu() {
        let cpu = Cpu::new(CpuOptions::default()).unwrap();
        agrees(&Reference::<f32>::new(), &cpu).unwrap();
    }

    #[test]
    fn one_wrong_number_in_any_op_is_found() {
        let right = layer(&Cpu::new(CpuOptions::default()).unwrap()).unwrap();
        for op in 0..right.len() {
            for by in [f32::NAN, f32::INFINITY, 0.1 * largest(&right[op].1)] {
                let mut found = right.clone();
                *found[op].1.last_mut().unwrap() += by;
                assert_eq!(first_difference(&found, &right), Some(right[op].0));
            }
        }
        assert_eq!(first_difference(&right, &right), None);
    }
}
