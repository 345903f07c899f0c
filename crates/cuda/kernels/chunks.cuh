// All tensors of a model in one launch: a block has a chunk of one of them.

#pragma once
#include "platform.cuh"

// Elements of a chunk.
constexpr unsigned CHUNK = 16384;

// Elements first .. first + count of a slot's tensor.
template <typename Slot>
struct Chunk {
    const Slot& slot;
    unsigned long long first;
    unsigned count;
};

// This block's chunk, of the last slot that does not begin after it.
template <typename Slot>
__device__ inline Chunk<Slot> chunk_of_block(const Slot* slots, unsigned slot_count) {
    unsigned at = 0, end = slot_count;
    while (end - at > 1) {
        unsigned middle = (at + end) / 2;
        if (slots[middle].first_chunk <= blockIdx.x) {
            at = middle;
        } else {
            end = middle;
        }
    }
    const Slot& slot = slots[at];
    unsigned long long first = (blockIdx.x - slot.first_chunk) * CHUNK, left = slot.len - first;
    return Chunk<Slot>{slot, first, left < CHUNK ? unsigned(left) : CHUNK};
}
