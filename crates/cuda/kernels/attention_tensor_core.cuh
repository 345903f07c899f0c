// Tiles of 16-bit numbers in shared memory and their products on tensor cores, for head widths of 32 and 64.
//
// A block has four warps; each owns 16 of the tile's 64 rows, so that the softmax of a row stays within four lanes and
// warps meet only where tiles change. Lane 4g + t holds rows g and g + 8 and columns 2t and 2t + 1 of a 16 x 8
// accumulator, as tensor_core.cuh says.

#pragma once
#include "attention.cuh"
#include "tensor_core.cuh"

constexpr unsigned WARPS = 4;
constexpr unsigned THREADS = WARP * WARPS;
// Rows of a warp.
constexpr unsigned BAND = TILE / WARPS;

// Elements of a tile [TILE, D].
template <unsigned D>
constexpr unsigned TILE_SIZE = TILE * D;

// Where 16-byte chunk `chunk` of row `row` of a tile lies. A column of eight chunks, which ldmatrix reads at once, is
// spread over all 32 banks: 128 bytes hold one row of 64 or two of 32. The pattern repeats every eight rows, so that
// what follows adds multiples of these outside: they become constants in the instructions.
template <unsigned D>
__device__ inline unsigned swizzled(unsigned row, unsigned chunk) {
    constexpr unsigned CHUNKS = D / 8, ROWS_A_LINE = 64 / D;
    return row * D + (chunk ^ (row / ROWS_A_LINE) % CHUNKS) * 8;
}

// Starts copying `rows` rows (at most TILE are taken) of D elements, `stride` apart; zeros follow up to TILE.
template <unsigned D>
__device__ inline void load_tile(storage* tile, const storage* from, size_t stride, unsigned rows) {
    constexpr unsigned CHUNKS = D / 8;
#pragma unroll
    for (unsigned i = 0; i < TILE * CHUNKS / THREADS; i++) {
        unsigned index = threadIdx.x + i * THREADS;
        unsigned row = index / CHUNKS, chunk = index % CHUNKS;
        cp_async_16(tile + swizzled<D>(row, chunk), from + row * stride + chunk * 8, row < rows);
    }
}

// Two tiles of keys and two of values: one of each is used while the other comes.
template <unsigned D>
struct alignas(128) KeysAndValues {
    storage keys[2 * TILE_SIZE<D>], values[2 * TILE_SIZE<D>];

    // Starts copying tile `index` of a sequence, whose first key is at `first`; its value is `width` elements behind.
    __device__ void start(unsigned index, const storage* first, size_t width, size_t stride, unsigned length) {
        unsigned row = index * TILE, stage = index % 2 * TILE_SIZE<D>;
        const storage* from = first + row * stride;
        load_tile<D>(keys + stage, from, stride, length - row);
        load_tile<D>(values + stage, from + width, stride, length - row);
    }
};

// The 16 rows from `first` on as the left side of a product.
template <unsigned D>
__device__ inline void load_left(unsigned (&left)[D / 16][4], const storage* tile, unsigned first) {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned k = 0; k < D / 16; k++) {
        ldmatrix_x4(left[k], tile + first * D + swizzled<D>(lane % 16, 2 * k + lane / 16));
    }
}

// The same with rows 2g and 2g + 1 as the fragment's rows g and g + 8: a lane then holds neighbouring rows.
template <unsigned D>
__device__ inline void load_left_paired(unsigned (&left)[D / 16][4], const storage* tile, unsigned first) {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned k = 0; k < D / 16; k++) {
        ldmatrix_x4(left[k], tile + first * D + swizzled<D>(2 * (lane % 8) + lane / 8 % 2, 2 * k + lane / 16));
    }
}

// product = left tile^T over the tile's rows first .. first + COLUMNS.
template <unsigned D, unsigned COLUMNS>
__device__ inline void multiply_transposed(
    float (&product)[COLUMNS / 8][4], const unsigned (&left)[D / 16][4], const storage* tile, unsigned first
) {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned n = 0; n < COLUMNS / 8; n += 2) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            product[n][i] = product[n + 1][i] = 0.0f;
        }
