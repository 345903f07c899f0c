// Storage types of activations: 16-bit numbers as their bits, widened to and rounded from f32, eight at a time.
//
// Conversions are PTX (cvt, to nearest even), so that no header of CUDA's is needed where kernels are compiled.

#pragma once
#include "platform.cuh"

struct bf16 {
    unsigned short bits;
};
struct f16 {
    unsigned short bits;
};

#if STORAGE == 0
using storage = float;
#elif STORAGE == 1
using storage = bf16;
#elif STORAGE == 2
using storage = f16;
#else
#error "STORAGE is 0 (f32), 1 (bf16) or 2 (f16)"
#endif

__device__ inline float to_float(float value) {
    return value;
}

__device__ inline float to_float(bf16 value) {
    return __uint_as_float(unsigned(value.bits) << 16);
}

#ifdef __CUDACC__

__device__ inline float to_float(f16 value) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
}

// `low` in the low half of a word, `high` in the high half.
template <typename T>
__device__ inline unsigned pack_as(float low, float high);

template <>
__device__ inline unsigned pack_as<bf16>(float low, float high) {
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

template <>
__device__ inline unsigned pack_as<f16>(float low, float high) {
    unsigned both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

#else

inline float to_float(f16 value) {
    unsigned magnitude = value.bits & 0x7fff, sign = unsigned(value.bits & 0x8000) << 16;
    if (magnitude >= 0x7c00) {
        return __uint_as_float(sign | 0x7f800000 | magnitude << 13);
    }
    // The exponent's bias is 112 less; the multiplication normalises subnormal numbers.
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(magnitude << 13) * 0x1p112f));
}

inline unsigned short round_to(float value, bf16) {
    unsigned bits = __float_as_uint(value);
    if (value != value) {
        return 0x7fff;
    }
    return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline unsigned short round_to(float value, f16) {
    unsigned bits = __float_as_uint(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (value != value) {
        return 0x7fff;
    }
    if (magnitude >= 0x477ff000) {  // 65520: the first that rounds to infinity
        return (unsigned short)(sign | 0x7c00);
    }
    if (magnitude < 0x38800000) {  // below 2^-14: the addition rounds to multiples of 2^-24
        return (unsigned short)(sign | (__float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3f000000));
    }
    return (unsigned short)(sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13));
}

template <typename T>
unsigned pack_as(float low, float high) {
    return round_to(low, T{}) | unsigned(round_to(high, T{})) << 16;
}

#endif

template <typename T>
__device__ inline T from_float(float value) {
    if constexpr (sizeof(T) == sizeof(float)) {
        return value;
    } else {
        return T{(unsigned short)pack_as<T>(value, 0.0f)};
    }
}

#if STORAGE != 0
// Two numbers of the storage type, `low` in the low half.
__device__ inline unsigned pack(float low, float high) {
    return pack_as<storage>(low, high);
}
#endif

// Copies 16 bytes; both addresses are multiples of 16.
__device__ inline void copy_16(void* to, const void* from) {
    *static_cast<uint4*>(to) = *static_cast<const uint4*>(from);
}

// Elements that a thread takes at a time: 16 bytes of a 16-bit type.
constexpr unsigned VECTOR = 8;

// Eight neighbours, of which the first is at a multiple of 16 bytes.
__device__ inline void load(const float* from, float (&to)[VECTOR]) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        float4 four = reinterpret_cast<const float4*>(from)[half];
        to[4 * half] = four.x;
        to[4 * half + 1] = four.y;
        to[4 * half + 2] = four.z;
        to[4 * half + 3] = four.w;
    }
}

template <typename T>
__device__ inline void load(const T* from, float (&to)[VECTOR]) {
    uint4 all = *reinterpret_cast<const uint4*>(from);
    const unsigned pairs[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
        to[2 * i] = to_float(T{(unsigned short)pairs[i]});
        to[2 * i + 1] = to_float(T{(unsigned short)(pairs[i] >> 16)});
    }
}

__device__ inline void store(float* to, const float (&from)[VECTOR]) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        const float* four = from + 4 * half;
        reinterpret_cast<float4*>(to)[half] = float4{four[0], four[1], four[2], four[3]};
    }
}

template <typename T>
__device__ inline void store(T* to, const float (&from)[VECTOR]) {
    *reinterpret_cast<uint4*>(to) = uint4{
        pack_as<T>(from[0], from[1]), pack_as<T>(from[2], from[3]), pack_as<T>(from[4], from[5]),
        pack_as<T>(from[6], from[7])
    };
}

// The same where only `count` of the eight exist, or where they are not aligned; the missing are 0.
template <typename T>
__device__ inline void load_some(const T* from, unsigned count, float (&to)[VECTOR]) {
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        to[i] = i < count ? to_float(from[i]) : 0.0f;
    }
}

template <typename T>
__device__ inline void store_some(T* to, unsigned count, const float (&from)[VECTOR]) {
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        if (i < count) {
            to[i] = from_float<T>(from[i]);
        }
    }
}
