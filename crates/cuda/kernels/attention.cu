// Self-attention inside each packed sequence, forward: FlashAttention-2 (Dao 2023, algorithm 1).
//
// A block takes 64 queries of one head and walks over the keys of their sequence, 64 at a time; scores stay in
// registers. 64 x 64 rather than 128 x 64: sequences of a batch of texts are short (IMDB: about 230 tokens), so that
// larger tiles would be half empty; and with at most 32 KB of shared memory four or five blocks share a multiprocessor,
// one's exponentials and mask bits (for heads of 32 the larger part of the work) beside another's products. The next
// keys and values are copied while these are used; before that the queries wait in the second half of their buffers.
// Every row sees its keys in order from the first, whatever lies beside its sequence.

#include "attention.cuh"
#include "attention_plain.cuh"

#if STORAGE != 0
#include "attention_tensor_core.cuh"

namespace {

// The softmax of a lane's two rows as far as the keys have been seen.
struct RunningSoftmax {
    float maximum[2], sum[2];
};

// Turns scores into exp(score - maximum), adds them to the sums, and multiplies earlier outputs to the new maximum.
// `exponent` is the scale of scores times log2(e).
template <unsigned D>
__device__ inline void soften(
    float (&scores)[TILE / 8][4], float (&sum)[D / 8][4], RunningSoftmax& softmax, float exponent
) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        float maximum = softmax.maximum[half];
#pragma unroll
        for (unsigned n = 0; n < TILE / 8; n++) {
            maximum = fmaxf(maximum, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        }
        maximum = row_max(maximum);
        float correction = exp2_fast((softmax.maximum[half] - maximum) * exponent);
        float shift = maximum * exponent;
        softmax.maximum[half] = maximum;
        softmax.sum[half] *= correction;
#pragma unroll
        for (unsigned n = 0; n < TILE / 8; n++) {
#pragma unroll
            for (unsigned i = 2 * half; i < 2 * half + 2; i++) {
                scores[n][i] = exp2_fast(scores[n][i] * exponent - shift);
                softmax.sum[half] += scores[n][i];
            }
        }
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
            sum[n][2 * half] *= correction;
            sum[n][2 * half + 1] *= correction;
        }
    }
}

// Drops of the probabilities of the tile's keys, the first at position `first_key`; the scale is the output's.
__device__ inline void drop_keys(
    float (&probabilities)[TILE / 8][4], const unsigned (&row_keys)[2], unsigned first_key, unsigned threshold
) {
#pragma unroll
    for (unsigned n = 0; n < TILE / 8; n++) {
        unsigned pair = first_key / 2 + 4 * n + threadIdx.x % 4;
#pragma unroll
        for (unsigned half = 0; half < 2; half++) {
            unsigned draws = dropout_draws(row_keys[half], pair);
            float* both = &probabilities[n][2 * half];
            both[0] = keeps_even(draws, threshold) ? both[0] : 0.0f;
            both[1] = keeps_odd(draws, threshold) ? both[1] : 0.0f;
        }
    }
}

// Blocks of a multiprocessor that registers shall suffice for.
template <unsigned D>
constexpr unsigned RESIDENT = D == 64 ? 4 : 5;

template <unsigned D, bool DROPOUT>
__device__ inline void attend(
    KeysAndValues<D>& shared, const storage* qkv, const Tile& tile, unsigned rows, unsigned heads, float scale,
    const Dropout& dropout, float* log_sum_exp, storage* out
) {
    storage *keys = shared.keys, *values = shared.values;
    unsigned head = blockIdx.y, lane = threadIdx.x % WARP, band = threadIdx.x / WARP * BAND;
    size_t width = size_t(heads) * D, stride = 3 * width;
    const storage* queries = qkv + tile.first * stride + head * D;
    unsigned tiles = (tile.length + TILE - 1) / TILE;
    auto load = [&](unsigned index) { shared.start(index, queries + width, width, stride, tile.length); };

    load_tile<D>(keys + TILE_SIZE<D>, queries + tile.start * stride, stride, tile.length - tile.start);
    load(0);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    unsigned left[D / 16][4];
    load_left<D>(left, keys + TILE_SIZE<D>, band);
    __syncthreads();

    unsigned first_query = tile.start + band + lane / 4;
    unsigned row_keys[2] = {};
    if (DROPOUT) {
        row_keys[0] = mask_key(dropout, tile.sequence, heads, head, first_query);
        row_keys[1] = mask_key(dropout, tile.sequence, heads, head, first_query + 8);
    }
    RunningSoftmax softmax = {{-infinity(), -infinity()}, {0.0f, 0.0f}};
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
        float scores[TILE / 8][4];
        multiply_transposed<D, TILE>(scores, left, keys + stage, 0);
        if (tile.length - index * TILE < TILE) {
            hide_absent<TILE>(scores, tile.length - index * TILE);
        }
        soften<D>(scores, sum, softmax, scale * LOG2_E);
        if (DROPOUT) {
            drop_keys(scores, row_keys, index * TILE, dropout.threshold);
        }
        unsigned probabilities[TILE / 16][4];
        round_left<TILE>(probabilities, scores);
        multiply_add<D, TILE>(sum, probabilities, values + stage, 0);
        __syncthreads();
    }

    float factor[2];
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        float total = row_sum(softmax.sum[half]);
        factor[half] = (DROPOUT ? dropout.scale : 1.0f) / total;
        unsigned query = first_query + 8 * half;
        if (log_sum_exp && lane % 4 == 0 && query < tile.length) {
            log_sum_exp[size_t(head) * rows + tile.first + query] = softmax.maximum[half] * scale + logf(total);
        }
    }
    unsigned first = tile.start + band;
    if (first < tile.length) {
        storage* to = out + (tile.first + first) * width + head * D;
        store_rows<D, false>(to, width, tile.length - first, sum, factor, keys + band * D);
    }
}

}  // namespace

