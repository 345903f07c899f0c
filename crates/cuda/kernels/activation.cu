// Activations after a matrix product and their derivatives on a gradient.
//
// Bound by memory: one pass, eight elements a thread; the activation and its kind cost nothing beside it.

#include "activation.cuh"
#include "vectors.cuh"

// y = f(x); y may be x.
extern "C" __global__ void __launch_bounds__(256) apply_activation(
    const storage* x, unsigned activation, unsigned long long count, storage* y
) {
    Eight eight;
    if (!eight_of_buffer(count, eight)) {
        return;
    }
    float values[VECTOR];
    load(x, eight, values);
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        values[i] = activate(activation, values[i]);
    }
    store(y, eight, values);
}
EXPORT_KERNEL(apply_activation)

// d ⊙= f'(saved).
extern "C" __global__ void __launch_bounds__(256) through_activation(
    const storage* saved, unsigned activation, unsigned long long count, storage* d
) {
    Eight eight;
    if (!eight_of_buffer(count, eight)) {
        return;
    }
    float values[VECTOR], inputs[VECTOR];
    load(d, eight, values);
    load(saved, eight, inputs);
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        values[i] *= derivative(activation, inputs[i]);
    }
    store(d, eight, values);
}
EXPORT_KERNEL(through_activation)