#pragma unroll
        for (unsigned k = 0; k < D / 16; k++) {
            unsigned right[4];
            const storage* block = tile + swizzled<D>(lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2);
            ldmatrix_x4(right, block + (first + 8 * n) * D);
            mma_16x8x16(product[n], left[k], right[0], right[1]);
            mma_16x8x16(product[n + 1], left[k], right[2], right[3]);
        }
    }
}

// sum += left tile over the tile's rows first .. first + ROWS.
template <unsigned D, unsigned ROWS>
__device__ inline void multiply_add(
    float (&sum)[D / 8][4], const unsigned (&left)[ROWS / 16][4], const storage* tile, unsigned first
) {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned k = 0; k < ROWS / 16; k++) {
#pragma unroll
        for (unsigned n = 0; n < D / 8; n += 2) {
            unsigned right[4];
            const storage* block = tile + swizzled<D>(lane % 16, n + lane / 16);
            ldmatrix_x4_trans(right, block + (first + 16 * k) * D);
            mma_16x8x16(sum[n], left[k], right[0], right[1]);
            mma_16x8x16(sum[n + 1], left[k], right[2], right[3]);
        }
    }
}

// An accumulator, rounded, as the left side of the next product: both layouts agree.
template <unsigned COLUMNS>
__device__ inline void round_left(unsigned (&left)[COLUMNS / 16][4], const float (&product)[COLUMNS / 8][4]) {
#pragma unroll
    for (unsigned k = 0; k < COLUMNS / 16; k++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            const float* pair = &product[2 * k + i / 2][i % 2 * 2];
            left[k][i] = pack(pair[0], pair[1]);
        }
    }
}

template <unsigned N>
__device__ inline void clear(float (&sum)[N][4]) {
#pragma unroll
    for (unsigned n = 0; n < N; n++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            sum[n][i] = 0.0f;
        }
    }
}

// Scores of keys behind the sequence's last: of these COLUMNS the first `keys` exist.
template <unsigned COLUMNS>
__device__ inline void hide_absent(float (&scores)[COLUMNS / 8][4], unsigned keys) {
#pragma unroll
    for (unsigned n = 0; n < COLUMNS / 8; n++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            if (8 * n + threadIdx.x % 4 * 2 + i % 2 >= keys) {
                scores[n][i] = -infinity();
            }
        }
    }
}

// Of the four lanes that hold a row.
__device__ inline float row_sum(float value) {
    value += __shfl_xor_sync(ALL_LANES, value, 1);
    return value + __shfl_xor_sync(ALL_LANES, value, 2);
}

__device__ inline float row_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 1));
    return fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 2));
}

// Writes a warp's 16 rows, of which the first `rows` exist, each times its half's factor (rows 0..8 and 8..16 of the
// fragment); through the warp's own part of shared memory, so that a row leaves in 16-byte pieces.
// `paired`: as load_left_paired took them.
template <unsigned D, bool PAIRED>
__device__ inline void store_rows(
    storage* to, size_t stride, unsigned rows, const float (&sum)[D / 8][4], const float (&factor)[2], storage* band
) {
    constexpr unsigned CHUNKS = D / 8;
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        unsigned row = PAIRED ? lane / 4 * 2 + half : lane / 4 + half * 8;
#pragma unroll
        for (unsigned n = 0; n < CHUNKS; n++) {
            unsigned both = pack(sum[n][2 * half] * factor[half], sum[n][2 * half + 1] * factor[half]);
            *reinterpret_cast<unsigned*>(band + swizzled<D>(row, n) + lane % 4 * 2) = both;
        }
    }
    __syncwarp();
#pragma unroll
    for (unsigned i = 0; i < BAND * CHUNKS / 32; i++) {
        unsigned index = lane + i * 32;
        unsigned row = index / CHUNKS, chunk = index % CHUNKS;
        if (row < rows) {
            copy_16(to + row * stride + chunk * 8, band + swizzled<D>(row, chunk));
        }
    }
}
