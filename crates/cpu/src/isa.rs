//! Which instruction sets this machine has: an instruction set is a value that only detection can make.

use std::fmt;

/// AVX2, FMA and F16C: 8 lanes of f32. Holding one proves that the CPU and the operating system support it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// AVX-512 F, BW, DQ, VL (and all of [`Avx2`]): 16 lanes of f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

/// AVX-512 with bf16 dot products and conversions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Bf16(());

/// AMX tiles with bf16 products, permitted by the kernel for this process (and all of [`Avx512Bf16`]).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amx(());

impl From<Amx> for Avx512Bf16 {
    fn from(_: Amx) -> Avx512Bf16 {
        Avx512Bf16(())
    }
}

/// NEON: 4 lanes of f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

/// A rung of the ladder of instruction sets, each containing those below it on the same architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IsaLevel {
    /// Plain Rust.
    Portable,
    /// AArch64 NEON.
    Neon,
    /// x86-64 AVX2 + FMA + F16C.
    Avx2,
    /// x86-64 AVX-512 F/BW/DQ/VL.
    Avx512,
    /// x86-64 AVX-512 with bf16.
    Avx512Bf16,
    /// x86-64 AMX bf16.
    Amx,
}

impl IsaLevel {
    /// All levels, lowest first.
    pub const ALL: [IsaLevel; 6] =
        [IsaLevel::Portable, IsaLevel::Neon, IsaLevel::Avx2, IsaLevel::Avx512, IsaLevel::Avx512Bf16, IsaLevel::Amx];

    /// The name that forces it.
    pub const fn name(self) -> &'static str {
        match self {
            IsaLevel::Portable => "portable",
            IsaLevel::Neon => "neon",
            IsaLevel::Avx2 => "avx2",
            IsaLevel::Avx512 => "avx512",
            IsaLevel::Avx512Bf16 => "avx512-bf16",
            IsaLevel::Amx => "amx",
        }
    }
}

impl fmt::Display for IsaLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A level was asked for that this machine, or this program, does not have.
#[derive(Debug, thiserror::Error)]
pub enum IsaError {
    /// No level has this name.
    #[error("unknown instruction set {0:?}; known: portable, neon, avx2, avx512, avx512-bf16, amx")]
    Unknown(String),
    /// The machine lacks it.
    #[error("this machine has no {0}; it has {1}")]
    Missing(IsaLevel, String),
}

/// The instruction sets to use: all that the machine has, up to a level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Isa {
    pub(crate) avx2: Option<Avx2>,
    pub(crate) avx512: Option<Avx512>,
    pub(crate) avx512_bf16: Option<Avx512Bf16>,
    pub(crate) amx: Option<Amx>,
    pub(crate) neon: Option<Neon>,
}

impl Isa {
    /// Everything this machine has.
    pub fn detect() -> Isa {
        let mut isa = Isa::default();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") && has!("f16c") {
                isa.avx2 = Some(Avx2(()));
            }
            if isa.avx2.is_some() && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                isa.avx512 = Some(Avx512(()));
            }
            if isa.avx512.is_some() && has!("avx512bf16") {
                isa.avx512_bf16 = Some(Avx512Bf16(()));
            }
            if isa.avx512_bf16.is_some() && amx::permitted() {
                isa.amx = Some(Amx(()));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            isa.neon = Some(Neon(()));
        }
        isa
    }

    /// What the machine has up to the level called `name`; an error if it lacks that level.
    pub fn forced(name: &str) -> Result<Isa, IsaError> {
        let level = IsaLevel::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name.trim()));
        let level = level.ok_or_else(|| IsaError::Unknown(name.to_string()))?;
        let isa = Isa::detect();
        let available = isa.levels();
        if !available.contains(&level) {
            let names: Vec<_> = available.iter().map(|level| level.name()).collect();
            return Err(IsaError::Missing(level, names.join(", ")));
        }
        Ok(isa.up_to(level))
    }

    /// The same without what is above `level`.
    pub fn up_to(self, level: IsaLevel) -> Isa {
        Isa {
            avx2: self.avx2.filter(|_| level >= IsaLevel::Avx2),
            avx512: self.avx512.filter(|_| level >= IsaLevel::Avx512),
            avx512_bf16: self.avx512_bf16.filter(|_| level >= IsaLevel::Avx512Bf16),
            amx: self.amx.filter(|_| level >= IsaLevel::Amx),
            neon: self.neon.filter(|_| level >= IsaLevel::Neon),
        }
    }

    /// The levels that are there, lowest first.
    pub fn levels(self) -> Vec<IsaLevel> {
        let has = |level: &IsaLevel| match level {
            IsaLevel::Portable => true,
            IsaLevel::Neon => self.neon.is_some(),
            IsaLevel::Avx2 => self.avx2.is_some(),
            IsaLevel::Avx512 => self.avx512.is_some(),
            IsaLevel::Avx512Bf16 => self.avx512_bf16.is_some(),
            IsaLevel::Amx => self.amx.is_some(),
        };
        IsaLevel::ALL.into_iter().filter(has).collect()
    }

    /// The highest level.
    pub fn best(self) -> IsaLevel {
        self.levels().last().copied().unwrap_or(IsaLevel::Portable)
    }
}

#[cfg(target_arch = "x86_64")]
mod amx {
    //! Detection of AMX: CPUID, XCR0, and the kernel's permission to use the large tile state.

    use std::arch::x86_64::{__cpuid_count, _xgetbv};

    /// XTILECFG and XTILEDATA in XCR0.
    const TILE_STATE: u64 = 0b11 << 17;

    /// Whether AMX bf16 is there and usable; asks Linux for the tile state once.
    pub(super) fn permitted() -> bool {
        // CPUID leaf 7: EDX bit 22 AMX-BF16, bit 24 AMX-TILE.
        let edx = __cpuid_count(7, 0).edx;
        if edx & (1 << 22) == 0 || edx & (1 << 24) == 0 {
            return false;
        }
        // SAFETY: AVX-512 was detected by the caller, so XSAVE is enabled and XGETBV exists.
        let enabled = unsafe { read_xcr0() };
        enabled & TILE_STATE == TILE_STATE && request_tile_state()
    }

    #[target_feature(enable = "xsave")]
    fn read_xcr0() -> u64 {
        // SAFETY: XCR0 (register 0) always exists where XSAVE does.
        unsafe { _xgetbv(0) }
    }

    #[cfg(target_os = "linux")]
    fn request_tile_state() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: arch_prctl with these arguments only changes this process's permission; it reads no memory.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn request_tile_state() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forcing_the_portable_level_leaves_nothing_else() {
        assert_eq!(Isa::forced("portable").unwrap().levels(), [IsaLevel::Portable]);
    }

    #[test]
    fn an_unknown_level_is_named_in_the_error() {
        assert!(Isa::forced("sse9").unwrap_err().to_string().contains("sse9"));
    }

    #[test]
    fn a_level_of_another_architecture_is_missing() {
        let foreign = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
        assert!(matches!(Isa::forced(foreign), Err(IsaError::Missing(..))));
    }
}
