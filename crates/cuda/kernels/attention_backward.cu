// The backward pass of attention: FlashAttention-2 (Dao 2023, algorithm 2) in two passes, so that no sum needs atomics.
//
// With P = exp(scale S - log_sum_exp), the dropout's mask M (0 or its scale) and delta = rowsum(dO o O):
//   dV = (P o M)^T dO,   dS = P o (M o dO V^T - delta),   dQ = scale dS K,   dK = scale dS^T Q.
// One pass takes 64 queries a block and walks over keys for dQ; the other takes 64 keys and walks over queries for dK and
// dV. Both compute S and dO V^T anew: seven products instead of five, for sums in a fixed order and no second stage. The
// pass over keys works on S^T, so that P^T and dS^T leave one product in the registers in which the next takes them. Its
// keys are taken in pairs: each lane then holds both neighbours that share a mask hash. Scores are taken 32 columns at a
// time, which holds registers at about 170 (queries) and 200 (keys) a thread for heads of 64.

#include "attention.cuh"
#include "attention_plain.cuh"

// delta[head, row] = sum of d_out o out over the head's columns: a warp each.
extern "C" __global__ void __launch_bounds__(128) attention_delta(
    const storage* d_out, const storage* out, unsigned rows, unsigned heads, unsigned head_dim, float* delta
) {
    size_t index = size_t(blockIdx.x) * 4 + threadIdx.x / 32;
    if (index >= size_t(rows) * heads) {
        return;
    }
    size_t row = index / heads, head = index % heads, first = index * head_dim;
    float sum = 0.0f;
    for (unsigned column = threadIdx.x % 32; column < head_dim; column += 32) {
        sum += to_float(d_out[first + column]) * to_float(out[first + column]);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
        delta[head * rows + row] = sum;
    }
}
EXPORT_KERNEL(attention_delta)

namespace {

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
    const unsigned* tiles, unsigned rows, unsigned heads, unsigned head_dim, float scale, Dropout dropout, storage* d_qkv
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

}  // namespace

#define PASS_PARAMETERS                                                                                                \
    const storage *d_out, const storage *qkv, const float *log_sum_exp, const float *delta, const unsigned *offsets,   \
        const unsigned *tiles, unsigned rows, unsigned heads, unsigned head_dim, float scale, Dropout dropout,         \
        storage *d_qkv

#define PASS_ARGUMENTS                                                                                                 \
    d_out, qkv, log_sum_exp, delta, offsets, tiles, rows, heads, head_dim, scale, dropout, d_qkv

#if STORAGE != 0
#include "attention_tensor_core.cuh"

