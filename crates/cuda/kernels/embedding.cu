// Embedding: three table rows added up for a token, and the gradients added up for a table row.
//
// The backward pass takes the tokens sorted by table row, so that each table row is written by one block, without
// atomics. A block's eight warps share the tokens of its row: few for most words, all of them for a token type.

#include "reductions.cuh"

// out[r] = word[ids[r]] + position[positions[r]] + token_type[types[r]].
extern "C" __global__ void __launch_bounds__(256) embed(
    const void* word, const void* position, const void* token_type, unsigned table_type, const unsigned* ids,
    const unsigned* positions, const unsigned* types, unsigned rows, unsigned width, void* out, unsigned out_type
) {
    Eight eight;
    if (!eight_of_matrix(rows, width, eight)) {
        return;
    }
    float sum[VECTOR], values[VECTOR];
    load(word, table_type, eight_of_row(ids[eight.row], eight.column, width), sum);
    load(position, table_type, eight_of_row(positions[eight.row], eight.column, width), values);
    add(sum, values);
    if (token_type != nullptr) {
        load(token_type, table_type, eight_of_row(types[eight.row], eight.column, width), values);
        add(sum, values);
    }
    store(out, out_type, eight, sum);
}
EXPORT_KERNEL(embed)

// d_table[indices[r]] += d_out[r] for the rows r of one segment: order[segments[s] .. segments[s + 1]].
extern "C" __global__ void __launch_bounds__(COLUMNS) embed_backward(
    const void* d_out, unsigned d_out_type, const unsigned* indices, const unsigned* order, const unsigned* segments,
    unsigned width, float* d_table
) {
    unsigned first = segments[blockIdx.x], end = segments[blockIdx.x + 1];
    if (first == end) {
        return;
    }
    auto read = [&](unsigned i, unsigned column, float (&values)[VECTOR]) {
        load(d_out, d_out_type, eight_of_row(order[i], column, width), values);
    };
    float total = column_sum(first, end, blockIdx.y * COLUMNS, width, read);
    unsigned column = blockIdx.y * COLUMNS + threadIdx.x;
    if (column < width) {
        d_table[size_t(indices[order[first]]) * width + column] += total;
    }
}
EXPORT_KERNEL(embed_backward)
