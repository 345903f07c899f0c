// Sums over the rows of a matrix, in two stages whose split depends on the shape only: gradients of biases and norms.
//
// First stage: a block takes 256 columns of some rows; each of its warps reads whole pieces of rows (512 bytes in a
// 16-bit type) and keeps eight sums a lane. Second stage: the few partial sums of each column.

#include "reductions.cuh"

// partials[part] = the sum of the part's rows; the grid's y is the number of parts.
extern "C" __global__ void __launch_bounds__(COLUMNS) column_sums(
    const storage* dy, unsigned rows, unsigned width, float* partials
) {
    unsigned rows_a_part = (rows + gridDim.y - 1) / gridDim.y;
    unsigned first = blockIdx.y * rows_a_part, end = min(first + rows_a_part, rows);
    auto read = [&](unsigned row, unsigned column, float (&values)[VECTOR]) {
        load(dy, eight_of_row(row, column, width), values);
    };
    float total = column_sum(first, end, blockIdx.x * COLUMNS, width, read);
    unsigned column = blockIdx.x * COLUMNS + threadIdx.x;
    if (column < width) {
        partials[size_t(blockIdx.y) * width + column] = total;
    }
}
EXPORT_KERNEL(column_sums)

// first[c] += Σ partials[p][c], and second[c] += Σ partials[p][width + c] where it is given.
extern "C" __global__ void __launch_bounds__(256) add_partial_sums(
    const float* partials, unsigned parts, unsigned width, float* first, float* second
) {
    constexpr unsigned WARPS = 256 / WARP;
    __shared__ float sums[WARPS][WARP];
    unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    unsigned columns = second != nullptr ? 2 * width : width;
    unsigned column = blockIdx.x * WARP + lane;
    float sum = 0.0f;
    if (column < columns) {
#pragma unroll 4
        for (unsigned part = warp; part < parts; part += WARPS) {
            sum += partials[size_t(part) * columns + column];
        }
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || column >= columns) {
        return;
    }
    for (unsigned other = 1; other < WARPS; other++) {
        sum += sums[other][lane];
    }
    float* to = column < width ? first + column : second + (column - width);
    *to += sum;
}
EXPORT_KERNEL(add_partial_sums)
