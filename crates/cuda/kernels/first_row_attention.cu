// Attention of each sequence's first row only, forward and backward: one stream over its keys and values.
//
// With one query a head there is no product for tensor cores, only memory to read once. A block takes one head of one
// sequence. A group of lanes takes a key, 16 bytes of a 16-bit row a lane; neighbouring groups take neighbouring keys,
// and two keys at a time keep enough reads on their way. Each group has a softmax of its own; in the end they are
// joined, first in a warp, then among the warps, in a fixed order.

#include "attention.cuh"

namespace {

constexpr unsigned FIRST_THREADS = 256, FIRST_WARPS = FIRST_THREADS / WARP;
// Keys of a group at a time.
constexpr unsigned KEYS = 2;
// Columns of the widest head.
constexpr unsigned MAX_HEAD_DIM = 256;

// How a row of D columns lies among the lanes of a group, VECTOR columns each: neighbours for the widths that models
// have; D = 0 stands for any up to 256, a whole warp with every 32nd column a lane.
template <unsigned D>
struct Slices {
    static constexpr unsigned LANES = D == 0 ? WARP : D / VECTOR;
    static constexpr unsigned GROUPS = FIRST_THREADS / LANES;
    static constexpr unsigned COLUMNS = D == 0 ? MAX_HEAD_DIM : D;

    static __device__ unsigned group() {
        return threadIdx.x / LANES;
    }

    static __device__ unsigned column(unsigned i) {
        return D == 0 ? threadIdx.x % WARP + WARP * i : threadIdx.x % LANES * VECTOR + i;
    }

    static __device__ void read(const storage* row, unsigned head_dim, float (&slice)[VECTOR]) {
        if constexpr (D == 0) {
#pragma unroll
            for (unsigned i = 0; i < VECTOR; i++) {
                slice[i] = column(i) < head_dim ? to_float(row[column(i)]) : 0.0f;
            }
        } else {
            load(row + column(0), slice);
        }
    }

    static __device__ void write(storage* row, unsigned head_dim, const float (&slice)[VECTOR]) {
        if constexpr (D == 0) {
#pragma unroll
            for (unsigned i = 0; i < VECTOR; i++) {
                if (column(i) < head_dim) {
                    row[column(i)] = from_float<storage>(slice[i]);
                }
            }
        } else {
            store(row + column(0), slice);
        }
    }

    // The product of two rows, for all lanes of the group.
    static __device__ float dot(const float (&a)[VECTOR], const float (&b)[VECTOR]) {
        float sum = 0.0f;
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            sum += a[i] * b[i];
        }
#pragma unroll
        for (unsigned distance = 1; distance < LANES; distance *= 2) {
            sum += __shfl_xor_sync(ALL_LANES, sum, distance);
        }
        return sum;
    }
};

// A softmax over some keys, in powers of two, and their values weighted by it.
struct Partial {
    float maximum, total;
    float sums[VECTOR];
};

// What a partial with this maximum is multiplied by to join one with a larger; both may be without keys.
__device__ inline float correction(float maximum, float larger) {
    return maximum == larger ? 1.0f : exp2f(maximum - larger);
}

// Joins the partials of the warp's groups.
template <unsigned LANES>
__device__ inline void join_groups(Partial& mine) {
#pragma unroll
    for (unsigned distance = LANES; distance < WARP; distance *= 2) {
        float maximum = __shfl_xor_sync(ALL_LANES, mine.maximum, distance);
        float larger = fmaxf(mine.maximum, maximum);
        float keep = correction(mine.maximum, larger), take = correction(maximum, larger);
        mine.maximum = larger;
        mine.total = mine.total * keep + __shfl_xor_sync(ALL_LANES, mine.total, distance) * take;
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            mine.sums[i] = mine.sums[i] * keep + __shfl_xor_sync(ALL_LANES, mine.sums[i], distance) * take;
        }
    }
}

// The warps' results.
template <unsigned D>
struct FirstRowShared {
    float maximum[FIRST_WARPS], total[FIRST_WARPS];
    float sums[FIRST_WARPS][Slices<D>::COLUMNS];
};

template <unsigned D>
__device__ inline void share_sums(FirstRowShared<D>& shared, const float (&sums)[VECTOR]) {
    if (threadIdx.x % WARP < Slices<D>::LANES) {
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            shared.sums[threadIdx.x / WARP][Slices<D>::column(i)] = sums[i];
        }
    }
}

