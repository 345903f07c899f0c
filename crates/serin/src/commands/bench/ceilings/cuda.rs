//! The ceilings of a GPU: products by the library that multiplies, the levels of its memory, the way from the host, and what
//! handing over a kernel costs.

use super::{Ceiling, Ceilings, Level, Limits, Unit, measure, median};
use serin_cuda::Cuda;
use serin_cuda::ceiling::{Reading, pinned_copy};
use serin_ops::{Activation, Backend, DeviceError};
use serin_tensor::DType;
use std::time::{Duration, Instant};

/// The largest square that is multiplied, and the first that is tried.
const SQUARES: [usize; 2] = [8192, 64];
/// Products that are enqueued together, so that none waits for the host.
const TOGETHER: usize = 4;
/// Bytes that are read from memory and copied to the card at most.
const LARGEST: usize = 1 << 30;
/// How many times a buffer is read that lies in the shared cache.
const PASSES: u32 = 20;
/// Memory is read on this many times the bytes of the shared cache at least.
const BEYOND_CACHE: usize = 4;
/// Launches that are enqueued together.
const LAUNCHES: usize = 200;
/// Measurements that share the time.
const MEASUREMENTS: u32 = 11;

impl Limits for Cuda {
    const ENQUEUES: bool = true;
    const STEPS: usize = 32;

    fn caches(&self) -> Vec<usize> {
        vec![self.shared_cache()]
    }

    fn ceilings(&self, dtype: DType, budget: Duration) -> anyhow::Result<Ceilings> {
        let each = budget / MEASUREMENTS;
        let mut all = Vec::new();
        for dtype in [DType::BF16, DType::F16, DType::F32] {
            let mut square = Square::affordable(self, dtype, each)?;
            let run = || Ok(square.speed(self)?);
            all.push(measure(products(dtype), None, Unit::FlopsPerSecond, each, run)?);
        }
        let cache = self.shared_cache();
        let mut inside = Reading::new(self, cache / 2, false)?;
        all.push(measure(CACHE, None, Unit::BytesPerSecond, each, || Ok(inside.read(self, PASSES)?))?);
        let mut beyond = beyond(self, cache, each)?;
        all.push(measure(MEMORY, None, Unit::BytesPerSecond, each, || Ok(beyond.read(self, 1)?))?);
        let copy = || Ok(beyond.copy(self)?.unwrap_or_default());
        all.push(measure("memory copy, both ways counted", None, Unit::BytesPerSecond, each, copy)?);
        drop(beyond);
        transfers(self, each, &mut all)?;
        launches(self, each, &mut all)?;
        let product = median(&all, products(dtype));
        let level = |name, bytes, ceiling| Level { name, bytes, speed: median(&all, ceiling) };
        let levels = vec![level("L2", cache, CACHE), level("memory", usize::MAX, MEMORY)];
        Ok(Ceilings { product: ("products", product), levels, peak: Some(product), all })
    }
}

const CACHE: &str = "L2 read";
const MEMORY: &str = "memory read";

fn products(dtype: DType) -> &'static str {
    match dtype {
        DType::BF16 => "bf16 products",
        DType::F16 => "fp16 products",
        DType::F32 => "fp32 products",
    }
}

/// Copies between the host and the card.
fn transfers(cuda: &Cuda, each: Duration, all: &mut Vec<Ceiling>) -> anyhow::Result<()> {
    let mut bytes = vec![0u8; transferred(cuda, each)?];
    let size = bytes.len();
    let speed = |started: Instant| size as f64 / started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    if pinned_copy(cuda, size)?.is_some() {
        let run = || Ok(pinned_copy(cuda, size)?.unwrap_or_default());
        all.push(measure("host to GPU, pinned", None, Unit::BytesPerSecond, each, run)?);
    }
    let mut buffer = cuda.buffer(DType::F32, size / DType::F32.size())?;
    let write = || {
        cuda.synchronize()?;
        let started = Instant::now();
        cuda.write_bytes(&mut buffer, 0, &bytes);
        cuda.synchronize()?;
        Ok(speed(started))
    };
    all.push(measure("host to GPU, as ops copy", None, Unit::BytesPerSecond, each, write)?);
    let read = || {
        let started = Instant::now();
        cuda.read_bytes(&buffer, 0, &mut bytes)?;
        Ok(speed(started))
    };
    all.push(measure("GPU to host, as ops copy", None, Unit::BytesPerSecond, each, read)?);
    Ok(())
}

