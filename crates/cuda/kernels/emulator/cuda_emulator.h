// CUDA's language as C++20, for one host thread: a block's threads are fibers that run until they must meet.
//
// What a kernel may use is here and in tensor_core.cuh; what is missing does not compile. Deliberately stricter than a
// card: all 32 lanes must take part in a collective, all threads of a block in a barrier at the same line; dynamic shared
// memory starts as NaN (static shared memory holds what the block before left); a cp.async arrives when it is waited for
// and no sooner. Every other launch of a kernel runs its warps and lanes backwards, so that a missing barrier shows as a
// difference between two calls.

#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

struct dim3 {
    unsigned x, y, z;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

namespace emulator {

// Where in a kernel a thread waits.
struct Site {
    const char* operation;
    const char* file;
    int line;
};

// What a lane brings to a collective: at most the ten words of a matrix product.
struct alignas(8) Exchange {
    unsigned words[10];
};

// Meets the other lanes of the warp, with `mine`. What all brought lies in the result until the next but one meeting;
// whoever comes last may replace it by what they get.
const Exchange* meet_warp(const Exchange& mine, unsigned mask, Site site, void (*combine)(Exchange*) = nullptr);
// Meets the other threads of the block, and counts those whose `vote` is true.
unsigned meet_block(bool vote, Site site);
// Copies 16 bytes, of which the last 16 - `valid` are zeros, when the group they are committed in is waited for.
void copy_later(void* target, const void* source, unsigned valid);
void commit_copies();
// Carries out all groups but the last `newest`.
void wait_for_copies(unsigned newest);
// The launch's dynamic shared memory.
void* dynamic_shared();
// Ends the process with a message that names the kernel, the block and the thread.
[[noreturn]] void fail(Site site, const char* what);

struct Indices {
    dim3 thread, block, block_size, grid_size;
    unsigned lane;
};
// Of the fiber that runs.
extern const Indices* indices;

// Takes a kernel's arguments out of an array of pointers to them, as cuLaunchKernel does.
template <auto kernel>
struct Trampoline;
template <typename... Arguments, void (*kernel)(Arguments...)>
struct Trampoline<kernel> {
    static void call(void** arguments) {
        [&]<std::size_t... index>(std::index_sequence<index...>) {
            kernel(*static_cast<Arguments*>(arguments[index])...);
        }(std::index_sequence_for<Arguments...>{});
    }
    static constexpr unsigned count = sizeof...(Arguments);
    static constexpr unsigned sizes[count + 1] = {sizeof(Arguments)..., 0};
};

struct Kernel {
    const char* name;
    void (*call)(void**);
    const unsigned* parameter_sizes;
    unsigned parameter_count;
    unsigned launches;
    Kernel* next;
    Kernel(const char* name, void (*call)(void**), const unsigned* sizes, unsigned count);
};

}  // namespace emulator

#define EXPORT_KERNEL(name)                                                                                          \
    static ::emulator::Kernel name##_kernel(                                                                         \
        #name, &::emulator::Trampoline<&name>::call, ::emulator::Trampoline<&name>::sizes,                           \
        ::emulator::Trampoline<&name>::count                                                                         \
    );
#define DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(::emulator::dynamic_shared())
#define EMULATOR_SITE(operation) \
    ::emulator::Site { operation, file, line }
#define EMULATOR_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()

#define __global__ __attribute__((visibility("hidden")))
#define __device__
#define __host__
// One block runs at a time.
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

#define threadIdx (::emulator::indices->thread)
#define blockIdx (::emulator::indices->block)
#define blockDim (::emulator::indices->block_size)
#define gridDim (::emulator::indices->grid_size)

