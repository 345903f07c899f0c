// Rows picked out of a buffer, and added back to rows that are all different.

#include "vectors.cuh"

// out[i] = x[indices[i]].
extern "C" __global__ void __launch_bounds__(256) gather_rows(
    const void* x, unsigned x_type, const unsigned* indices, unsigned count, unsigned width, void* out,
    unsigned out_type
) {
    Eight eight;
    if (eight_of_matrix(count, width, eight)) {
        float values[VECTOR];
        load(x, x_type, eight_of_row(indices[eight.row], eight.column, width), values);
        store(out, out_type, eight, values);
    }
}
EXPORT_KERNEL(gather_rows)

// d_x[indices[i]] += d_out[i].
extern "C" __global__ void __launch_bounds__(256) scatter_add_rows(
    const void* d_out, unsigned d_out_type, const unsigned* indices, unsigned count, unsigned width, void* d_x,
    unsigned d_x_type
) {
    Eight eight;
    if (eight_of_matrix(count, width, eight)) {
        Eight target = eight_of_row(indices[eight.row], eight.column, width);
        float values[VECTOR], sum[VECTOR];
        load(d_out, d_out_type, eight, values);
        load(d_x, d_x_type, target, sum);
        add(sum, values);
        store(d_x, d_x_type, target, sum);
    }
}
EXPORT_KERNEL(scatter_add_rows)
