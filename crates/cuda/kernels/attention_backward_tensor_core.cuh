// The passes of attention's backward on tensor cores; attention_backward.cu says how they share the work.

#pragma once
#include "attention_backward.cuh"
#include "attention_tensor_core.cuh"

// Columns of scores at a time: no more stay in registers beside the sums.
constexpr unsigned STRIP = 16;

// Blocks of a multiprocessor that registers shall suffice for.
template <unsigned D>
constexpr unsigned RESIDENT = D == 64 ? 3 : 4;

template <unsigned D, bool DROPOUT>
__device__ inline void gradient_of_queries(KeysAndValues<D>& shared, const Problem& problem) {
    const Tile& tile = problem.tile;
    storage *keys = shared.keys, *values = shared.values;
    size_t width = problem.width, stride = 3 * width;
    unsigned lane = threadIdx.x % WARP, band = threadIdx.x / WARP * BAND;
    unsigned tiles = (tile.length + TILE - 1) / TILE;
    auto load = [&](unsigned index) { shared.start(index, problem.qkv + width, width, stride, tile.length); };

    // The block's own rows wait where the second tile will come.
    load_tile<D>(keys + TILE_SIZE<D>, problem.qkv + tile.start * stride, stride, tile.length - tile.start);
    load_tile<D>(values + TILE_SIZE<D>, problem.d_out + tile.start * width, width, tile.length - tile.start);
    load(0);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    unsigned queries[D / 16][4], d_out[D / 16][4];
    load_left<D>(queries, keys + TILE_SIZE<D>, band);
    load_left<D>(d_out, values + TILE_SIZE<D>, band);
    __syncthreads();

    unsigned first_query = tile.start + band + lane / 4, row_keys[2] = {};
    float shift[2], delta[2];
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        unsigned query = first_query + 8 * half;
        shift[half] = query_shift(problem, query);
        delta[half] = query_delta(problem, query);
        if (DROPOUT) {
            row_keys[half] = query_mask_key(problem, query);
        }
    }
    float exponent = problem.scale * LOG2_E;
    unsigned threshold = problem.dropout.threshold;
    float sum[D / 8][4];
    clear(sum);
    for (unsigned index = 0; index < tiles; index++) {
        if (index + 1 < tiles) {
            load(index + 1);
        }
        cp_async_commit();
        cp_async_wait<1>();
        __syncthreads();
        unsigned stage = index % 2 * TILE_SIZE<D>, keys_left = tile.length - index * TILE;
#pragma unroll
        for (unsigned strip = 0; strip < TILE; strip += STRIP) {
            float scores[STRIP / 8][4], d_probabilities[STRIP / 8][4];
            multiply_transposed<D, STRIP>(scores, queries, keys + stage, strip);
            multiply_transposed<D, STRIP>(d_probabilities, d_out, values + stage, strip);
            if (keys_left < TILE) {
                hide_absent<STRIP>(scores, keys_left > strip ? keys_left - strip : 0);
            }
#pragma unroll
            for (unsigned n = 0; n < STRIP / 8; n++) {
                unsigned key = index * TILE + strip + 8 * n + lane % 4 * 2;
#pragma unroll
                for (unsigned half = 0; half < 2; half++) {
                    float *score = &scores[n][2 * half], *d_probability = &d_probabilities[n][2 * half];
                    if (DROPOUT) {
                        unsigned draws = dropout_draws(row_keys[half], key / 2);
                        d_probability[0] *= keeps_even(draws, threshold) ? problem.dropout.scale : 0.0f;
                        d_probability[1] *= keeps_odd(draws, threshold) ? problem.dropout.scale : 0.0f;
                    }
#pragma unroll
                    for (unsigned i = 0; i < 2; i++) {
                        float probability = exp2_fast(score[i] * exponent - shift[half]);
                        score[i] = probability * (d_probability[i] - delta[half]);
                    }
                }
            }
            unsigned d_scores[STRIP / 16][4];
            round_left<STRIP>(d_scores, scores);
            multiply_add<D, STRIP>(sum, d_scores, keys + stage, strip);
        }
        __syncthreads();
    }

    unsigned first = tile.start + band;
    if (first < tile.length) {
        float factor[2] = {problem.scale, problem.scale};
        storage* to = problem.d_qkv + first * stride;
        store_rows<D, false>(to, stride, tile.length - first, sum, factor, keys + band * D);
    }
}

// What a tile of queries brings beside its rows: log-sum-exp times log2(e), delta and mask key.
struct QueryStatistics {
    float shift[TILE], delta[TILE];
    unsigned row_key[TILE];
};

template <unsigned D>
struct alignas(128) KeysShared {
    storage queries[2 * TILE_SIZE<D>], d_out[2 * TILE_SIZE<D>];
    QueryStatistics statistics[2];
};

