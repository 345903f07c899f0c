// Attention's products in f32 on the ordinary cores: any storage type, heads of up to 256 columns.
//
// A block has four warps and takes 16 rows of its own (a quarter of a tile), four a warp, against 32 others at a time,
// one a lane: dot products need no exchange between lanes, and what is summed over the others is spread over the lanes
// by columns. Rows lie in shared memory in f32; those of the others are one element longer than a multiple of four, so
// that a column of 32 rows touches all banks.

#pragma once
#include "attention.cuh"
#include "reductions.cuh"

constexpr unsigned PLAIN_THREADS = 128;
// Rows of a warp, rows of a block, and others at a time.
constexpr unsigned OWN = 4, BLOCK_OWN = 16, OTHERS = 32;
// Sums of a lane: columns lane + 32 i.
constexpr unsigned SPANS = 8;

// Columns in shared memory.
__device__ inline unsigned padded(unsigned head_dim) {
    return (head_dim + 3) / 4 * 4;
}

// The parts of dynamic shared memory: 384 * padded(head_dim) + 2304 bytes.
struct PlainShared {
    // [BLOCK_OWN, padded]: queries and d_out, or keys and values.
    float *own, *own_second;
    // [OTHERS, padded + 1]: the others of the same.
    float *others, *others_second;
    // The warp's [OWN, OTHERS].
    float* weights;
};

__device__ inline PlainShared plain_shared(float* memory, unsigned head_dim) {
    unsigned own = BLOCK_OWN * padded(head_dim), others = OTHERS * (padded(head_dim) + 1);
    PlainShared shared;
    shared.own = memory;
    shared.own_second = shared.own + own;
    shared.weights = shared.own_second + own + threadIdx.x / WARP * OWN * OTHERS;
    shared.others = shared.own_second + own + BLOCK_OWN * OTHERS;
    shared.others_second = shared.others + others;
    return shared;
}

// Copies `count` rows into rows of padded columns, `pitch` apart; zeros where `valid` rows or the columns end.
__device__ inline void load_rows(
    float* to, unsigned pitch, const storage* from, size_t stride, unsigned valid, unsigned count, unsigned head_dim
) {
    unsigned columns = padded(head_dim);
    for (unsigned index = threadIdx.x; index < count * columns; index += PLAIN_THREADS) {
        unsigned row = index / columns, column = index % columns;
        bool exists = row < valid && column < head_dim;
        to[row * pitch + column] = exists ? to_float(from[row * stride + column]) : 0.0f;
    }
}

struct alignas(16) Four {
    float x, y, z, w;
};

// dots[i] = own row i of this warp times the lane's row of the others.
__device__ inline void dot_rows(float (&dots)[OWN], const float* own, const float* others, unsigned columns) {
    const float* other = others + threadIdx.x % WARP * (columns + 1);
    const float* first = own + threadIdx.x / WARP * OWN * columns;
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        dots[i] = 0.0f;
    }
    for (unsigned column = 0; column < columns; column += 4) {
        float x = other[column], y = other[column + 1], z = other[column + 2], w = other[column + 3];
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            Four a = *reinterpret_cast<const Four*>(first + i * columns + column);
            dots[i] += a.x * x;
            dots[i] += a.y * y;
            dots[i] += a.z * z;
            dots[i] += a.w * w;
        }
    }
}

// sums[i] += the warp's weights [OWN, OTHERS] of own row i times the others.
__device__ inline void add_weighted(
    float (&sums)[OWN][SPANS], const float* weights, const float* others, unsigned head_dim
) {
    unsigned lane = threadIdx.x % WARP, pitch = padded(head_dim) + 1;
    for (unsigned other = 0; other < OTHERS; other++) {
        float weight[OWN];
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            weight[i] = weights[i * OTHERS + other];
        }
#pragma unroll
        for (unsigned span = 0; span < SPANS; span++) {
            unsigned column = lane + 32 * span;
            if (column < head_dim) {
                float value = others[other * pitch + column];
#pragma unroll
                for (unsigned i = 0; i < OWN; i++) {
                    sums[i][span] += weight[i] * value;
                }
            }
        }
    }
}

__device__ inline void clear(float (&sums)[OWN][SPANS]) {
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
#pragma unroll
        for (unsigned span = 0; span < SPANS; span++) {
            sums[i][span] = 0.0f;
        }
    }
}

// Writes own row i of the warp, times `factor`.
__device__ inline void store_row(storage* to, const float (&sums)[SPANS], float factor, unsigned head_dim) {
#pragma unroll
    for (unsigned span = 0; span < SPANS; span++) {
        unsigned column = threadIdx.x % WARP + 32 * span;
        if (column < head_dim) {
            to[column] = from_float<storage>(sums[span] * factor);
        }
    }
}
