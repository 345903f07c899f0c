// How fast memory is: read and nothing else, and copied. No op uses them.

#include "platform.cuh"

constexpr unsigned THREADS = 256;

// The place in `count` things of this thread in a grid whose blocks are numbered from `first` on.
__device__ inline unsigned long long place(unsigned first) {
    return (unsigned long long)((blockIdx.x + first) % gridDim.x) * THREADS + threadIdx.x;
}

// sums[thread of the grid] = the sum of the 32-bit words that it read. In each of `passes` a block reads what its neighbour read in
// the one before, which a processor's own cache does not hold.
extern "C" __global__ void __launch_bounds__(THREADS) read_memory(
    const uint4* from, unsigned long long count, unsigned passes, unsigned* sums
) {
    const unsigned long long stride = (unsigned long long)gridDim.x * THREADS;
    unsigned sum = 0;
    for (unsigned pass = 0; pass < passes; pass++) {
#pragma unroll 8
        for (unsigned long long i = place(pass); i < count; i += stride) {
            uint4 words = from[i];
            sum += (words.x + words.y) + (words.z + words.w);
        }
    }
    sums[place(0)] = sum;
}
EXPORT_KERNEL(read_memory)

// to[i] = from[i].
extern "C" __global__ void __launch_bounds__(THREADS) copy_memory(const uint4* from, unsigned long long count, uint4* to) {
    const unsigned long long stride = (unsigned long long)gridDim.x * THREADS;
#pragma unroll 4
    for (unsigned long long i = place(0); i < count; i += stride) {
        to[i] = from[i];
    }
}
EXPORT_KERNEL(copy_memory)
