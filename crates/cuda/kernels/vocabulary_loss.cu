// Cross-entropy over a vocabulary: a block a row, three passes over logits that stay in the cache after the first.
//
// Elements are read one by one, neighbours by neighbouring lanes: a vocabulary's size is odd as often as not, so rows are
// not aligned, and a sum must not depend on where its row lies. The order of the sums depends on the class alone.

#include "reductions.cuh"

constexpr unsigned THREADS = 512;

// losses[row] = the loss, and 1 where no class is ahead of the target. With a gradient, logits become its.
extern "C" __global__ void __launch_bounds__(THREADS) vocabulary_loss(
    storage* logits, const unsigned* targets, unsigned, unsigned classes, unsigned with_gradient, float gradient_scale,
    float* losses
) {
    constexpr unsigned WARPS = THREADS / WARP;
    unsigned row = blockIdx.x, target = targets[row];
    storage* z = logits + size_t(row) * classes;
    float z_target = to_float(z[target]);
    float largest = -infinity();
    bool ahead = false;
#pragma unroll 8
    for (unsigned i = threadIdx.x; i < classes; i += THREADS) {
        float value = to_float(z[i]);
        largest = fmaxf(largest, value);
        ahead = ahead || value > z_target || (value == z_target && i < target);
    }
    largest = block_max<WARPS>(largest);
    ahead = __syncthreads_or(ahead);
    float sum = 0.0f;
#pragma unroll 8
    for (unsigned i = threadIdx.x; i < classes; i += THREADS) {
        sum += expf(to_float(z[i]) - largest);
    }
    sum = block_sum<WARPS>(sum);
    if (threadIdx.x == 0) {
        losses[2 * size_t(row)] = logf(sum) + (largest - z_target);
        losses[2 * size_t(row) + 1] = ahead ? 0.0f : 1.0f;
    }
    if (with_gradient != 0) {
        float inverse = 1.0f / sum;
#pragma unroll 8
        for (unsigned i = threadIdx.x; i < classes; i += THREADS) {
            float probability = expf(to_float(z[i]) - largest) * inverse;
            z[i] = from_float<storage>((i == target ? probability - 1.0f : probability) * gradient_scale);
        }
    }
}
EXPORT_KERNEL(vocabulary_loss)
