// The sum of squares over all gradients in f64, chunk by chunk, and whether all are finite.
//
// Squares of finite f32 are below 2^256: their sum in f64 is infinite or NaN only if an element is.

#include "chunks.cuh"
#include "reductions.cuh"

constexpr unsigned THREADS = 256;
constexpr unsigned WARPS = THREADS / WARP;

struct GradientSlot {
    const float* values;
    unsigned long long len;
    unsigned long long first_chunk;
};

__device__ inline double square(float value) {
    return double(value) * double(value);
}

// partials[chunk] = the chunk's sum.
extern "C" __global__ void __launch_bounds__(THREADS) gradient_norm(
    const GradientSlot* slots, unsigned slot_count, double* partials
) {
    const auto chunk = chunk_of_block(slots, slot_count);
    const float* values = chunk.slot.values + chunk.first;
    const unsigned count = chunk.count;
    const float4* fours = reinterpret_cast<const float4*>(values);
    double sum = 0.0;
#pragma unroll 4
    for (unsigned i = threadIdx.x; i < count / 4; i += THREADS) {
        float4 four = fours[i];
        sum += (square(four.x) + square(four.y)) + (square(four.z) + square(four.w));
    }
    unsigned i = count / 4 * 4 + threadIdx.x;
    if (i < count) {
        sum += square(values[i]);
    }
    sum = block_sum<WARPS>(sum);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
    }
}
EXPORT_KERNEL(gradient_norm)

// result = the sum, and 1 if it is finite, else 0. One block.
extern "C" __global__ void __launch_bounds__(THREADS) gradient_norm_total(
    const double* partials, unsigned chunks, double* result
) {
    double sum = 0.0;
#pragma unroll 4
    for (unsigned chunk = threadIdx.x; chunk < chunks; chunk += THREADS) {
        sum += partials[chunk];
    }
    sum = block_sum<WARPS>(sum);
    if (threadIdx.x == 0) {
        result[0] = sum;
        // NaN - NaN and infinity - infinity are NaN.
        result[1] = sum - sum == 0.0 ? 1.0 : 0.0;
    }
}
EXPORT_KERNEL(gradient_norm_total)
