// Residual, dropout and layer norm in one pass: each element is read once and written once (twice in training).
//
// A warp has a row and keeps it in registers between its three uses (sum, variance, result), so that statistics come from
// unrounded values and need no second read and no barrier. Rows that are wider than a warp holds, or whose width is no
// multiple of 8, take a block and shared memory.

#include "layer_norm.cuh"

extern "C" __global__ void __launch_bounds__(WARP * ROW_WARPS) add_layer_norm(
    storage* x, const storage* residual, Dropout dropout, const float* weight, const float* bias, float epsilon,
    unsigned rows, unsigned width, float* statistics, storage* y
) {
    unsigned row = blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
    if (row >= rows) {
        return;
    }
    size_t start = size_t(row) * width;
    unsigned key = dropout_row_key(dropout, row);
    float values[CHUNKS][VECTOR];
    float sum = 0.0f;
#pragma unroll
    for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
        unsigned column = chunk_column(chunk);
        if (column >= width) {
            continue;
        }
        load(x + start + column, values[chunk]);
        if (dropout.threshold != 0) {
            drop(dropout, key, column, values[chunk]);
        }
        if (residual != nullptr) {
            float other[VECTOR];
            load(residual + start + column, other);
            add(values[chunk], other);
        }
        if (statistics != nullptr) {
            store(x + start + column, values[chunk]);
        }
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            sum += values[chunk][i];
        }
    }
    float mean = warp_sum(sum) / float(width);
    float squares = 0.0f;
#pragma unroll
    for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            float deviation = values[chunk][i] - mean;
            squares += chunk_column(chunk) < width ? deviation * deviation : 0.0f;
        }
    }
    float inverse = 1.0f / sqrtf(warp_sum(squares) / float(width) + epsilon);
    if (statistics != nullptr && threadIdx.x % WARP == 0) {
        statistics[2 * size_t(row)] = mean;
        statistics[2 * size_t(row) + 1] = inverse;
    }
#pragma unroll
    for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
        unsigned column = chunk_column(chunk);
        if (column >= width) {
            continue;
        }
        float weights[VECTOR], biases[VECTOR];
        load(weight + column, weights);
        load(bias + column, biases);
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            values[chunk][i] = (values[chunk][i] - mean) * inverse * weights[i] + biases[i];
        }
        store(y + start + column, values[chunk]);
    }
}
EXPORT_KERNEL(add_layer_norm)

extern "C" __global__ void __launch_bounds__(WARP * WIDE_WARPS) add_layer_norm_wide(
    storage* x, const storage* residual, Dropout dropout, const float* weight, const float* bias, float epsilon,
    unsigned, unsigned width, float* statistics, storage* y
) {
    // [width]; a thread only touches its own columns.
    DYNAMIC_SHARED(float, values);
    unsigned row = blockIdx.x;
    size_t start = size_t(row) * width;
    unsigned key = dropout_row_key(dropout, row);
    float sum = 0.0f;
    for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
        float value = to_float(x[start + column]);
        if (dropout.threshold != 0) {
            value = drop_one(dropout, key, column, value);
        }
        if (residual != nullptr) {
            value += to_float(residual[start + column]);
        }
        if (statistics != nullptr) {
            x[start + column] = from_float<storage>(value);
        }
        values[column] = value;
        sum += value;
    }
    float mean = block_sum<WIDE_WARPS>(sum) / float(width);
    float squares = 0.0f;
    for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
        float deviation = values[column] - mean;
        squares += deviation * deviation;
    }
    float inverse = 1.0f / sqrtf(block_sum<WIDE_WARPS>(squares) / float(width) + epsilon);
    if (statistics != nullptr && threadIdx.x == 0) {
        statistics[2 * size_t(row)] = mean;
        statistics[2 * size_t(row) + 1] = inverse;
    }
    for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
        float value = (values[column] - mean) * inverse * weight[column] + bias[column];
        y[start + column] = from_float<storage>(value);
    }
}
EXPORT_KERNEL(add_layer_norm_wide)