/// What it takes to hand over a kernel that does next to nothing, by the way that ops take.
fn launches(cuda: &Cuda, each: Duration, all: &mut Vec<Ceiling>) -> anyhow::Result<()> {
    let (x, mut out) = (cuda.buffer(DType::F32, 8)?, cuda.buffer(DType::F32, 8)?);
    let mut row = cuda.indices(1)?;
    cuda.write_indices(&mut row, &[0]);
    let mut seconds = |launches: usize| -> anyhow::Result<f64> {
        cuda.synchronize()?;
        let started = Instant::now();
        (0..launches).for_each(|_| cuda.gather_rows(&x, &row, 8, &mut out));
        cuda.synchronize()?;
        Ok(started.elapsed().as_secs_f64() / launches as f64)
    };
    all.push(measure("a launch among others", None, Unit::Seconds, each, || seconds(LAUNCHES))?);
    all.push(measure("a launch waited for", None, Unit::Seconds, each, || seconds(1))?);
    Ok(())
}

/// Two square matrices and room for their product.
struct Square {
    side: usize,
    x: <Cuda as Backend>::Buffer,
    weight: <Cuda as Backend>::Weight,
    y: <Cuda as Backend>::Buffer,
}

impl Square {
    /// The largest that can be multiplied several times in `each`.
    fn affordable(cuda: &Cuda, dtype: DType, each: Duration) -> Result<Square, DeviceError> {
        let [most, first] = SQUARES;
        let mut square = Square::new(cuda, dtype, first)?;
        loop {
            square.speed(cuda)?;
            let started = Instant::now();
            square.speed(cuda)?;
            // Eight times the work, four times over.
            if square.side >= most || started.elapsed() * 32 > each {
                return Ok(square);
            }
            square = Square::new(cuda, dtype, 2 * square.side)?;
        }
    }

    fn new(cuda: &Cuda, dtype: DType, side: usize) -> Result<Square, DeviceError> {
        // Not zeros: a card draws less power for those, and multiplies faster.
        let value = |i: usize| ((i as u32).wrapping_mul(0x9e37_79b9) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        let values: Vec<f32> = (0..side * side).map(value).collect();
        let mut x = cuda.buffer(dtype, side * side)?;
        cuda.write(&mut x, 0, &values);
        let weight = cuda.weight(&values, side, side, dtype, false)?;
        Ok(Square { side, x, weight, y: cuda.buffer(dtype, side * side)? })
    }

    /// FLOP/s.
    fn speed(&mut self, cuda: &Cuda) -> Result<f64, DeviceError> {
        let Square { side, x, weight, y } = self;
        cuda.synchronize()?;
        let started = Instant::now();
        (0..TOGETHER).for_each(|_| cuda.linear(x, weight, None, Activation::Identity, *side, None, y));
        cuda.synchronize()?;
        let flops = TOGETHER as f64 * 2.0 * (*side as f64).powi(3);
        Ok(flops / started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE))
    }
}

/// Memory that does not fit into the shared cache: as much as can be read several times in `each`.
fn beyond(cuda: &Cuda, cache: usize, each: Duration) -> Result<Reading, DeviceError> {
    let mut bytes = (BEYOND_CACHE * cache).min(LARGEST);
    loop {
        let mut reading = Reading::new(cuda, bytes, true)?;
        reading.read(cuda, 1)?;
        let started = Instant::now();
        reading.read(cuda, 1)?;
        if bytes >= LARGEST || started.elapsed() * 32 > each {
            return Ok(reading);
        }
        bytes = (8 * bytes).min(LARGEST);
    }
}

/// Bytes that can be copied to the card several times in `each`.
fn transferred(cuda: &Cuda, each: Duration) -> Result<usize, DeviceError> {
    let mut bytes = 1 << 20;
    loop {
        let (host, mut buffer) = (vec![0u8; bytes], cuda.buffer(DType::F32, bytes / DType::F32.size())?);
        let started = Instant::now();
        cuda.write_bytes(&mut buffer, 0, &host);
        cuda.synchronize()?;
        if 8 * bytes > LARGEST || started.elapsed() * 32 > each {
            return Ok(bytes);
        }
        bytes *= 8;
    }
}
