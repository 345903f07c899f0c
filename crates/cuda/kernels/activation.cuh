// Activations and their derivatives, by the tags of serin_ops::Activation's order.
//
// Derivatives are of f's input, or of its output for ReLU and tanh. Where 1 - σ or 1 - tanh² would cancel, both are made
// of e = exp(-|x|): the error stays a few roundoffs of 1.

#pragma once
#include "platform.cuh"

enum Activation : unsigned { IDENTITY, GELU, GELU_TANH, RELU, TANH, SILU };

// σ(x) and σ(x) (1 - σ(x)).
struct Sigmoid {
    float value, slope;
};

__device__ inline Sigmoid sigmoid(float x) {
    float e = expf(-fabsf(x)), inverse = 1.0f / (1.0f + e);
    return Sigmoid{x >= 0.0f ? inverse : e * inverse, e * inverse * inverse};
}

// 2 √(2/π) (x + 0.044715 x³): GELU's tanh form is x σ of it, as (1 + tanh(a)) / 2 = σ(2a).
__device__ inline float gelu_tanh_argument(float x) {
    return 1.5957691216057308f * (x + 0.044715f * x * x * x);
}

// Φ(x), the normal distribution.
__device__ inline float normal_cumulative(float x) {
    return 0.5f * (1.0f + erff(x * 0.7071067811865476f));
}

__device__ inline float activate(unsigned activation, float x) {
    switch (activation) {
        case GELU: return x * normal_cumulative(x);
        case GELU_TANH: return x * sigmoid(gelu_tanh_argument(x)).value;
        case RELU: return fmaxf(x, 0.0f);
        case TANH: return tanhf(x);
        case SILU: return x * sigmoid(x).value;
        default: return x;
    }
}

__device__ inline float derivative(unsigned activation, float saved) {
    float x = saved;
    switch (activation) {
        case GELU: return normal_cumulative(x) + x * expf(-0.5f * x * x) * 0.3989422804014327f;
        case GELU_TANH: {
            Sigmoid s = sigmoid(gelu_tanh_argument(x));
            float slope = 1.5957691216057308f * (1.0f + 0.134145f * x * x);
            // An overflown slope times 0 would be NaN.
            return s.slope == 0.0f ? s.value : s.value + x * s.slope * slope;
        }
        case RELU: return x > 0.0f ? 1.0f : 0.0f;
        case TANH: return 1.0f - x * x;
        case SILU: {
            Sigmoid s = sigmoid(x);
            return s.value + x * s.slope;
        }
        default: return 1.0f;
    }
}
