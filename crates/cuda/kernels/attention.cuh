// What all attention kernels share: tiles of packed sequences, the scale of scores, the dropout of probabilities.

#pragma once
#include "dropout.cuh"
#include "storage.cuh"

// Rows of a tile: queries (forward, gradient of queries) or keys (gradient of keys and values).
constexpr unsigned TILE = 64;
constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

// 2^x, off by at most 2^-22 relatively (PTX ISA, ex2.approx); 0 where the result is subnormal.
__device__ inline float exp2_fast(float x) {
#ifdef __CUDACC__
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
#else
    return exp2f(x);
#endif
}

// A tile's sequence: rows first .. first + length; the tile begins at its row `start`.
struct Tile {
    unsigned sequence, first, length, start;
};

// The block's tile of the list `tiles` of (sequence, start); start >= length where there is nothing to do.
__device__ inline Tile block_tile(const unsigned* tiles, const unsigned* offsets) {
    Tile tile;
    tile.sequence = tiles[2 * blockIdx.x];
    tile.start = tiles[2 * blockIdx.x + 1];
    tile.first = offsets[tile.sequence];
    tile.length = offsets[tile.sequence + 1] - tile.first;
    return tile;
}

// The key of a query's mask bits; columns are the positions of keys.
__device__ inline unsigned mask_key(
    const Dropout& dropout, unsigned sequence, unsigned heads, unsigned head, unsigned query
) {
    unsigned long long row = (unsigned long long)sequence * heads + head;
    return dropout_row_key(dropout, row << 32 | query);
}

// Whether the draws of a pair of neighbouring columns keep the even and the odd one.
__device__ inline bool keeps_even(unsigned draws, unsigned threshold) {
    return (draws & 0xffff) >= threshold;
}

__device__ inline bool keeps_odd(unsigned draws, unsigned threshold) {
    return draws >> 16 >= threshold;
}

// What the probability of key `key` of the row is multiplied by.
__device__ inline float mask_of(const Dropout& dropout, unsigned row_key, unsigned key) {
    if (dropout.threshold == 0) {
        return 1.0f;
    }
    unsigned draws = dropout_draws(row_key, key / 2);
    bool keeps = key % 2 ? keeps_odd(draws, dropout.threshold) : keeps_even(draws, dropout.threshold);
    return keeps ? dropout.scale : 0.0f;
}
