// Conversions between storage types: a 16-bit matrix from its f32 master.
//
// Bound by memory: eight elements a thread, 16 bytes at a time.

#include "vectors.cuh"

// target = source.
extern "C" __global__ void __launch_bounds__(256) convert(
    const void* source, unsigned source_type, void* target, unsigned target_type, unsigned long long count
) {
    Eight eight;
    if (eight_of_buffer(count, eight)) {
        float values[VECTOR];
        load(source, source_type, eight, values);
        store(target, target_type, eight, values);
    }
}
EXPORT_KERNEL(convert)
