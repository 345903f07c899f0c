// Eight neighbouring elements for each thread: of the rows of a matrix, or of a flat buffer.
//
// A row whose width is a multiple of 8 is read and written in 16-byte pieces. Other rows are not aligned: the same thread
// has the same columns, one by one, so that results do not depend on which way was taken.

#pragma once
#include "storage.cuh"

struct Eight {
    // Index of the first element.
    size_t at;
    unsigned row, column;
    // How many of the eight exist.
    unsigned count;
    // Whether they may be moved at once.
    bool whole;

    // The same columns of a vector that all rows share.
    __device__ Eight columns() const {
        return Eight{column, 0, column, count, whole};
    }
};

// The columns `column ..` of a row of a matrix.
__device__ inline Eight eight_of_row(unsigned row, unsigned column, unsigned width) {
    unsigned left = width - column;
    return Eight{size_t(row) * width + column, row, column, left < VECTOR ? left : VECTOR, width % VECTOR == 0};
}

// This thread's part of a matrix, one thread for each eight columns; false if there is none.
__device__ inline bool eight_of_matrix(unsigned rows, unsigned width, Eight& eight) {
    unsigned eights = (width + VECTOR - 1) / VECTOR;
    size_t index = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= size_t(rows) * eights) {
        return false;
    }
    // A division in 64 bits would cost as much as all the rest.
    unsigned row = index <= 0xffffffff ? unsigned(index) / eights : unsigned(index / eights);
    eight = eight_of_row(row, unsigned(index - size_t(row) * eights) * VECTOR, width);
    return true;
}

// This thread's part of `count` elements; false if there is none.
__device__ inline bool eight_of_buffer(unsigned long long count, Eight& eight) {
    size_t at = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * VECTOR;
    if (at >= count) {
        return false;
    }
    bool whole = count - at >= VECTOR;
    eight = Eight{at, 0, 0, whole ? VECTOR : unsigned(count - at), whole};
    return true;
}

template <typename T>
__device__ inline void load(const T* from, const Eight& eight, float (&values)[VECTOR]) {
    if (eight.whole) {
        load(from + eight.at, values);
    } else {
        load_some(from + eight.at, eight.count, values);
    }
}

template <typename T>
__device__ inline void store(T* to, const Eight& eight, const float (&values)[VECTOR]) {
    if (eight.whole) {
        store(to + eight.at, values);
    } else {
        store_some(to + eight.at, eight.count, values);
    }
}

// The same of a buffer whose type is only known at run time; the branch is the same for a whole launch.
__device__ inline void load(const void* from, unsigned type, const Eight& eight, float (&values)[VECTOR]) {
    switch (type) {
        case 0: return load(static_cast<const float*>(from), eight, values);
        case 1: return load(static_cast<const bf16*>(from), eight, values);
        default: return load(static_cast<const f16*>(from), eight, values);
    }
}

__device__ inline void store(void* to, unsigned type, const Eight& eight, const float (&values)[VECTOR]) {
    switch (type) {
        case 0: return store(static_cast<float*>(to), eight, values);
        case 1: return store(static_cast<bf16*>(to), eight, values);
        default: return store(static_cast<f16*>(to), eight, values);
    }
}

__device__ inline void add(float (&sum)[VECTOR], const float (&values)[VECTOR]) {
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        sum[i] += values[i];
    }
}