// head_dim is D.
#define ATTENTION(D)                                                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT<D>) attention_##D(                                  \
        const storage* qkv, const unsigned* offsets, const unsigned* tiles, unsigned rows, unsigned heads, unsigned,   \
        float scale, Dropout dropout, float* log_sum_exp, storage* out                                                 \
    ) {                                                                                                                \
        __shared__ KeysAndValues<D> shared;                                                                            \
        Tile tile = block_tile(tiles, offsets);                                                                        \
        if (tile.start >= tile.length) {                                                                               \
            return;                                                                                                    \
        }                                                                                                              \
        if (dropout.threshold) {                                                                                       \
            attend<D, true>(shared, qkv, tile, rows, heads, scale, dropout, log_sum_exp, out);                         \
        } else {                                                                                                       \
            attend<D, false>(shared, qkv, tile, rows, heads, scale, dropout, log_sum_exp, out);                        \
        }                                                                                                              \
    }                                                                                                                  \
    EXPORT_KERNEL(attention_##D)

ATTENTION(32)
ATTENTION(64)
#endif

// One of a tile's quarters, blockIdx.z, in f32.
extern "C" __global__ void __launch_bounds__(PLAIN_THREADS) attention_plain(
    const storage* qkv, const unsigned* offsets, const unsigned* tiles, unsigned rows, unsigned heads,
    unsigned head_dim, float scale, Dropout dropout, float* log_sum_exp, storage* out
) {
    DYNAMIC_SHARED(float, memory);
    PlainShared shared = plain_shared(memory, head_dim);
    unsigned columns = padded(head_dim), pitch = columns + 1, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    Tile tile = block_tile(tiles, offsets);
    unsigned start = tile.start + blockIdx.z * BLOCK_OWN, head = blockIdx.y;
    if (tile.start >= tile.length || start >= tile.length) {
        return;
    }
    size_t width = size_t(heads) * head_dim, stride = 3 * width;
    const storage* queries = qkv + tile.first * stride + head * head_dim;
    load_rows(shared.own, columns, queries + start * stride, stride, tile.length - start, BLOCK_OWN, head_dim);

    unsigned first_query = start + warp * OWN;
    unsigned row_keys[OWN];
    float maximum[OWN], total[OWN], sums[OWN][SPANS];
    clear(sums);
#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        row_keys[i] = mask_key(dropout, tile.sequence, heads, head, first_query + i);
        maximum[i] = -infinity();
        total[i] = 0.0f;
    }
    for (unsigned first = 0; first < tile.length; first += OTHERS) {
        const storage* from = queries + width + first * stride;
        __syncthreads();
        load_rows(shared.others, pitch, from, stride, tile.length - first, OTHERS, head_dim);
        load_rows(shared.others_second, pitch, from + width, stride, tile.length - first, OTHERS, head_dim);
        __syncthreads();
        float scores[OWN];
        dot_rows(scores, shared.own, shared.others, columns);
        unsigned key = first + lane;
#pragma unroll
        for (unsigned i = 0; i < OWN; i++) {
            float score = key < tile.length ? scores[i] * scale : -infinity();
            float larger = fmaxf(maximum[i], warp_max(score));
            float correction = expf(maximum[i] - larger);
            float weight = expf(score - larger);
            maximum[i] = larger;
            total[i] = total[i] * correction + weight;
#pragma unroll
            for (unsigned span = 0; span < SPANS; span++) {
                sums[i][span] *= correction;
            }
            shared.weights[i * OTHERS + lane] = weight * mask_of(dropout, row_keys[i], key);
        }
        __syncwarp();
        add_weighted(sums, shared.weights, shared.others_second, head_dim);
    }

#pragma unroll
    for (unsigned i = 0; i < OWN; i++) {
        float sum = warp_sum(total[i]);
        unsigned query = first_query + i;
        if (query < tile.length) {
            store_row(out + (tile.first + query) * width + head * head_dim, sums[i], 1.0f / sum, head_dim);
            if (log_sum_exp && lane == 0) {
                log_sum_exp[size_t(head) * rows + tile.first + query] = maximum[i] + logf(sum);
            }
        }
    }
}
EXPORT_KERNEL(attention_plain)
