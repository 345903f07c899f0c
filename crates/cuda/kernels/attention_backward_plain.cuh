// The passes of attention's backward in f32 on the ordinary cores; a block takes one of a tile's quarters, blockIdx.z.

#pragma once
#include "attention_backward.cuh"
#include "attention_plain.cuh"

__device__ inline void gradient_of_queries_plain(float* memory, const Problem& problem, unsigned head_dim) {
    PlainShared shared = plain_shared(memory, head_dim);
    unsigned columns = padded(head_dim), pitch = columns + 1, lane = threadIdx.x % WARP;
    const Tile& tile = problem.tile;
    unsigned start = tile.start + blockIdx.z * BLOCK_OWN, left = tile.length - start;
    if (start >= tile.length) {
        return;
    }
    size_t width = problem.width, stride = 3 * width;
    float exponent = problem.scale * LOG2_E;
    load_rows(shared.own, columns, problem.qkv + start * stride, stride, left, BLOCK_OWN, head_dim);
    load_rows(shared.own_second, columns, problem.d_out + start * width, width, left, BLOCK_OWN, head_dim);

    unsigned first_query = start + threadIdx.x / WARP * OWN, row_keys[OWN];
    float shift[OWN], delta[OWN], sums[OWN][SPANS];
    clear(sums);
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        shift[i] = query_shift(problem, first_query + i);
        delta[i] = query_delta(problem, first_query + i);
        row_keys[i] = query_mask_key(problem, first_query + i);
    }
    for (unsigned first = 0; first < tile.length; first += OTHERS) {
        const storage* from = problem.qkv + width + first * stride;
        __syncthreads();
        load_rows(shared.others, pitch, from, stride, tile.length - first, OTHERS, head_dim);
        load_rows(shared.others_second, pitch, from + width, stride, tile.length - first, OTHERS, head_dim);
        __syncthreads();
        float scores[OWN], d_probabilities[OWN];
        dot_rows(scores, shared.own, shared.others, columns);
        dot_rows(d_probabilities, shared.own_second, shared.others_second, columns);
        unsigned key = first + lane;
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            float probability = key < tile.length ? exp2f(scores[i] * exponent - shift[i]) : 0.0f;
            float mask = mask_of(problem.dropout, row_keys[i], key);
            shared.weights[i * OTHERS + lane] = probability * (mask * d_probabilities[i] - delta[i]);
        }
        __syncwarp();
        add_weighted(sums, shared.weights, shared.others, head_dim);
    }
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        if (first_query + i < tile.length) {
            store_row(problem.d_qkv + (first_query + i) * stride, sums[i], problem.scale, head_dim);
        }
    }
}

__device__ inline void gradient_of_keys_plain(float* memory, const Problem& problem, unsigned head_dim) {
    PlainShared shared = plain_shared(memory, head_dim);
    unsigned columns = padded(head_dim), pitch = columns + 1, lane = threadIdx.x % WARP;
    const Tile& tile = problem.tile;
    unsigned start = tile.start + blockIdx.z * BLOCK_OWN, left = tile.length - start;
    if (start >= tile.length) {
        return;
    }
    size_t width = problem.width, stride = 3 * width;
    float exponent = problem.scale * LOG2_E;
    const storage* own = problem.qkv + width + start * stride;
    load_rows(shared.own, columns, own, stride, left, BLOCK_OWN, head_dim);
    load_rows(shared.own_second, columns, own + width, stride, left, BLOCK_OWN, head_dim);

    unsigned first_key = start + threadIdx.x / WARP * OWN;
    float d_keys[OWN][SPANS], d_values[OWN][SPANS];
    clear(d_keys);
    clear(d_values);
    for (unsigned first = 0; first < tile.length; first += OTHERS) {
        __syncthreads();
        unsigned ahead = tile.length - first;
        load_rows(shared.others, pitch, problem.qkv + first * stride, stride, ahead, OTHERS, head_dim);
        load_rows(shared.others_second, pitch, problem.d_out + first * width, width, ahead, OTHERS, head_dim);
        __syncthreads();
        unsigned query = first + lane, row_key = query_mask_key(problem, query);
        float shift = query_shift(problem, query), delta = query_delta(problem, query);
        float scores[OWN], d_scores[OWN];
        dot_rows(scores, shared.own, shared.others, columns);
        dot_rows(d_scores, shared.own_second, shared.others_second, columns);
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            float probability = exp2f(scores[i] * exponent - shift);
            float mask = mask_of(problem.dropout, row_key, first_key + i);
            d_scores[i] = probability * (mask * d_scores[i] - delta);
            shared.weights[i * OTHERS + lane] = mask * probability;
        }
        __syncwarp();
        add_weighted(d_values, shared.weights, shared.others_second, head_dim);
        __syncwarp();
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            shared.weights[i * OTHERS + lane] = d_scores[i];
        }
        __syncwarp();
        add_weighted(d_keys, shared.weights, shared.others, head_dim);
    }
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        if (first_key + i < tile.length) {
            storage* to = problem.d_qkv + width + (first_key + i) * stride;
            store_row(to, d_keys[i], problem.scale, head_dim);
            store_row(to + width, d_values[i], 1.0f, head_dim);
        }
    }
}
