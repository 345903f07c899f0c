// Residual, dropout and layer norm in one pass: each element is read once and written once (twice in training).
//
// A warp has a row and keeps it in registers between its three uses (sum, variance, result), so that statistics come from
// unrounded values and need no second read and no barrier. Rows that are wider than a warp holds, or whose width is no
// multiple of 8, take a block and shared memory.

#include "layer_norm.cuh"

// s = residual + dropout(x) of a row, over s in x with statistics; y = γ (s - mean) / √(var + ε) + β.
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
    float values[CHUNKS][VECTOR], sum = 0.0f;
    for_chunks(width, [&](unsigned chunk, unsigned column) {
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
    });
    float mean = warp_sum(sum) / float(width), squares = 0.0f;
    for_chunks(width, [&](unsigned chunk, unsigned) {
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            values[chunk][i] -= mean;
            squares += values[chunk][i] * values[chunk][i];
        }
    });
    float inverse = 1.0f / sqrtf(warp_sum(squares) / float(width) + epsilon);
    if (statistics != nullptr && threadIdx.x % WARP == 0) {
        statistics[2 * size_t(row)] = mean;
        statistics[2 * size_t(row) + 1] = inverse;
    }
    for_chunks(width, [&](unsigned chunk, unsigned column) {
        float weights[VECTOR], biases[VECTOR];
        load(weight + column, weights);
        load(bias + column, biases);
#pragma unroll
        for (unsigned i = 0; i < VECTOR; i++) {
            values[chunk][i] = values[chunk][i] * inverse * weights[i] + biases[i];
        }
        store(y + start + column, values[chunk]);
    });
}
EXPORT_KERNEL(add_layer_norm)

// The same for a row of any width.
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
    for_columns(width, [&](unsigned column) {
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
    });
    float mean = block_sum<WIDE_WARPS>(sum) / float(width), squares = 0.0f;
    for_columns(width, [&](unsigned column) {
        values[column] -= mean;
        squares += values[column] * values[column];
    });
    float inverse = 1.0f / sqrtf(block_sum<WIDE_WARPS>(squares) / float(width) + epsilon);
    if (statistics != nullptr && threadIdx.x == 0) {
        statistics[2 * size_t(row)] = mean;
        statistics[2 * size_t(row) + 1] = inverse;
    }
    for_columns(width, [&](unsigned column) {
        y[start + column] = from_float<storage>(values[column] * inverse * weight[column] + bias[column]);
    });
}
EXPORT_KERNEL(add_layer_norm_wide)
