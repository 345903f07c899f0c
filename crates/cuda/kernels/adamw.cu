// AdamW on all parameters in one launch.
//
// Bound by memory: 16 bytes read and 12 written a parameter, in pieces of 16 bytes. Factors that depend on the step are
// computed on the host in f64 and lie in memory, so that a captured graph need not change.

#include "chunks.cuh"

constexpr unsigned THREADS = 256;

struct AdamwSlot {
    float* parameter;
    const float* gradient;
    float* first_moment;
    float* second_moment;
    unsigned long long len;
    unsigned long long first_chunk;
    // 1 - lr λ.
    float keep;
    // lr / (1 - β₁ᵗ).
    float step_size;
};

struct AdamwFactors {
    float gradient_scale;
    // 1 - β₁.
    float first_gain;
    // β₂.
    float second_keep;
    // 1 - β₂.
    float second_gain;
    // √(1 - β₂ᵗ).
    float second_correction;
    float epsilon;
};

// m += (1 - β₁) (g - m); v = β₂ v + (1 - β₂) g²; θ = (1 - lr λ) θ - step_size m / (√v / √(1 - β₂ᵗ) + ε).
__device__ inline void update(
    const AdamwFactors& factors, float keep, float step_size, float gradient, float& parameter, float& first,
    float& second
) {
    float g = gradient * factors.gradient_scale;
    first = fmaf(factors.first_gain, g - first, first);
    second = fmaf(factors.second_gain * g, g, second * factors.second_keep);
    float denominator = sqrtf(second) / factors.second_correction + factors.epsilon;
    parameter = parameter * keep - step_size * first / denominator;
}

extern "C" __global__ void __launch_bounds__(THREADS) adamw(
    const AdamwSlot* slots, unsigned slot_count, const AdamwFactors* all_factors
) {
    const auto chunk = chunk_of_block(slots, slot_count);
    const AdamwFactors factors = *all_factors;
    const AdamwSlot& slot = chunk.slot;
    const float keep = slot.keep, step_size = slot.step_size;
    const unsigned count = chunk.count;
    float* parameter = slot.parameter + chunk.first;
    const float* gradient = slot.gradient + chunk.first;
    float* first = slot.first_moment + chunk.first;
    float* second = slot.second_moment + chunk.first;
#pragma unroll 2
    for (unsigned i = threadIdx.x; i < count / 4; i += THREADS) {
        float4 g = reinterpret_cast<const float4*>(gradient)[i];
        float4 p = reinterpret_cast<float4*>(parameter)[i];
        float4 m = reinterpret_cast<float4*>(first)[i];
        float4 v = reinterpret_cast<float4*>(second)[i];
        update(factors, keep, step_size, g.x, p.x, m.x, v.x);
        update(factors, keep, step_size, g.y, p.y, m.y, v.y);
        update(factors, keep, step_size, g.z, p.z, m.z, v.z);
        update(factors, keep, step_size, g.w, p.w, m.w, v.w);
        reinterpret_cast<float4*>(parameter)[i] = p;
        reinterpret_cast<float4*>(first)[i] = m;
        reinterpret_cast<float4*>(second)[i] = v;
    }
    unsigned i = count / 4 * 4 + threadIdx.x;
    if (i < count) {
        update(factors, keep, step_size, gradient[i], parameter[i], first[i], second[i]);
    }
}
EXPORT_KERNEL(adamw)
