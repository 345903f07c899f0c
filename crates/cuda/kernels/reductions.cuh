// Sums and maxima over the lanes of a warp and the warps of a block, always in the same order.

#pragma once
#include "storage.cuh"

// All lanes get the sum.
template <typename T>
__device__ inline T warp_sum(T value) {
#pragma unroll
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, lanes);
    }
    return value;
}

__device__ inline float warp_max(float value) {
#pragma unroll
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, lanes));
    }
    return value;
}

// All threads of a block of WARPS warps get the sum. Every use has its own shared memory and waits twice, so that one may
// follow another.
template <unsigned WARPS, typename T>
__device__ inline T block_sum(T value) {
    __shared__ T parts[WARPS];
    value = warp_sum(value);
    if (threadIdx.x % WARP == 0) {
        parts[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    T sum = parts[0];
#pragma unroll
    for (unsigned warp = 1; warp < WARPS; warp++) {
        sum += parts[warp];
    }
    __syncthreads();
    return sum;
}

template <unsigned WARPS>
__device__ inline float block_max(float value) {
    __shared__ float parts[WARPS];
    value = warp_max(value);
    if (threadIdx.x % WARP == 0) {
        parts[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    float largest = parts[0];
#pragma unroll
    for (unsigned warp = 1; warp < WARPS; warp++) {
        largest = fmaxf(largest, parts[warp]);
    }
    __syncthreads();
    return largest;
}

// Columns that a block of 8 warps adds up: lane l of each warp holds columns 8 l .. 8 l + 8 of its own rows.
constexpr unsigned COLUMNS = WARP * VECTOR;

// Thread c gets the sum of column c over the eight warps. Once a kernel.
__device__ inline float column_sum(const float (&values)[VECTOR]) {
    constexpr unsigned WARPS = COLUMNS / WARP;
    __shared__ __align__(16) float parts[WARPS][COLUMNS];
    store(&parts[threadIdx.x / WARP][threadIdx.x % WARP * VECTOR], values);
    __syncthreads();
    float sum = parts[0][threadIdx.x];
#pragma unroll
    for (unsigned warp = 1; warp < WARPS; warp++) {
        sum += parts[warp][threadIdx.x];
    }
    return sum;
}
