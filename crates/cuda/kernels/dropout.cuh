// Masks as a function of where they are: bit for bit what crates/ops/src/dropout.rs defines.

#pragma once
#include "storage.cuh"

// A threshold of 0 stands for no dropout.
struct Dropout {
    unsigned threshold;
    float scale;
    unsigned long long key;
    unsigned long long first_row;
};

// SplitMix64.
__device__ inline unsigned long long mix(unsigned long long value) {
    unsigned long long z = value + 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// The key of a row of the buffer.
__device__ inline unsigned dropout_row_key(const Dropout& dropout, unsigned long long row) {
    return unsigned(mix(dropout.key ^ (dropout.first_row + row) * 0xd1342543de82ef95ull) >> 32);
}

// The two 16-bit draws of columns 2 * pair (low half) and 2 * pair + 1 (high half).
__device__ inline unsigned dropout_draws(unsigned row_key, unsigned pair) {
    unsigned x = row_key ^ pair * 0x9e3779b9u;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

// Drops of eight neighbours from `column`, a multiple of 2, on; scales the rest.
__device__ inline void drop(const Dropout& dropout, unsigned row_key, unsigned column, float (&values)[VECTOR]) {
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i += 2) {
        unsigned draws = dropout_draws(row_key, (column + i) / 2);
        values[i] = (draws & 0xffff) >= dropout.threshold ? values[i] * dropout.scale : 0.0f;
        values[i + 1] = draws >> 16 >= dropout.threshold ? values[i + 1] * dropout.scale : 0.0f;
    }
}

// The same for one element.
__device__ inline float drop_one(const Dropout& dropout, unsigned row_key, unsigned column, float value) {
    unsigned draws = dropout_draws(row_key, column / 2), draw = column % 2 ? draws >> 16 : draws & 0xffff;
    return draw >= dropout.threshold ? value * dropout.scale : 0.0f;
}
