// Conversions between storage types, and additions across them: a 16-bit matrix from its f32 master, host values.
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

// target += source.
extern "C" __global__ void __launch_bounds__(256) accumulate(
    const void* source, unsigned source_type, void* target, unsigned target_type, unsigned long long count
) {
    Eight eight;
    if (eight_of_buffer(count, eight)) {
        float values[VECTOR], sum[VECTOR];
        load(source, source_type, eight, values);
        load(target, target_type, eight, sum);
        add(sum, values);
        store(target, target_type, eight, sum);
    }
}
EXPORT_KERNEL(accumulate)
