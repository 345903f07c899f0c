// How a row lies over a warp in layer norm: lane l has columns 8 (32 c + l) .. + 8 of each chunk c, all in registers.

#pragma once
#include "dropout.cuh"
#include "reductions.cuh"
#include "vectors.cuh"

// Rows of up to 1024 columns; the warps of a block have a row each.
constexpr unsigned CHUNKS = 4;
constexpr unsigned ROW_WARPS = 4;
// Warps that share a row of any width.
constexpr unsigned WIDE_WARPS = 8;

// Calls `body` with each of the lane's chunks that the row has, and its first column. Unrolled, so that an array indexed
// by the chunk stays in registers.
template <typename Body>
__device__ inline void for_chunks(unsigned width, Body body) {
#pragma unroll
    for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
        unsigned column = (chunk * WARP + threadIdx.x % WARP) * VECTOR;
        if (column < width) {
            body(chunk, column);
        }
    }
}

// Calls `body` with each of the thread's columns of a row that a block of WIDE_WARPS shares.
template <typename Body>
__device__ inline void for_columns(unsigned width, Body body) {
    for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
        body(column);
    }
}
