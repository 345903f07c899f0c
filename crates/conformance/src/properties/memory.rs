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
        format!("{} {} elements there and back", self.dtype, self.len)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let Copies { dtype, len } = *self;
        let offset = 3;
        let mut values = numbers(DType::F32, len, 1);
        values.iter_mut().zip(AWKWARD).for_each(|(to, awkward)| *to = awkward);
        let expected: Vec<u8> = values.iter().flat_map(|&value| bytes_of(dtype, value)).collect();
        trial.call(|backend| {
            let buffer = || backend.buffer(dtype, offset + len + 1).map_err(|error| error.to_string());
            let read = |buffer: &B::Buffer| -> Result<Vec<f32>, String> {
                let mut all = vec![f32::NAN; offset + len + 1];
                backend.read(buffer, 0, &mut all).map_err(|error| error.to_string())?;
                Ok(all)
            };
            let mut written = buffer()?;
            if backend.len(&written) != offset + len + 1 || backend.dtype(&written) != dtype {
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
}

impl Property for CopiesOnDevice {
    fn op(&self) -> Op {
        Op::Memory
    }

    fn label(&self) -> String {
        format!("{} {} elements to another buffer", self.dtype, self.len)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let CopiesOnDevice { dtype, len } = *self;
        // Neither from the first element, nor to the place that they come from.
        let (from, to) = (5, 2);
        let bytes = |seed| -> Vec<u8> {
            numbers(dtype, from + len + 1, seed).into_iter().flat_map(|value| bytes_of(dtype, value)).collect()
        };
        let (source, mut expected) = (bytes(1), bytes(2));
        trial.call(|backend| {
            let buffer = |bytes: &[u8]| -> Result<B::Buffer, String> {
                let mut buffer = backend.buffer(dtype, from + len + 1).map_err(|error| error.to_string())?;
                backend.write_bytes(&mut buffer, 0, bytes);
                Ok(buffer)
            };
            let (source_buffer, mut copied) = (buffer(&source)?, buffer(&expected)?);
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
            visitor.property(Copies { dtype, len });
            visitor.property(CopiesOnDevice { dtype, len });
        }
    }
}
