// Sums and maxima over the lanes of a warp and the warps of a block, always in the same order.

#pragma once
#include "vectors.cuh"

struct Sum {
    template <typename T>
    __device__ T operator()(T a, T b) const {
        return a + b;
    }
};

struct Larger {
    __device__ float operator()(float a, float b) const {
        return fmaxf(a, b);
    }
};

// All lanes get what `combine` makes of their values.
template <typename Combine, typename T>
__device__ inline T over_warp(Combine combine, T value) {
#pragma unroll
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, lanes));
    }
    return value;
}

template <typename T>
__device__ inline T warp_sum(T value) {
    return over_warp(Sum(), value);
}

__device__ inline float warp_max(float value) {
    return over_warp(Larger(), value);
}

// The same for all threads of a block of WARPS warps. Every use has its own shared memory and waits twice, so that one may
// follow another.
template <unsigned WARPS, typename Combine, typename T>
__device__ inline T over_block(Combine combine, T value) {
    __shared__ T parts[WARPS];
    value = over_warp(combine, value);
    if (threadIdx.x % WARP == 0) {
        parts[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    T all = parts[0];
#pragma unroll
    for (unsigned warp = 1; warp < WARPS; warp++) {
        all = combine(all, parts[warp]);
    }
    __syncthreads();
    return all;
}

template <unsigned WARPS, typename T>
__device__ inline T block_sum(T value) {
    return over_block<WARPS>(Sum(), value);
}

template <unsigned WARPS>
__device__ inline float block_max(float value) {
    return over_block<WARPS>(Larger(), value);
}

// Columns that a block of 8 warps adds up: lane l of each warp holds columns 8 l .. 8 l + 8 of its own rows.
constexpr unsigned COLUMNS = WARP * VECTOR;

// Thread c gets the sum of column `column` + c over rows first .. end, where there is one; load(row, column, values) reads
// eight columns of a row. Once a kernel.
template <typename Load>
__device__ inline float column_sum(unsigned first, unsigned end, unsigned column, unsigned width, Load load) {
    constexpr unsigned WARPS = COLUMNS / WARP;
    __shared__ __align__(16) float parts[WARPS][COLUMNS];
    unsigned warp = threadIdx.x / WARP, offset = threadIdx.x % WARP * VECTOR;
    float own[VECTOR] = {};
    if (column + offset < width) {
#pragma unroll 4
        for (unsigned row = first + warp; row < end; row += WARPS) {
            float values[VECTOR];
            load(row, column + offset, values);
            add(own, values);
        }
    }
    store(&parts[warp][offset], own);
    __syncthreads();
    float sum = parts[0][threadIdx.x];
#pragma unroll
    for (unsigned other = 1; other < WARPS; other++) {
        sum += parts[other][threadIdx.x];
    }
    return sum;
}
