// The backward pass of attention: FlashAttention-2 (Dao 2023, algorithm 2) in two passes, so that no sum needs atomics.
//
// With P = exp(scale S - log_sum_exp), the dropout's mask M (0 or its scale) and delta = rowsum(dO o O):
//   dV = (P o M)^T dO,   dS = P o (M o dO V^T - delta),   dQ = scale dS K,   dK = scale dS^T Q.
// One pass takes 64 queries a block and walks over keys for dQ; the other takes 64 keys and walks over queries for dK
// and dV. Both compute S and dO V^T anew: seven products instead of five, for sums in a fixed order and no second
// stage. The pass over queries works on S^T, so that P^T and dS^T leave one product in the registers in which the next
// takes them. Its keys are taken in pairs: each lane then holds both neighbours that share a mask hash.

#include "attention_backward.cuh"
#include "attention_backward_plain.cuh"
#if STORAGE != 0
#include "attention_backward_tensor_core.cuh"
#endif

// delta[head, row] = sum of d_out o out over the head's columns: a warp each.
extern "C" __global__ void __launch_bounds__(128) attention_delta(
    const storage* d_out, const storage* out, unsigned rows, unsigned heads, unsigned head_dim, float* delta
) {
    unsigned index = blockIdx.x * 4 + threadIdx.x / WARP;
    if (index >= rows * heads) {
        return;
    }
    size_t row = index / heads, head = index % heads, first = size_t(index) * head_dim;
    float sum = 0.0f;
    for (unsigned column = threadIdx.x % WARP; column < head_dim; column += 32) {
        sum += to_float(d_out[first + column]) * to_float(out[first + column]);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) {
        delta[head * rows + row] = sum;
    }
}
EXPORT_KERNEL(attention_delta)

#define PASS_PARAMETERS                                                                                                \
    const storage *d_out, const storage *qkv, const float *log_sum_exp, const float *delta, const unsigned *offsets,   \
        const unsigned *tiles, unsigned rows, unsigned heads, unsigned head_dim, float scale, Dropout dropout,         \
        storage *d_qkv

#define PASS_ARGUMENTS                                                                                                 \
    d_out, qkv, log_sum_exp, delta, offsets, tiles, rows, heads, head_dim, scale, dropout, d_qkv

#if STORAGE != 0
#define TENSOR_CORE_PASS(NAME, D, SHARED, GRADIENT)                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT<D>) NAME##_##D(PASS_PARAMETERS) {                   \
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

TENSOR_CORE_PASS(attention_backward_queries, 32, KeysAndValues, gradient_of_queries)
TENSOR_CORE_PASS(attention_backward_queries, 64, KeysAndValues, gradient_of_queries)
TENSOR_CORE_PASS(attention_backward_keys, 32, KeysShared, gradient_of_keys)
TENSOR_CORE_PASS(attention_backward_keys, 64, KeysShared, gradient_of_keys)
#endif

#define PLAIN_PASS(NAME, GRADIENT)                                                                                     \
    extern "C" __global__ void __launch_bounds__(PLAIN_THREADS) NAME(PASS_PARAMETERS) {                                \
        DYNAMIC_SHARED(float, memory);                                                                                 \
        Problem problem = block_problem(PASS_ARGUMENTS);                                                               \
        if (problem.tile.start < problem.tile.length) {                                                                \
            GRADIENT(memory, problem, head_dim);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    EXPORT_KERNEL(NAME)

PLAIN_PASS(attention_backward_queries_plain, gradient_of_queries_plain)
PLAIN_PASS(attention_backward_keys_plain, gradient_of_keys_plain)