template <unsigned D, bool DROPOUT>
__device__ inline void gradient_of_keys(KeysShared<D>& shared, const Problem& problem) {
    const Tile& tile = problem.tile;
    storage *queries = shared.queries, *d_out = shared.d_out;
    QueryStatistics* statistics = shared.statistics;
    size_t width = problem.width, stride = 3 * width;
    unsigned lane = threadIdx.x % WARP, band = threadIdx.x / WARP * BAND;
    unsigned tiles = (tile.length + TILE - 1) / TILE;
    auto load = [&](unsigned index) {
        unsigned start = index * TILE, stage = index % 2 * TILE_SIZE<D>;
        load_tile<D>(queries + stage, problem.qkv + start * stride, stride, tile.length - start);
        load_tile<D>(d_out + stage, problem.d_out + start * width, width, tile.length - start);
    };
    // In registers while a tile is used, to wait for memory only afterwards.
    float shift, delta;
    unsigned row_key = 0;
    auto load_statistics = [&](unsigned index) {
        unsigned query = index * TILE + threadIdx.x % TILE;
        shift = query_shift(problem, query);
        delta = query_delta(problem, query);
        if (DROPOUT) {
            row_key = query_mask_key(problem, query);
        }
    };
    auto store_statistics = [&](unsigned index) {
        if (threadIdx.x < TILE) {
            statistics[index % 2].shift[threadIdx.x] = shift;
            statistics[index % 2].delta[threadIdx.x] = delta;
            statistics[index % 2].row_key[threadIdx.x] = row_key;
        }
    };

    // The block's own rows wait where the second tile will come.
    const storage* own = problem.qkv + width + tile.start * stride;
    load_tile<D>(queries + TILE_SIZE<D>, own, stride, tile.length - tile.start);
    load_tile<D>(d_out + TILE_SIZE<D>, own + width, stride, tile.length - tile.start);
    load(0);
    cp_async_commit();
    load_statistics(0);
    store_statistics(0);
    cp_async_wait<0>();
    __syncthreads();
    unsigned keys[D / 16][4], values[D / 16][4];
    load_left_paired<D>(keys, queries + TILE_SIZE<D>, band);
    load_left_paired<D>(values, d_out + TILE_SIZE<D>, band);
    __syncthreads();

    unsigned pair = (tile.start + band) / 2 + lane / 4;
    float exponent = problem.scale * LOG2_E;
    unsigned threshold = problem.dropout.threshold;
    float d_keys[D / 8][4], d_values[D / 8][4];
    clear(d_keys);
    clear(d_values);
    for (unsigned index = 0; index < tiles; index++) {
        if (index + 1 < tiles) {
            load(index + 1);
            load_statistics(index + 1);
        }
        cp_async_commit();
        cp_async_wait<1>();
        __syncthreads();
        unsigned stage = index % 2 * TILE_SIZE<D>;
        const QueryStatistics& seen = statistics[index % 2];
#pragma unroll
        for (unsigned strip = 0; strip < TILE; strip += STRIP) {
            // Transposed: a row is a key, a column a query.
            float scores[STRIP / 8][4], d_probabilities[STRIP / 8][4];
            multiply_transposed<D, STRIP>(scores, keys, queries + stage, strip);
            multiply_transposed<D, STRIP>(d_probabilities, values, d_out + stage, strip);
#pragma unroll
            for (unsigned n = 0; n < STRIP / 8; n++) {
#pragma unroll
                for (unsigned i = 0; i < 2; i++) {
                    unsigned query = strip + 8 * n + lane % 4 * 2 + i;
                    float *even = &scores[n][i], *odd = &scores[n][i + 2];
                    float *d_even = &d_probabilities[n][i], *d_odd = &d_probabilities[n][i + 2];
                    float shift = seen.shift[query], delta = seen.delta[query];
                    float p_even = exp2_fast(*even * exponent - shift);
                    float p_odd = exp2_fast(*odd * exponent - shift);
                    *even = p_even;
                    *odd = p_odd;
                    if (DROPOUT) {
                        unsigned draws = dropout_draws(seen.row_key[query], pair);
                        float mask_even = keeps_even(draws, threshold) ? problem.dropout.scale : 0.0f;
                        float mask_odd = keeps_odd(draws, threshold) ? problem.dropout.scale : 0.0f;
                        *even *= mask_even;
                        *odd *= mask_odd;
                        *d_even *= mask_even;
                        *d_odd *= mask_odd;
                    }
                    *d_even = p_even * (*d_even - delta);
                    *d_odd = p_odd * (*d_odd - delta);
                }
            }
            unsigned left[STRIP / 16][4];
            round_left<STRIP>(left, scores);
            multiply_add<D, STRIP>(d_values, left, d_out + stage, strip);
            round_left<STRIP>(left, d_probabilities);
            multiply_add<D, STRIP>(d_keys, left, queries + stage, strip);
        }
        if (index + 1 < tiles) {
            store_statistics(index + 1);
        }
        __syncthreads();
    }

    unsigned first = tile.start + band;
    if (first < tile.length) {
        float key_factor[2] = {problem.scale, problem.scale}, value_factor[2] = {1.0f, 1.0f};
        storage* to = problem.d_qkv + width + first * stride;
        store_rows<D, true>(to, stride, tile.length - first, d_keys, key_factor, queries + band * D);
        store_rows<D, true>(to + width, stride, tile.length - first, d_values, value_factor, d_out + band * D);
    }
}
