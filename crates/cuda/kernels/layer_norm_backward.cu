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

// sums = the sum over the block's warps, in their order.
__device__ inline void add_up_warps(float (&values)[CHUNKS][VECTOR], unsigned width, float* sums) {
    for (unsigned warp = 0; warp < ROW_WARPS; warp++) {
        if (warp == threadIdx.x / WARP) {
            for_chunks(width, [&](unsigned chunk, unsigned column) {
                if (warp > 0) {
                    float before[VECTOR];
                    load(sums + column, before);
                    add(values[chunk], before);
                }
                store(sums + column, values[chunk]);
            });
        }
        __syncthreads();
    }
}

// partials[part] = dγ, dβ of the part's rows, `[2, width]`.
extern "C" __global__ void __launch_bounds__(WARP * ROW_WARPS, 3) add_layer_norm_backward(
    const storage* dy, const storage* sum, const float* statistics, const float* weight, unsigned rows, unsigned width,
    Dropout dropout, storage* d_sum, storage* d_x, float* partials
) {
    Part part = part_of(rows);
    float d_weight[CHUNKS][VECTOR] = {}, d_bias[CHUNKS][VECTOR] = {};
    for (unsigned row = part.first + threadIdx.x / WARP; row < part.end; row += ROW_WARPS) {
        size_t start = size_t(row) * width;
        float mean = statistics[2 * size_t(row)], inverse = statistics[2 * size_t(row) + 1];
        float normalised[CHUNKS][VECTOR], scaled[CHUNKS][VECTOR], sum_g = 0.0f, sum_gn = 0.0f;
        for_chunks(width, [&](unsigned chunk, unsigned column) {
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
        });
        float mean_g = warp_sum(sum_g) / float(width), mean_gn = warp_sum(sum_gn) / float(width);
        unsigned key = dropout_row_key(dropout, row);
        for_chunks(width, [&](unsigned chunk, unsigned column) {
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
        });
    }
    // [2, width]
    DYNAMIC_SHARED(float, sums);
    add_up_warps(d_weight, width, sums);
    add_up_warps(d_bias, width, sums + width);
    for (unsigned column = threadIdx.x; column < 2 * width; column += WARP * ROW_WARPS) {
        partials[size_t(blockIdx.x) * 2 * width + column] = sums[column];
    }
}
EXPORT_KERNEL(add_layer_norm_backward)

// The same for rows of any width: a block takes one after another.
extern "C" __global__ void __launch_bounds__(WARP * WIDE_WARPS) add_layer_norm_backward_wide(
    const storage* dy, const storage* sum, const float* statistics, const float* weight, unsigned rows, unsigned width,
    Dropout dropout, storage* d_sum, storage* d_x, float* partials
) {
    // [2, width]; a thread only touches its own columns.
    DYNAMIC_SHARED(float, d_weight);
    float* d_bias = d_weight + width;
    for_columns(width, [&](unsigned column) { d_weight[column] = d_bias[column] = 0.0f; });
    Part part = part_of(rows);
    for (unsigned row = part.first; row < part.end; row++) {
        size_t start = size_t(row) * width;
        float mean = statistics[2 * size_t(row)], inverse = statistics[2 * size_t(row) + 1];
        auto normalised = [&](unsigned column) { return (to_float(sum[start + column]) - mean) * inverse; };
        float sum_g = 0.0f, sum_gn = 0.0f;
        for_columns(width, [&](unsigned column) {
            float slope = to_float(dy[start + column]), n = normalised(column);
            sum_g += slope * weight[column];
            sum_gn += slope * weight[column] * n;
            d_weight[column] += slope * n;
            d_bias[column] += slope;
        });
        float mean_g = block_sum<WIDE_WARPS>(sum_g) / float(width);
        float mean_gn = block_sum<WIDE_WARPS>(sum_gn) / float(width);
        unsigned key = dropout_row_key(dropout, row);
        for_columns(width, [&](unsigned column) {
            float g = to_float(dy[start + column]) * weight[column];
            float gradient = (g - mean_g - normalised(column) * mean_gn) * inverse;
            d_sum[start + column] = from_float<storage>(gradient);
            if (d_x != nullptr) {
                d_x[start + column] = from_float<storage>(drop_one(dropout, key, column, gradient));
            }
        });
    }
    float* partial = partials + size_t(blockIdx.x) * 2 * width;
    for_columns(width, [&](unsigned column) {
        partial[column] = d_weight[column];
        partial[width + column] = d_bias[column];
    });
}
EXPORT_KERNEL(add_layer_norm_backward_wide)
