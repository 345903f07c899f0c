//! How fast memory is read: a buffer of a size that lives in one level, read from end to end.

use super::{available, together};
use crate::Cpu;
use crate::simd::{Kernel, Simd, dispatch};
use serin_tensor::{AlignedBuffer, DType};
use std::hint::black_box;

/// Bytes that a measurement reads at least on each thread: several milliseconds from DRAM, enough for the clock from L1.
const LEAST_BYTES: usize = 32 << 20;
/// Vectors that are in flight at a time.
const IN_FLIGHT: usize = 8;

/// A buffer for each thread.
pub struct Reading {
    buffers: Vec<AlignedBuffer>,
    passes: usize,
}

impl Reading {
    /// Buffers of `bytes` for each of `threads` threads.
    pub fn new(cpu: &Cpu, threads: usize, bytes: usize) -> Reading {
        let elements = (bytes / size_of::<f32>()).max(1);
        let buffers = (0..available(cpu, threads)).map(|_| AlignedBuffer::zeroed(DType::F32, elements)).collect();
        Reading { buffers, passes: LEAST_BYTES.div_ceil(bytes.max(1)) }
    }

    /// Bytes/s that all threads read together.
    pub fn measure(&self, cpu: &Cpu) -> f64 {
        let time = together(cpu, self.buffers.len(), &|thread| {
            let values = self.buffers[thread].as_slice::<f32>();
            black_box(dispatch(cpu.isa, Sum { values, passes: self.passes }));
        });
        let bytes: usize = self.buffers.iter().map(|buffer| size_of_val(buffer.as_slice::<f32>())).sum();
        (self.passes * bytes) as f64 / time.as_secs_f64()
    }
}

/// The sum of all values, several times over: the additions keep the loads.
struct Sum<'a> {
    values: &'a [f32],
    passes: usize,
}

impl Kernel for Sum<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.zero(); IN_FLIGHT];
        for _ in 0..self.passes {
            // Each pass reads anew, whatever the compiler may know of the last.
            for block in black_box(self.values).chunks_exact(IN_FLIGHT * S::LANES) {
                for (index, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: a block is `IN_FLIGHT` vectors.
                    let vector = unsafe { simd.load(block.as_ptr().add(index * S::LANES)) };
                    *sum = simd.add(*sum, vector);
                }
            }
        }
        simd.sum(sums.into_iter().fold(simd.zero(), |total, sum| simd.add(total, sum)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CpuOptions, Isa};

    #[test]
    fn the_whole_buffer_is_read_in_every_pass() {
        let values: Vec<f32> = (0..256).map(|i| i as f32).collect();
        for level in Isa::detect().levels() {
            let sum = dispatch(Isa::detect().up_to(level), Sum { values: &values, passes: 3 });
            assert_eq!(sum, 3.0 * 255.0 * 128.0, "{level}");
        }
    }

    #[test]
    fn a_speed_is_between_a_tape_and_any_cache() {
        let cpu = Cpu::new(CpuOptions { threads: 2, isa: Isa::detect() }).unwrap();
        let speed = Reading::new(&cpu, 2, 16 << 10).measure(&cpu);
        assert!((1e7..1e14).contains(&speed), "{speed}");
    }
}
