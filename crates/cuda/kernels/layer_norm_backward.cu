// The backward of residual + dropout + layer norm: the gradients of the sum and of what was dropped in one pass, and
// partial sums of dγ and dβ on the way, for add_partial_sums.
//
// With n = (s - mean) / σ and g = dy γ: ds = (g - mean(g) - n mean(g n)) / σ. As in the forward pass a warp has a row in
// registers; a block's warps go through the rows of its part, keep dγ and dβ of their columns in registers too, and add
// them up at the end, warp after warp. At most 384 blocks, three on each of an H100's 132 multiprocessors (so no more than
// 168 registers): all run at once, and the partial sums stay small beside the rows.

#include "layer_norm.cuh"

// The rows of this block's part.
struct Part {
    unsigned first, end;
};

__device__ inline Part part_of(unsigned rows) {
    unsigned rows_a_part = (rows + gridDim.x - 1) / gridDim.x;
    unsigned first = blockIdx.x * rows_a_part;
    return Part{first, min(first + rows_a_part, rows)};
}

// partials[part] = dγ, dβ of the part's rows, `[2, width]`.
extern "C" __global__ void __launch_bounds__(WARP * ROW_WARPS, 3) add_layer_norm_backward(
    const storage* dy, const storage* sum, const float* statistics, const float* weight, unsigned rows, unsigned width,
    Dropout dropout, storage* d_sum, storage* d_x, float* partials
) {
    unsigned warp = threadIdx.x / WARP;
    Part part = part_of(rows);
    float d_weight[CHUNKS][VECTOR] = {}, d_bias[CHUNKS][VECTOR] = {};
    for (unsigned row = part.first + warp; row < part.end; row += ROW_WARPS) {
        size_t start = size_t(row) * width;
        float mean = statistics[2 * size_t(row)], inverse = statistics[2 * size_t(row) + 1];
        float normalised[CHUNKS][VECTOR], scaled[CHUNKS][VECTOR];
        float sum_g = 0.0f, sum_gn = 0.0f;
#pragma unroll
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
            unsigned column = chunk_column(chunk);
            if (column >= width) {
                continue;
            }
            float weights[VECTOR], slopes[VECTOR];
            load(sum + start + column, normalised[chunk]);
            load(dy + start + column, slopes);
            load(weight + column, weights);
#pragma unroll
            for (unsigned i = 0; i < VECTOR; i++) {
                float n = (normalised[chunk][i] - mean) * inverse, g = slopes[i] * weights[i];
                normalised[chunk][i] = n;
                scaled[chunk][i] = g;
                sum_g += g;
                sum_gn += g * n;
                d_weight[chunk][i] += slopes[i] * n;
                d_bias[chunk][i] += slopes[i];
            }
        }
        float mean_g = warp_sum(sum_g) / float(width), mean_gn = warp_sum(sum_gn) / float(width);
        unsigned key = dropout_row_key(dropout, row);
#pragma unroll
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
            unsigned column = chunk_column(chunk);
            if (column >= width) {
                continue;
            }
            float gradient[VECTOR];
#pragma unroll
            for (unsigned i = 0; i < VECTOR; i++) {
                gradient[i] = (scaled[chunk][i] - mean_g - normalised[chunk][i] * mean_gn) * inverse;
            }
            store(d_sum + start + column, gradient);
            if (d_x != nullptr) {
                drop(dropout, key, column, gradient);
                store(d_x + start + column, gradient);
            }
        }
    }
    // [2, width]
    DYNAMIC_SHARED(float, sums);
    for (unsigned turn = 0; turn < ROW_WARPS; turn++) {
#pragma unroll
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++) {
            unsigned column = chunk_column(chunk);
            if (turn == warp && column < width) {
                if (turn > 0) {
                    float before[VECTOR];
                    load(sums + column, before);
                    add(d_weight[chunk], before);
                    load(sums + width + column, before);
                    add(d_bias[chunk], before);
                }
                store(sums + column, d_weight[chunk]);
                store(sums + width + column, d_bias[chunk]);
            }
        }
        __syncthreads();
    }
    for (unsigned column = threadIdx.x; column < 2 * width; column += WARP * ROW_WARPS) {
        partials[size_t(blockIdx.x) * 2 * width + column] = sums[column];
    }
}
EXPORT_KERNEL(add_layer_norm_backward)

extern "C" __global__ void __launch_bounds__(WARP * WIDE_WARPS) add_layer_norm_backward_wide(
    const storage* dy, const storage* sum, const float* statistics, const float* weight, unsigned rows, unsigned width,
    Dropout dropout, storage* d_sum, storage* d_x, float* partials
) {
    // [2, width]; a thread only touches its own columns.
    DYNAMIC_SHARED(float, sums);
    float *d_weight = sums, *d_bias = sums + width;
    for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
        d_weight[column] = d_bias[column] = 0.0f;
    }
    Part part = part_of(rows);
    for (unsigned row = part.first; row < part.end; row++) {
        size_t start = size_t(row) * width;
        float mean = statistics[2 * size_t(row)], inverse = statistics[2 * size_t(row) + 1];
        float sum_g = 0.0f, sum_gn = 0.0f;
        for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
            float slope = to_float(dy[start + column]), n = (to_float(sum[start + column]) - mean) * inverse;
            sum_g += slope * weight[column];
            sum_gn += slope * weight[column] * n;
            d_weight[column] += slope * n;
            d_bias[column] += slope;
        }
        float mean_g = block_sum<WIDE_WARPS>(sum_g) / float(width);
        float mean_gn = block_sum<WIDE_WARPS>(sum_gn) / float(width);
        unsigned key = dropout_row_key(dropout, row);
        for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
            float g = to_float(dy[start + column]) * weight[column];
            float n = (to_float(sum[start + column]) - mean) * inverse;
            float gradient = (g - mean_g - n * mean_gn) * inverse;
            d_sum[start + column] = from_float<storage>(gradient);
            if (d_x != nullptr) {
                d_x[start + column] = from_float<storage>(drop_one(dropout, key, column, gradient));
            }
        }
    }
    for (unsigned column = threadIdx.x; column < width; column += WARP * WIDE_WARPS) {
        float* partial = partials + size_t(blockIdx.x) * 2 * width;
        partial[column] = d_weight[column];
        partial[width + column] = d_bias[column];
    }
}
EXPORT_KERNEL(add_layer_norm_backward_wide)
