//! bf16 blocks on AMX: four C tiles, two left and two right tiles, `tdpbf16ps`.

use super::kernel::{BLOCK, Beside, BlockKernel};
use super::tiles::{Layout, Pairs};
use crate::isa::Amx;
use crate::simd::Simd;
use half::bf16;
use std::arch::asm;
use std::marker::PhantomData;

/// The operand of `ldtilecfg`: palette 1, all eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct TileConfiguration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static FULL_TILES: TileConfiguration = TileConfiguration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Tiles configured on this thread; released when dropped, so that a context switch need not save them.
pub(crate) struct TileSession(PhantomData<*const ()>);

impl Drop for TileSession {
    fn drop(&mut self) {
        // SAFETY: a session only exists where AMX does.
        unsafe {
            asm!("tilerelease", out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
                out("tmm5") _, out("tmm6") _, out("tmm7") _, options(nostack, nomem, preserves_flags));
        }
    }
}

impl BlockKernel for Amx {
    type Left = Pairs;
    type Right = Pairs;
    type Session = TileSession;

    #[cfg(test)]
    fn level(self, _isa: crate::isa::Isa) -> crate::isa::IsaLevel {
        crate::isa::IsaLevel::Amx
    }

    fn begin(self) -> TileSession {
        // SAFETY: `Amx` proves that the CPU has AMX and that the kernel permits it; the operand is 64 bytes.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const FULL_TILES, out("tmm0") _, out("tmm1") _, out("tmm2") _,
                out("tmm3") _, out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags));
        }
        TileSession(PhantomData)
    }

    #[inline(always)]
    unsafe fn block_beside<S: Simd>(
        self,
        _simd: S,
        left: *const bf16,
        right: *const bf16,
        chunks: usize,
        c: &mut [f32; BLOCK],
        accumulate: bool,
        beside: &mut impl Beside,
    ) {
        // SAFETY: tiles are configured as 16 rows of 64 bytes, so a step reads 2 KiB, a chunk, of each panel, which the caller
        // says are there, and the rest is the 4 KiB of `c`. Tiles keep what they hold from one `asm!` to the next: nothing
        // but this file uses them, and the system saves and restores them.
        unsafe {
            if accumulate {
                asm!(
                    "tileloadd tmm0, [{c} + {stride}*1]",
                    "tileloadd tmm1, [{c} + {stride}*1 + 64]",
                    "tileloadd tmm2, [{c} + {stride}*1 + 2048]",
                    "tileloadd tmm3, [{c} + {stride}*1 + 2112]",
                    c = in(reg) c.as_ptr(),
                    stride = in(reg) 128usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    options(nostack, readonly, preserves_flags),
                );
            } else {
                asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, options(nostack, nomem, preserves_flags));
            }
            if chunks > 0 {
                asm!(
                    "tileloaddt1 tmm4, [{left} + {stride}*1]",
                    "tileloaddt1 tmm6, [{right} + {stride}*1]",
                    "tileloaddt1 tmm5, [{left} + {stride}*1 + 1024]",
                    "tileloaddt1 tmm7, [{right} + {stride}*1 + 1024]",
                    left = in(reg) left,
                    right = in(reg) right,
                    stride = in(reg) 64usize,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, readonly, preserves_flags),
                );
            }
            for chunk in 1..chunks {
                // An operand is loaded for the next chunk as soon as it is used for the last time in this one. The `t1` loads
                // stream: with them, panels that together exceed the L1 cache do not evict each other.
                asm!(
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloaddt1 tmm4, [{left} + {stride}*1]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tileloaddt1 tmm6, [{right} + {stride}*1]",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "tileloaddt1 tmm5, [{left} + {stride}*1 + 1024]",
                    "tileloaddt1 tmm7, [{right} + {stride}*1 + 1024]",
                    left = in(reg) left.add(chunk * Pairs::CHUNK),
                    right = in(reg) right.add(chunk * Pairs::CHUNK),
                    stride = in(reg) 64usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, readonly, preserves_flags),
                );
                beside.fetch(1);
                beside.advance();
            }
            if chunks > 0 {
                asm!(
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    options(nostack, nomem, preserves_flags),
                );
                beside.fetch(1);
                beside.advance();
            }
            asm!(
                "tilestored [{c} + {stride}*1], tmm0",
                "tilestored [{c} + {stride}*1 + 64], tmm1",
                "tilestored [{c} + {stride}*1 + 2048], tmm2",
                "tilestored [{c} + {stride}*1 + 2112], tmm3",
                c = in(reg) c.as_mut_ptr(),
                stride = in(reg) 128usize,
                options(nostack, preserves_flags),
            );
        }
    }
}
