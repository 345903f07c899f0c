// Stand-ins for the parts of NVIDIA's driver, NVRTC and cuBLASLt that the crate calls, as their manuals describe them: the
// driver launches kernels on the emulator, "compiled" programs say only their storage type, and products are plain loops
// over column-major matrices. Whatever a manual forbids is an error.
//
// c++ -std=c++20 -O2 -fPIC -shared driver.cpp graphs.cpp nvrtc.cpp cublaslt.cpp, then found as libcuda.so.1,
// libnvrtc.so.13 and libcublasLt.so.13.
// SERIN_EMULATOR names the folder with emulated_0.so, emulated_1.so and emulated_2.so. SERIN_STAND_IN_FREE is how many bytes
// the driver says are free, SERIN_STAND_IN_LARGEST how many it allocates at once at most.

#pragma once
#include "streams.h"

#include <cstddef>
#include <cstdint>
#include <map>

#define EXPORT extern "C" __attribute__((visibility("default")))

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_CONTEXT = 201,
    ILLEGAL_STATE = 401,
    NOT_FOUND = 500,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    CAPTURE_UNMATCHED = 903,
    CAPTURE_ISOLATION = 905,
    CAPTURE_WRONG_THREAD = 908,
};

inline thread_local bool context_is_current = false;

// Where allocations begin, and how long they are.
inline std::map<uint64_t, size_t> allocations;

inline bool inside(const std::map<uint64_t, size_t>& ranges, uint64_t address, size_t bytes) {
    auto next = ranges.upper_bound(address);
    if (next == ranges.begin()) return false;
    auto [start, length] = *--next;
    return address - start <= length && bytes <= length - (address - start);
}

inline bool allocated(uint64_t address, size_t bytes) { return inside(allocations, address, bytes); }

// A function of the emulator's library for a storage type.
void* emulator(int storage, const char* name);

// A kernel on its way to a launch.
struct Function {
    int storage;
    const void* kernel;
    unsigned shared = 48 << 10;
};

// A launch with its arguments copied; empty if the driver would refuse it.
std::function<void()> launch_of(Function* function, const unsigned (&shape)[6], unsigned shared, void** arguments);
