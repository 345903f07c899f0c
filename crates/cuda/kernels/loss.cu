// The losses of classification and regression, and their gradients: a warp a row, few labels.

#include "reductions.cuh"

constexpr unsigned ROW_WARPS = 4;

enum Loss : unsigned { SOFTMAX, SIGMOID, SQUARED };

// Gradients are times `scale`; d_logits may be null. Returns the loss.
__device__ inline float softmax_loss(
    const float* logits, const float* targets, unsigned labels, float scale, float* d_logits
) {
    unsigned lane = threadIdx.x % WARP;
    float largest = -infinity(), mass = 0.0f;
    for (unsigned label = lane; label < labels; label += WARP) {
        largest = fmaxf(largest, logits[label]);
        mass += targets[label];
    }
    largest = warp_max(largest);
    mass = warp_sum(mass);
    float sum = 0.0f;
    for (unsigned label = lane; label < labels; label += WARP) {
        sum += expf(logits[label] - largest);
    }
    sum = warp_sum(sum);
    float log_sum = logf(sum), loss = 0.0f;
    for (unsigned label = lane; label < labels; label += WARP) {
        float z = logits[label] - largest, t = targets[label];
        // An excluded class may be at -infinity.
        loss += t == 0.0f ? 0.0f : t * (log_sum - z);
        if (d_logits != nullptr) {
            d_logits[label] = (expf(z) / sum * mass - t) * scale;
        }
    }
    return warp_sum(loss);
}

__device__ inline float sum_of_losses(
    unsigned kind, const float* logits, const float* targets, unsigned labels, float scale, float* d_logits
) {
    float loss = 0.0f;
    for (unsigned label = threadIdx.x % WARP; label < labels; label += WARP) {
        float z = logits[label], t = targets[label], slope;
        if (kind == SIGMOID) {
            loss += fmaxf(z, 0.0f) - z * t + log1pf(expf(-fabsf(z)));
            slope = 1.0f / (1.0f + expf(-z)) - t;
        } else {
            loss += (z - t) * (z - t);
            slope = 2.0f * (z - t);
        }
        if (d_logits != nullptr) {
            d_logits[label] = slope * scale;
        }
    }
    return warp_sum(loss);
}

extern "C" __global__ void __launch_bounds__(WARP * ROW_WARPS) loss(
    unsigned kind, const float* logits, const float* targets, unsigned rows, unsigned labels, float gradient_scale,
    float* losses, float* d_logits
) {
    unsigned row = blockIdx.x * ROW_WARPS + threadIdx.x / WARP;
    if (row >= rows) {
        return;
    }
    size_t start = size_t(row) * labels;
    float* slopes = d_logits != nullptr ? d_logits + start : nullptr;
    float loss = kind == SOFTMAX
                     ? softmax_loss(logits + start, targets + start, labels, gradient_scale, slopes)
                     : sum_of_losses(kind, logits + start, targets + start, labels, gradient_scale, slopes);
    if (threadIdx.x % WARP == 0) {
        losses[row] = loss;
    }
}
EXPORT_KERNEL(loss)