template <unsigned D>
__device__ inline void attend(
    FirstRowShared<D>& shared, const storage* q, const storage* kv, const unsigned* offsets, unsigned sequences,
    unsigned heads, unsigned head_dim, float scale, const Dropout& dropout, float* log_sum_exp, storage* out
) {
    using Slice = Slices<D>;
    unsigned sequence = blockIdx.x, head = blockIdx.y;
    unsigned first = offsets[sequence], length = offsets[sequence + 1] - first;
    if (length == 0) {
        return;
    }
    size_t width = size_t(heads) * head_dim, at = sequence * width + head * head_dim;
    const storage* keys = kv + first * 2 * width + head * head_dim;
    unsigned row_key = mask_key(dropout, sequence, heads, head, 0);
    float query[VECTOR];
    Slice::read(q + at, head_dim, query);

    Partial mine = {-infinity(), 0.0f, {}};
    for (unsigned start = 0; start < length; start += KEYS * Slice::GROUPS) {
        float key[KEYS][VECTOR] = {}, value[KEYS][VECTOR] = {}, score[KEYS];
#pragma unroll
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned position = start + i * Slice::GROUPS + Slice::group();
            if (position < length) {
                Slice::read(keys + position * 2 * width, head_dim, key[i]);
                Slice::read(keys + position * 2 * width + width, head_dim, value[i]);
            }
        }
        float larger = mine.maximum;
#pragma unroll
        for (unsigned i = 0; i < KEYS; i++) {
            float product = Slice::dot(query, key[i]);
            bool exists = start + i * Slice::GROUPS + Slice::group() < length;
            score[i] = exists ? product * (scale * LOG2_E) : -infinity();
            larger = fmaxf(larger, score[i]);
        }
        float keep = correction(mine.maximum, larger);
        mine.maximum = larger;
        mine.total *= keep;
#pragma unroll
        for (unsigned column = 0; column < VECTOR; column++) {
            mine.sums[column] *= keep;
        }
#pragma unroll
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned position = start + i * Slice::GROUPS + Slice::group();
            float weight = position < length ? exp2f(score[i] - larger) : 0.0f;
            mine.total += weight;
            weight *= mask_of(dropout, row_key, position);
#pragma unroll
            for (unsigned column = 0; column < VECTOR; column++) {
                mine.sums[column] += weight * value[i][column];
            }
        }
    }

    join_groups<Slice::LANES>(mine);
    share_sums<D>(shared, mine.sums);
    if (threadIdx.x % WARP == 0) {
        shared.maximum[threadIdx.x / WARP] = mine.maximum;
        shared.total[threadIdx.x / WARP] = mine.total;
    }
    __syncthreads();
    float maximum = -infinity(), total = 0.0f, sum = 0.0f;
    for (unsigned warp = 0; warp < FIRST_WARPS; warp++) {
        maximum = fmaxf(maximum, shared.maximum[warp]);
    }
    unsigned column = threadIdx.x;
    for (unsigned warp = 0; warp < FIRST_WARPS; warp++) {
        float take = correction(shared.maximum[warp], maximum);
        total += shared.total[warp] * take;
        sum += column < head_dim ? shared.sums[warp][column] * take : 0.0f;
    }
    if (column < head_dim) {
        out[at + column] = from_float<storage>(sum / total);
    }
    if (log_sum_exp && threadIdx.x == 0) {
        log_sum_exp[size_t(head) * sequences + sequence] = maximum * LN_2 + logf(total);
    }
}

