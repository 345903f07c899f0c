//! bf16 tile products, with operands in registers or in the L1 cache, and what vectors do beside them.

use super::TileSource;
use crate::isa::Amx;
use std::arch::asm;

/// A tile: 16 rows of 64 bytes.
const TILE: usize = 1024;
/// Steps of a panel: two left and two right tiles each, 24 KiB in all.
const STEPS: usize = 6;
/// Passes over the panel.
const PASSES: usize = 2000;
/// What [`multiply`] computes: four products of 16×32 by 32×16 a step.
pub(super) const FLOPS: f64 = (PASSES * STEPS * 4 * 2 * 16 * 16 * 32) as f64;

/// What vectors compute in [`multiply_add_beside`]: 16 multiply-adds each, as many of them as there are cycles of products.
pub(super) const FLOPS_BESIDE: f64 = (PASSES * STEPS * 64 * 2 * 16) as f64;

/// The operand of `ldtilecfg`: palette 1, all tiles of 16 rows of 64 bytes.
#[repr(align(64))]
struct Configuration([u8; 64]);

#[repr(align(64))]
struct Panel([u16; 4 * STEPS * TILE / 2]);

pub(super) fn multiply(amx: Amx, source: TileSource) {
    with_tiles(amx, |panel| match source {
        TileSource::Registers => from_registers(panel),
        TileSource::FirstLevelCache => from_first_level_cache(panel),
    });
}

/// Multiply-adds of 512 bits with tile products beside them all the time.
pub(super) fn multiply_add_beside(amx: Amx) {
    with_tiles(amx, beside_products);
}

/// Calls `body` with tiles configured.
fn with_tiles(_amx: Amx, body: impl FnOnce(&Panel)) {
    let mut configuration = Configuration([0; 64]);
    configuration.0[0] = 1;
    for tile in 0..8 {
        configuration.0[16 + 2 * tile] = 64;
        configuration.0[48 + tile] = 16;
    }
    // Not zeros, with which the clock would run faster than with a model's numbers: ±0.5 to ±1, so that sums stay finite.
    let bits = |index: usize| 0x3f00 | ((index as u32).wrapping_mul(2_654_435_761) >> 16 & 0x807f) as u16;
    let panel = Panel(std::array::from_fn(bits));
    // SAFETY: `Amx` proves that tiles are there and permitted; the operand is 64 bytes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly, preserves_flags)) };
    body(&panel);
    // SAFETY: as above; nothing is left in the tiles that anyone needs.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
}

/// Multiplies tiles that stay loaded, `PASSES * STEPS` times four products and instructions beside them; zmm0 to zmm7 and
/// zmm16 begin as zeros.
macro_rules! multiply_registers {
    ($panel:expr $(, $line:literal)* $(,)?) => {
        // SAFETY: tiles are configured, and the first four of the panel are read; a CPU with AMX has AVX-512.
        unsafe {
            asm!(
                "tileloadd tmm4, [{panel} + {stride}*1]",
                "tileloadd tmm5, [{panel} + {stride}*1 + 1024]",
                "tileloadd tmm6, [{panel} + {stride}*1 + 2048]",
                "tileloadd tmm7, [{panel} + {stride}*1 + 3072]",
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                ".irp number,0,1,2,3,4,5,6,7,16",
                "vpxord zmm\\number, zmm\\number, zmm\\number",
                ".endr",
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                $($line,)*
                "dec {steps}",
                "jnz 2b",
                panel = in(reg) $panel.0.as_ptr(),
                stride = in(reg) 64usize,
                steps = inout(reg) PASSES * STEPS => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _,
                out("zmm5") _, out("zmm6") _, out("zmm7") _, out("zmm16") _,
                options(nostack, readonly),
            );
        }
    };
}

fn from_registers(panel: &Panel) {
    multiply_registers!(panel);
}

fn beside_products(panel: &Panel) {
    multiply_registers!(
        panel,
        ".rept 8",
        ".irp number,0,1,2,3,4,5,6,7",
        "vfmadd231ps zmm\\number, zmm16, zmm16",
        ".endr",
        ".endr",
    );
}

fn from_first_level_cache(panel: &Panel) {
    // SAFETY: tiles are configured, and `STEPS` times four tiles of the panel are read in every pass.
    unsafe {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            "mov {at}, {panel}",
            "mov {steps}, {panel_steps}",
            "3:",
            "tileloadd tmm4, [{at} + {stride}*1]",
            "tileloadd tmm6, [{at} + {stride}*1 + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{at} + {stride}*1 + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{at} + {stride}*1 + 3072]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {at}, 4096",
            "dec {steps}",
            "jnz 3b",
            "dec {passes}",
            "jnz 2b",
            panel = in(reg) panel.0.as_ptr(),
            at = out(reg) _,
            steps = out(reg) _,
            stride = in(reg) 64usize,
            panel_steps = const STEPS,
            passes = inout(reg) PASSES => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly),
        );
    }
}
