// The one seam between a card and the emulator: what differs in the language, and nothing else.
//
// NVRTC knows all the rest by itself; elsewhere emulator/cuda_emulator.h gives it the same names.

#pragma once

#ifdef __CUDACC__
// Makes a kernel known to the emulator by its name; a module on a card knows its functions.
#define EXPORT_KERNEL(name)
// `type* name`: the dynamic shared memory of the launch, 16-byte aligned.
#define DYNAMIC_SHARED(type, name)                       \
    extern __shared__ uint4 dynamic_shared_memory[];     \
    type* const name = reinterpret_cast<type*>(dynamic_shared_memory)
#else
#include "emulator/cuda_emulator.h"
#endif

// Lanes of a warp.
constexpr unsigned WARP = 32;
// All of them: every collective here takes whole warps.
constexpr unsigned ALL_LANES = 0xffffffff;

__device__ inline float infinity() {
    return __uint_as_float(0x7f800000);
}