// dS = P o (M o dO V^T - rowsum(dO o O)) as in attention_backward.cu, of one query: all but dQ is a matter of one key.
template <unsigned D>
__device__ inline void gradient(
    FirstRowShared<D>& shared, const storage* d_out, const storage* q, const storage* kv, const storage* out,
    const float* log_sum_exp, const unsigned* offsets, unsigned sequences, unsigned heads, unsigned head_dim,
    float scale, const Dropout& dropout, storage* d_q, storage* d_kv
) {
    using Slice = Slices<D>;
    unsigned sequence = blockIdx.x, head = blockIdx.y;
    unsigned first = offsets[sequence], length = offsets[sequence + 1] - first;
    if (length == 0) {
        return;
    }
    size_t width = size_t(heads) * head_dim, at = sequence * width + head * head_dim;
    size_t first_key = first * 2 * width + head * head_dim;
    unsigned row_key = mask_key(dropout, sequence, heads, head, 0);
    float query[VECTOR], output[VECTOR], d_output[VECTOR], sums[VECTOR] = {};
    Slice::read(q + at, head_dim, query);
    Slice::read(out + at, head_dim, output);
    Slice::read(d_out + at, head_dim, d_output);
    float delta = Slice::dot(d_output, output);
    float shift = log_sum_exp[size_t(head) * sequences + sequence] * LOG2_E;

    for (unsigned start = 0; start < length; start += KEYS * Slice::GROUPS) {
        float key[KEYS][VECTOR] = {}, value[KEYS][VECTOR] = {};
#pragma unroll
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned position = start + i * Slice::GROUPS + Slice::group();
            if (position < length) {
                Slice::read(kv + first_key + position * 2 * width, head_dim, key[i]);
                Slice::read(kv + first_key + position * 2 * width + width, head_dim, value[i]);
            }
        }
#pragma unroll
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned position = start + i * Slice::GROUPS + Slice::group();
            float score = Slice::dot(query, key[i]), d_probability = Slice::dot(d_output, value[i]);
            float mask = mask_of(dropout, row_key, position);
            if (position < length) {
                float probability = exp2f(score * (scale * LOG2_E) - shift);
                float d_score = probability * (mask * d_probability - delta) * scale;
                float d_key[VECTOR], d_value[VECTOR];
#pragma unroll
                for (unsigned column = 0; column < VECTOR; column++) {
                    sums[column] += d_score * key[i][column];
                    d_key[column] = d_score * query[column];
                    d_value[column] = probability * mask * d_output[column];
                }
                Slice::write(d_kv + first_key + position * 2 * width, head_dim, d_key);
                Slice::write(d_kv + first_key + position * 2 * width + width, head_dim, d_value);
            }
        }
    }

#pragma unroll
    for (unsigned distance = Slice::LANES; distance < WARP; distance *= 2) {
#pragma unroll
        for (unsigned column = 0; column < VECTOR; column++) {
            sums[column] += __shfl_xor_sync(ALL_LANES, sums[column], distance);
        }
    }
    share_sums<D>(shared, sums);
    __syncthreads();
    if (threadIdx.x < head_dim) {
        float sum = 0.0f;
        for (unsigned warp = 0; warp < FIRST_WARPS; warp++) {
            sum += shared.sums[warp][threadIdx.x];
        }
        d_q[at + threadIdx.x] = from_float<storage>(sum);
    }
}

}  // namespace

#define FIRST_ROW_ATTENTION(NAME, D)                                                                                   \
    extern "C" __global__ void __launch_bounds__(FIRST_THREADS) first_row_attention_##NAME(                            \
        const storage* q, const storage* kv, const unsigned* offsets, unsigned sequences, unsigned heads,              \
        unsigned head_dim, float scale, Dropout dropout, float* log_sum_exp, storage* out                              \
    ) {                                                                                                                \
        __shared__ FirstRowShared<D> shared;                                                                           \
        attend<D>(shared, q, kv, offsets, sequences, heads, head_dim, scale, dropout, log_sum_exp, out);               \
    }                                                                                                                  \
    EXPORT_KERNEL(first_row_attention_##NAME)                                                                          \
    extern "C" __global__ void __launch_bounds__(FIRST_THREADS) first_row_attention_backward_##NAME(                   \
        const storage* d_out, const storage* q, const storage* kv, const storage* out, const float* log_sum_exp,       \
        const unsigned* offsets, unsigned sequences, unsigned heads, unsigned head_dim, float scale, Dropout dropout,  \
        storage* d_q, storage* d_kv                                                                                    \
    ) {                                                                                                                \
        __shared__ FirstRowShared<D> shared;                                                                           \
        gradient<D>(                                                                                                   \
            shared, d_out, q, kv, out, log_sum_exp, offsets, sequences, heads, head_dim, scale, dropout, d_q, d_kv     \
        );                                                                                                             \
    }                                                                                                                  \
    EXPORT_KERNEL(first_row_attention_backward_##NAME)

FIRST_ROW_ATTENTION(32, 32)
FIRST_ROW_ATTENTION(64, 64)
FIRST_ROW_ATTENTION(plain, 0)
