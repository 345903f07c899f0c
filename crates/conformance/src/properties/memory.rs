//! Copies between host and device, and on the device.

use super::Property;
use crate::Visitor;
use crate::cases::DTYPES;
use crate::numbers::{numbers, rounded};
use crate::op::Op;
use crate::trial::Trial;
use half::{bf16, f16};
use serin_ops::Backend;
use serin_tensor::DType;

struct Copies {
    dtype: DType,
    len: usize,
    /// Of activations in the order that the device likes best; else plain elements.
    width: Option<usize>,
}

/// Room for `len` elements, in rows of a width or plain.
fn room<B: Backend>(backend: &B, dtype: DType, len: usize, width: Option<usize>) -> Result<B::Buffer, String> {
    let buffer = match width {
        Some(width) => backend.activations(dtype, len.div_ceil(width), width),
        None => backend.buffer(dtype, len),
    };
    buffer.map_err(|error| error.to_string())
}

/// How a width is named.
fn order(width: Option<usize>) -> String {
    width.map_or(String::new(), |width| format!(" in rows of {width}"))
}

/// Values whose rounding is easily got wrong: ties to even both ways, the first that overflow f16, subnormals, no numbers.
const AWKWARD: [f32; 16] = [
    1.0 + 1.0 / 256.0,
    1.0 + 3.0 / 256.0,
    1.0 + 1.0 / 2048.0,
    1.0 + 3.0 / 2048.0,
    -1.003_906_4,
    65_504.0,
    65_519.0,
    65_520.0,
    -1e38,
    f32::MAX,
    f32::INFINITY,
    f32::NEG_INFINITY,
    -0.0,
    5.96e-8,
    -6.1e-5,
    1e-7,
];

/// `value` in `dtype`, little-endian.
fn bytes_of(dtype: DType, value: f32) -> Vec<u8> {
    match dtype {
        DType::F32 => value.to_le_bytes().to_vec(),
        DType::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        DType::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
    }
}

impl Property for Copies {
    fn op(&self) -> Op {
        Op::Memory
    }

    fn label(&self) -> String {
        format!("{} {} elements{} there and back", self.dtype, self.len, order(self.width))
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let Copies { dtype, len, width } = *self;
        let offset = 3;
        let mut values = numbers(DType::F32, len, 1);
        values.iter_mut().zip(AWKWARD).for_each(|(to, awkward)| *to = awkward);
        let expected: Vec<u8> = values.iter().flat_map(|&value| bytes_of(dtype, value)).collect();
        trial.call(|backend| {
            let buffer = || room(backend, dtype, offset + len + 1, width);
            let read = |buffer: &B::Buffer| -> Result<Vec<f32>, String> {
                let mut all = vec![f32::NAN; offset + len + 1];
                backend.read(buffer, 0, &mut all).map_err(|error| error.to_string())?;
                Ok(all)
            };
            let mut written = buffer()?;
            let as_long = backend.len(&written) == offset + len + 1 || width.is_some();
            if !as_long || backend.dtype(&written) != dtype {
                return Err("a buffer of another length or type".to_owned());
            }
            if read(&written)?.iter().any(|&value| value != 0.0) {
                return Err("a new buffer is not zero".to_owned());
            }
            backend.write(&mut written, offset, &values);
            let mut bytes = vec![0; expected.len()];
            backend.read_bytes(&written, offset, &mut bytes).map_err(|error| error.to_string())?;
            if bytes != expected {
                return Err("write and read_bytes: other bits than rounding to nearest even gives".to_owned());
            }
            let mut copied = buffer()?;
            backend.write_bytes(&mut copied, offset, &expected);
            for (what, buffer) in [("write", &written), ("write_bytes", &copied)] {
                let got = read(buffer)?;
                let same = |(&got, &value): (&f32, &f32)| got.to_bits() == rounded(dtype, value).to_bits();
                if !got[offset..].iter().zip(&values).all(same) {
                    return Err(format!("{what} and read: other values"));
                }
                if got[..offset].iter().chain(&got[offset + len..]).any(|&value| value != 0.0) {
                    return Err(format!("{what}: written beside the stated elements"));
                }
            }
            backend.fill_zero(&mut copied, offset + len / 2);
            let got = read(&copied)?;
            if got[..offset + len / 2].iter().any(|value| value.to_bits() != 0) {
                return Err("fill_zero: not zero".to_owned());
            }
            if got[offset + len / 2..] != read(&written)?[offset + len / 2..] {
                return Err("fill_zero: written behind the stated elements".to_owned());
            }
            Ok(())
        })
    }
}

struct CopiesOnDevice {
    dtype: DType,
    len: usize,
    /// Of either buffer, as in [`Copies`].
    widths: [Option<usize>; 2],
}

impl Property for CopiesOnDevice {
    fn op(&self) -> Op {
        Op::Memory
    }

    fn label(&self) -> String {
        let [from, to] = self.widths.map(order);
        format!("{} {} elements{from} to another buffer{to}", self.dtype, self.len)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let CopiesOnDevice { dtype, len, widths } = *self;
        // Neither from the first element, nor to the place that they come from.
        let (from, to) = (5, 2);
        let bytes = |seed| -> Vec<u8> {
            numbers(dtype, from + len + 1, seed).into_iter().flat_map(|value| bytes_of(dtype, value)).collect()
        };
        let (source, mut expected) = (bytes(1), bytes(2));
        trial.call(|backend| {
            let buffer = |bytes: &[u8], width| -> Result<B::Buffer, String> {
                let mut buffer = room(backend, dtype, from + len + 1, width)?;
                backend.write_bytes(&mut buffer, 0, bytes);
                Ok(buffer)
            };
            let (source_buffer, mut copied) = (buffer(&source, widths[0])?, buffer(&expected, widths[1])?);
            backend.copy(&source_buffer, from, &mut copied, to, len);
            let size = dtype.size();
            expected[to * size..][..len * size].copy_from_slice(&source[from * size..][..len * size]);
            for (what, buffer, expected) in [("source", &source_buffer, &source), ("target", &copied, &expected)] {
                let mut found = vec![0; expected.len()];
                backend.read_bytes(buffer, 0, &mut found).map_err(|error| error.to_string())?;
                if found != *expected {
                    return Err(format!("the {what} holds other bytes"));
                }
            }
            Ok(())
        })
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for len in [0, 1, 15, 16, 17, 33, 40_000] {
            for width in [None, Some(32), Some(96)] {
                visitor.property(Copies { dtype, len, width });
            }
            for widths in [[None, None], [Some(64), None], [None, Some(64)], [Some(32), Some(96)]] {
                visitor.property(CopiesOnDevice { dtype, len, widths });
            }
        }
    }
}
