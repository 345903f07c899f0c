// All tensors of a model in one launch: a block has a chunk of one of them.

#pragma once
#include "platform.cuh"

// Elements of a chunk.
constexpr unsigned CHUNK = 16384;

// The slot that this block's chunk belongs to: the last one that does not begin after it.
template <typename Slot>
__device__ inline const Slot& slot_of_block(const Slot* slots, unsigned slot_count) {
    unsigned first = 0, end = slot_count;
    while (end - first > 1) {
        unsigned middle = (first + end) / 2;
        if (slots[middle].first_chunk <= blockIdx.x) {
            first = middle;
        } else {
            end = middle;
        }
    }
    return slots[first];
}
