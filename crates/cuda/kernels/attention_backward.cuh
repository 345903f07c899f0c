// What both passes of attention's backward read and write.

#pragma once
#include "attention.cuh"

// The block's head of its sequence: pointers are at the sequence's first row.
struct Problem {
    Tile tile;
    unsigned heads;
    size_t width;
    float scale;
    Dropout dropout;
    const storage *d_out, *qkv;
    const float *log_sum_exp, *delta;
    storage* d_qkv;
};

__device__ inline Problem block_problem(
    const storage* d_out, const storage* qkv, const float* log_sum_exp, const float* delta, const unsigned* offsets,
    const unsigned* tiles, unsigned rows, unsigned heads, unsigned head_dim, float scale, Dropout dropout,
    storage* d_qkv
) {
    Problem problem = {block_tile(tiles, offsets), heads, size_t(heads) * head_dim, scale, dropout};
    size_t first = problem.tile.first, head = blockIdx.y;
    problem.d_out = d_out + first * problem.width + head * head_dim;
    problem.qkv = qkv + first * 3 * problem.width + head * head_dim;
    problem.d_qkv = d_qkv + first * 3 * problem.width + head * head_dim;
    problem.log_sum_exp = log_sum_exp + head * rows + first;
    problem.delta = delta + head * rows + first;
    return problem;
}

// Of a query behind the sequence's last all probabilities are 0.
__device__ inline float query_shift(const Problem& problem, unsigned query) {
    return query < problem.tile.length ? problem.log_sum_exp[query] * LOG2_E : infinity();
}

__device__ inline float query_delta(const Problem& problem, unsigned query) {
    return query < problem.tile.length ? problem.delta[query] : 0.0f;
}

__device__ inline unsigned query_mask_key(const Problem& problem, unsigned query) {
    return mask_key(problem.dropout, problem.tile.sequence, problem.heads, blockIdx.y, query);
}