inline void __syncthreads(EMULATOR_CALLER) {
    emulator::meet_block(false, EMULATOR_SITE("__syncthreads"));
}
inline int __syncthreads_or(int vote, EMULATOR_CALLER) {
    return emulator::meet_block(vote != 0, EMULATOR_SITE("__syncthreads_or")) > 0;
}
inline int __syncthreads_and(int vote, EMULATOR_CALLER) {
    return emulator::meet_block(vote == 0, EMULATOR_SITE("__syncthreads_and")) == 0;
}
inline int __syncthreads_count(int vote, EMULATOR_CALLER) {
    return int(emulator::meet_block(vote != 0, EMULATOR_SITE("__syncthreads_count")));
}
inline void __syncwarp(unsigned mask = 0xffffffff, EMULATOR_CALLER) {
    emulator::meet_warp({}, mask, EMULATOR_SITE("__syncwarp"));
}

namespace emulator {

// The value that lane `from` brought; the lane's own if there is no such lane in its part of `width` lanes.
template <typename T>
T shuffle(unsigned mask, T value, unsigned from, Site site) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    Exchange mine{};
    std::memcpy(mine.words, &value, sizeof(T));
    const Exchange* all = meet_warp(mine, mask, site);
    std::memcpy(&value, all[from].words, sizeof(T));
    return value;
}

inline unsigned votes(unsigned mask, bool vote, Site site) {
    const Exchange* all = meet_warp({{vote}}, mask, site);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; lane++) {
        bits |= all[lane].words[0] << lane;
    }
    return bits;
}

}  // namespace emulator

template <typename T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32, EMULATOR_CALLER) {
    unsigned first = emulator::indices->lane & ~unsigned(width - 1);
    return emulator::shuffle(mask, value, first + (unsigned(from) & unsigned(width - 1)), EMULATOR_SITE("__shfl_sync"));
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, EMULATOR_CALLER) {
    unsigned lane = emulator::indices->lane, from = lane ^ unsigned(lanes);
    // A lane of a later part cannot be reached; one of an earlier part can.
    unsigned end = (lane & ~unsigned(width - 1)) + unsigned(width);
    return emulator::shuffle(mask, value, from < end ? from : lane, EMULATOR_SITE("__shfl_xor_sync"));
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32, EMULATOR_CALLER) {
    unsigned lane = emulator::indices->lane, end = (lane & ~unsigned(width - 1)) + unsigned(width);
    return emulator::shuffle(mask, value, lane + lanes < end ? lane + lanes : lane, EMULATOR_SITE("__shfl_down_sync"));
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32, EMULATOR_CALLER) {
    unsigned lane = emulator::indices->lane, first = lane & ~unsigned(width - 1);
    return emulator::shuffle(mask, value, lane >= first + lanes ? lane - lanes : lane, EMULATOR_SITE("__shfl_up_sync"));
}
inline unsigned __ballot_sync(unsigned mask, int vote, EMULATOR_CALLER) {
    return emulator::votes(mask, vote != 0, EMULATOR_SITE("__ballot_sync"));
}
inline int __any_sync(unsigned mask, int vote, EMULATOR_CALLER) {
    return emulator::votes(mask, vote != 0, EMULATOR_SITE("__any_sync")) != 0;
}
inline int __all_sync(unsigned mask, int vote, EMULATOR_CALLER) {
    return emulator::votes(mask, vote != 0, EMULATOR_SITE("__all_sync")) == 0xffffffff;
}

inline float __uint_as_float(unsigned bits) {
    return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float value) {
    return std::bit_cast<unsigned>(value);
}
inline float rsqrtf(float x) {
    return 1.0f / std::sqrt(x);
}
inline float __fdividef(float a, float b) {
    return a / b;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned((unsigned long long)a * b >> 32);
}
inline int __popc(unsigned bits) {
    return std::popcount(bits);
}
template <typename T>
T __ldg(const T* address) {
    return *address;
}
// The C library declares __expf and __logf for itself. The card's are exponentials to the base 2 of a rounded product.
#define __expf(x) std::exp2(float(x) * 1.4426950408889634f)
#define __logf(x) (std::log2(float(x)) * 0.6931471805599453f)
using std::isfinite;
using std::max;
using std::min;
