// What surrounds a matrix product: bias and activation after it, an activation's derivative on a gradient.
//
// The product may come in f32, so that the result is rounded once, as on every backend. Bound by memory: one pass, eight
// elements a thread; the activation and its kind cost nothing beside it.

#include "activation.cuh"
#include "vectors.cuh"

// pre_activation = product + bias, y = f(product + bias).
extern "C" __global__ void __launch_bounds__(256) bias_activation(
    const void* product, unsigned product_type, const float* bias, unsigned activation, unsigned rows, unsigned width,
    storage* pre_activation, storage* y
) {
    Eight eight;
    if (!eight_of_matrix(rows, width, eight)) {
        return;
    }
    float values[VECTOR];
    load(product, product_type, eight, values);
    if (bias != nullptr) {
        float biases[VECTOR];
        load(bias, eight.columns(), biases);
        add(values, biases);
    }
    if (pre_activation != nullptr) {
        store(pre_activation, eight, values);
    }
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        values[i] = activate(activation, values[i]);
    }
    store(y, eight, values);
}
EXPORT_KERNEL(bias_activation)

// d = gradient ⊙ f'(saved).
extern "C" __global__ void __launch_bounds__(256) through_activation(
    const void* gradient, unsigned gradient_type, unsigned activation, const storage* saved, unsigned long long count,
    storage* d
) {
    Eight eight;
    if (!eight_of_buffer(count, eight)) {
        return;
    }
    float values[VECTOR], inputs[VECTOR];
    load(gradient, gradient_type, eight, values);
    load(saved, eight, inputs);
#pragma unroll
    for (unsigned i = 0; i < VECTOR; i++) {
        values[i] *= derivative(activation, inputs[i]);
    }
    store(d, eight, values);
}
EXPORT_KERNEL(through_activation)
