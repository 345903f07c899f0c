// How rows lie over a warp in layer norm: lane l has columns 8 (32 c + l) .. + 8 of each chunk c, all in registers.

#pragma once
#include "dropout.cuh"
#include "reductions.cuh"
#include "vectors.cuh"

// Rows of up to 1024 columns; the warps of a block have a row each.
constexpr unsigned CHUNKS = 4;
constexpr unsigned ROW_WARPS = 4;
// Warps that share a row of any width.
constexpr unsigned WIDE_WARPS = 8;

__device__ inline unsigned chunk_column(unsigned chunk) {
    return (chunk * WARP + threadIdx.x % WARP) * VECTOR;
}
