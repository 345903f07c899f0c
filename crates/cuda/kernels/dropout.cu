// Dropout in place: forward on activations, backward on gradients.

#include "dropout.cuh"
#include "vectors.cuh"

extern "C" __global__ void __launch_bounds__(256) dropout(
    storage* x, Dropout dropout, unsigned rows, unsigned width
) {
    Eight eight;
    if (eight_of_matrix(rows, width, eight)) {
        float values[VECTOR];
        load(x, eight, values);
        drop(dropout, dropout_row_key(dropout, eight.row), eight.column, values);
        store(x, eight, values);
    }
}
EXPORT_KERNEL(dropout)