namespace {

// Columns of scores at a time.
constexpr unsigned STRIP = 32;

// Two tiles of each.
template <unsigned D>
struct alignas(128) QueriesShared {
    storage keys[2 * TILE_SIZE<D>], values[2 * TILE_SIZE<D>];
};

template <unsigned D, bool DROPOUT>
__device__ inline void gradient_of_queries(QueriesShared<D>& shared, const Problem& problem) {
    const Tile& tile = problem.tile;
    storage *keys = shared.keys, *values = shared.values;
    size_t width = problem.width, stride = 3 * width;
    unsigned lane = threadIdx.x % 32, band = threadIdx.x / 32 * BAND;
    unsigned tiles = (tile.length + TILE - 1) / TILE;
    auto load = [&](unsigned index) {
        unsigned start = index * TILE, stage = index % 2 * TILE_SIZE<D>;
        const storage* from = problem.qkv + width + start * stride;
        load_tile<D>(keys + stage, from, stride, tile.length - start);
        load_tile<D>(values + stage, from + width, stride, tile.length - start);
    };

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
    float sum[D / 8][4];
    clear(sum);
    for (unsigned index = 0; index < tiles; index++) {
        if (index + 1 < tiles) {
            load(index + 1);
        }
        cp_async_commit();
        cp_async_wait<1>();
        __syncthreads();
        unsigned stage = index % 2 * TILE_SIZE<D>;
#pragma unroll
        for (unsigned strip = 0; strip < TILE; strip += STRIP) {
            float scores[STRIP / 8][4], d_probabilities[STRIP / 8][4];
            multiply_transposed<D, STRIP>(scores, queries, keys + stage, strip);
            multiply_transposed<D, STRIP>(d_probabilities, d_out, values + stage, strip);
#pragma unroll
            for (unsigned n = 0; n < STRIP / 8; n++) {
                unsigned key = index * TILE + strip + 8 * n + lane % 4 * 2;
#pragma unroll
                for (unsigned half = 0; half < 2; half++) {
                    float* score = &scores[n][2 * half];
                    float* d_probability = &d_probabilities[n][2 * half];
                    if (DROPOUT) {
                        unsigned draws = dropout_draws(row_keys[half], key / 2), threshold = problem.dropout.threshold;
                        d_probability[0] = keeps_even(draws, threshold) ? d_probability[0] * problem.dropout.scale : 0.0f;
                        d_probability[1] = keeps_odd(draws, threshold) ? d_probability[1] * problem.dropout.scale : 0.0f;
                    }
#pragma unroll
                    for (unsigned i = 0; i < 2; i++) {
                        float probability = key + i < tile.length ? exp2_fast(score[i] * exponent - shift[half]) : 0.0f;
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
    unsigned lane = threadIdx.x % 32, band = threadIdx.x / 32 * BAND;
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
                        unsigned draws = dropout_draws(seen.row_key[query], pair), threshold = problem.dropout.threshold;
                        bool keeps[2] = {keeps_even(draws, threshold), keeps_odd(draws, threshold)};
                        *even = keeps[0] ? p_even : 0.0f;
                        *odd = keeps[1] ? p_odd : 0.0f;
                        *d_even = keeps[0] ? *d_even * problem.dropout.scale : 0.0f;
                        *d_odd = keeps[1] ? *d_odd * problem.dropout.scale : 0.0f;
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
        float mask = DROPOUT ? problem.dropout.scale : 1.0f;
        float key_factor[2] = {problem.scale, problem.scale}, value_factor[2] = {mask, mask};
        storage* to = problem.d_qkv + width + first * stride;
        store_rows<D, true>(to, stride, tile.length - first, d_keys, key_factor, queries + band * D);
        store_rows<D, true>(to + width, stride, tile.length - first, d_values, value_factor, d_out + band * D);
    }
}

}  // namespace

#define TENSOR_CORE_PASS(NAME, D, SHARED, GRADIENT)                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME##_##D(PASS_PARAMETERS) {                                \
        __shared__ SHARED<D> shared;                                                                                   \
        Problem problem = block_problem(PASS_ARGUMENTS);                                                               \
        if (problem.tile.start >= problem.tile.length) {                                                               \
            return;                                                                                                    \
        }                                                                                                              \
        if (dropout.threshold) {                                                                                       \
            GRADIENT<D, true>(shared, problem);                                                                        \
        } else {                                                                                                       \
            GRADIENT<D, false>(shared, problem);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    EXPORT_KERNEL(NAME##_##D)

TENSOR_CORE_PASS(attention_backward_queries, 32, QueriesShared, gradient_of_queries)
TENSOR_CORE_PASS(attention_backward_queries, 64, QueriesShared, gradient_of_queries)
TENSOR_CORE_PASS(attention_backward_keys, 32, KeysShared, gradient_of_keys)
TENSOR_CORE_PASS(attention_backward_keys, 64, KeysShared, gradient_of_keys)
#endif

// One of a tile's quarters, blockIdx.z, in f32.
extern "C" __global__ void __launch_bounds__(PLAIN_THREADS) attention_backward_queries_plain(PASS_PARAMETERS) {
    DYNAMIC_SHARED(float, memory);
    PlainShared shared = plain_shared(memory, head_dim);
    unsigned columns = padded(head_dim), pitch = columns + 1, lane = threadIdx.x % 32;
    Problem problem = block_problem(PASS_ARGUMENTS);
    const Tile& tile = problem.tile;
    unsigned start = tile.start + blockIdx.z * BLOCK_OWN, left = tile.length - start;
    if (tile.start >= tile.length || start >= tile.length) {
        return;
    }
    size_t width = problem.width, stride = 3 * width;
    load_rows(shared.own, columns, problem.qkv + start * stride, stride, left, BLOCK_OWN, head_dim);
    load_rows(shared.own_second, columns, problem.d_out + start * width, width, left, BLOCK_OWN, head_dim);

    unsigned first_query = start + threadIdx.x / 32 * OWN, row_keys[OWN];
    float shift[OWN], delta_of[OWN], sums[OWN][SPANS];
    clear(sums);
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        shift[i] = query_shift(problem, first_query + i);
        delta_of[i] = query_delta(problem, first_query + i);
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
            float probability = key < tile.length ? exp2f(scores[i] * scale * LOG2_E - shift[i]) : 0.0f;
            float d_probability = d_probabilities[i];
            if (dropout.threshold) {
                d_probability = keeps(row_keys[i], key, dropout.threshold) ? d_probability * dropout.scale : 0.0f;
            }
            shared.weights[i * OTHERS + lane] = probability * (d_probability - delta_of[i]);
        }
        __syncwarp();
        add_weighted(sums, shared.weights, shared.others, head_dim);
    }
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        if (first_query + i < tile.length) {
            store_row(problem.d_qkv + (first_query + i) * stride, sums[i], scale, head_dim);
        }
    }
}
EXPORT_KERNEL(attention_backward_queries_plain)

extern "C" __global__ void __launch_bounds__(PLAIN_THREADS) attention_backward_keys_plain(PASS_PARAMETERS) {
    DYNAMIC_SHARED(float, memory);
    PlainShared shared = plain_shared(memory, head_dim);
    unsigned columns = padded(head_dim), pitch = columns + 1, lane = threadIdx.x % 32;
    Problem problem = block_problem(PASS_ARGUMENTS);
    const Tile& tile = problem.tile;
    unsigned start = tile.start + blockIdx.z * BLOCK_OWN, left = tile.length - start;
    if (tile.start >= tile.length || start >= tile.length) {
        return;
    }
    size_t width = problem.width, stride = 3 * width;
    const storage* own = problem.qkv + width + start * stride;
    load_rows(shared.own, columns, own, stride, left, BLOCK_OWN, head_dim);
    load_rows(shared.own_second, columns, own + width, stride, left, BLOCK_OWN, head_dim);

    unsigned first_key = start + threadIdx.x / 32 * OWN;
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
        float shift = query_shift(problem, query), delta_of = query_delta(problem, query);
        float scores[OWN], d_scores[OWN];
        dot_rows(scores, shared.own, shared.others, columns);
        dot_rows(d_scores, shared.own_second, shared.others_second, columns);
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            float probability = exp2f(scores[i] * scale * LOG2_E - shift), mask = 1.0f;
            if (dropout.threshold) {
                mask = keeps(row_key, first_key + i, dropout.threshold) ? dropout.scale : 0.0f;
            }
            d_scores[i] = probability * (mask * d_scores[i] - delta_of);
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
            store_row(to, d_keys[i], scale, head_dim);
            store_row(to + width, d_values[i], 1.0f, head_dim);
        }
    }
}
EXPORT_KERNEL(attention_backward_keys_plain)
