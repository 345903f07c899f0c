// The stand-in for the driver but its graphs. Calls that need a context fail without one.

#include "stand_in.h"

#include <dlfcn.h>
#include <memory>
#include <string>

namespace {

int context;
std::map<uint64_t, size_t> pinned;

bool usable(Stream* stream) {
    if (!context_is_current) return false;
    for (Stream* known : all_streams) {
        if (known == stream) return true;
    }
    return false;
}

// Some thread captures in a way that forbids this one to allocate or to wait for the device: that breaks the capture.
bool forbidden_by_a_capture() {
    bool forbidden = false;
    for (Stream* stream : all_streams) {
        if (stream->capture && (!stream->capture->local || stream->capture->thread == std::this_thread::get_id())) {
            stream->capture->broken = forbidden = true;
        }
    }
    return forbidden;
}

}  // namespace

void* emulator(int storage, const char* name) {
    static std::map<int, void*> libraries;
    void*& library = libraries[storage];
    if (!library) {
        std::string path = std::string(std::getenv("SERIN_EMULATOR")) + "/emulated_" + std::to_string(storage) + ".so";
        library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library) std::fprintf(stderr, "%s\n", dlerror()), std::abort();
    }
    return dlsym(library, name);
}

std::function<void()> launch_of(Function* function, const unsigned (&shape)[6], unsigned shared, void** arguments) {
    bool fits = shared <= function->shared;
    for (unsigned size : shape) fits = fits && size > 0;
    if (!fits) return nullptr;
    auto count = (unsigned (*)(const void*, unsigned*, unsigned))emulator(function->storage, "emulator_parameters");
    unsigned sizes[32];
    unsigned parameters = count(function->kernel, sizes, 32);
    auto values = std::make_shared<std::vector<std::vector<char>>>();
    for (unsigned i = 0; i < parameters; i++) {
        values->emplace_back((char*)arguments[i], (char*)arguments[i] + sizes[i]);
    }
    auto [gx, gy, gz, bx, by, bz] = shape;
    return [=, function = *function] {
        using Launch = int (*)(const void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);
        auto launch = (Launch)emulator(function.storage, "emulator_launch");
        std::vector<void*> pointers;
        for (auto& value : *values) pointers.push_back(value.data());
        if (launch(function.kernel, gx, gy, gz, bx, by, bz, shared, pointers.data()) != 0) {
            std::fprintf(stderr, "a card would refuse this launch\n"), std::abort();
        }
    };
}

EXPORT int cuInit(unsigned flags) { return flags == 0 ? SUCCESS : INVALID_VALUE; }
EXPORT int cuDeviceGetCount(int* count) { return *count = 1, SUCCESS; }
EXPORT int cuDeviceGet(int* device, int ordinal) { return *device = 7, ordinal == 0 ? SUCCESS : INVALID_VALUE; }
EXPORT int cuDeviceGetName(char* name, int length, int device) {
    std::snprintf(name, length, "stand-in");
    return device == 7 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
    // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, _L2_CACHE_SIZE, _COMPUTE_CAPABILITY_MAJOR and _MINOR.
    static const std::map<int, int> known{{16, 2}, {38, 64 << 10}, {75, 9}, {76, 0}};
    auto found = known.find(attribute);
    if (device != 7 || found == known.end()) return INVALID_VALUE;
    return *value = found->second, SUCCESS;
}
EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int device) {
    return *bytes = size_t(1) << 32, device == 7 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuDevicePrimaryCtxRetain(void** out, int device) { return *out = &context, device == 7 ? SUCCESS : INVALID_VALUE; }
EXPORT int cuCtxSetCurrent(void* given) {
    context_is_current = given == &context;
    return context_is_current ? SUCCESS : INVALID_CONTEXT;
}

// Streams and events.

EXPORT int cuStreamCreate(Stream** out, unsigned flags) {
    LOCKED;
    // CU_STREAM_NON_BLOCKING: nothing orders it but events.
    if (!context_is_current || flags != 1) return INVALID_VALUE;
    return all_streams.push_back(*out = new Stream), SUCCESS;
}
EXPORT int cuStreamSynchronize(Stream* stream) {
    LOCKED;
    if (!usable(stream)) return INVALID_VALUE;
    if (stream->capture) return stream->capture->broken = true, CAPTURE_UNSUPPORTED;
    return finish(*stream), SUCCESS;
}
EXPORT int cuStreamWaitEvent(Stream* stream, Event* event, unsigned flags) {
    LOCKED;
    if (!usable(stream) || flags != 0) return INVALID_VALUE;
    // No event here is ever recorded in a capture.
    if (stream->capture) return stream->capture->broken = true, CAPTURE_ISOLATION;
    // An event that was never recorded has nothing to wait for.
    if (event->recorded > 0) stream->enqueue({nullptr, event, event->recorded, true});
    return SUCCESS;
}
EXPORT int cuEventCreate(Event** event, unsigned flags) {
    // CU_EVENT_DISABLE_TIMING.
    return *event = new Event, context_is_current && flags == 2 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuEventRecord(Event* event, Stream* stream) {
    LOCKED;
    if (!usable(stream)) return INVALID_VALUE;
    if (stream->capture) return stream->capture->broken = true, CAPTURE_UNSUPPORTED;
    // That is allowed, but then a wait would not know on which stream.
    if (event->on && event->on != stream && event->passed < event->recorded) return INVALID_VALUE;
    event->on = stream;
    stream->enqueue({nullptr, event, ++event->recorded, false});
    return SUCCESS;
}
EXPORT int cuEventSynchronize(Event* event) {
    LOCKED;
    if (event->on) finish(*event->on, event, event->recorded);
    return SUCCESS;
}

// Memory.

EXPORT int cuMemHostAlloc(void** memory, size_t bytes, unsigned flags) {
    LOCKED;
    if (!context_is_current || flags != 0 || forbidden_by_a_capture()) return INVALID_VALUE;
    return *memory = std::malloc(bytes), pinned[(uint64_t)*memory] = bytes, SUCCESS;
}
EXPORT int cuMemFreeHost(void* memory) {
    LOCKED;
    if (!context_is_current || forbidden_by_a_capture() || !pinned.erase((uint64_t)memory)) return INVALID_VALUE;
    return std::free(memory), SUCCESS;
}
EXPORT int cuMemGetInfo_v2(size_t* free, size_t* total) {
    LOCKED;
    *free = *total = size_t(1) << 32;
    for (auto [address, bytes] : allocations) *free -= bytes < *free ? bytes : *free;
    if (const char* said = std::getenv("SERIN_STAND_IN_FREE")) *free = std::strtoull(said, nullptr, 10);
    return context_is_current ? SUCCESS : INVALID_CONTEXT;
}
EXPORT int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    LOCKED;
    if (!context_is_current || bytes == 0) return INVALID_VALUE;
    const char* largest = std::getenv("SERIN_STAND_IN_LARGEST");
    if (largest && bytes > std::strtoull(largest, nullptr, 10)) return OUT_OF_MEMORY;
    if (forbidden_by_a_capture()) return CAPTURE_UNSUPPORTED;
    auto allocate = (void* (*)(unsigned long long))emulator(0, "emulator_allocate");
    void* memory = allocate(bytes);
    if (!memory) return OUT_OF_MEMORY;
    return allocations[*address = (uint64_t)memory] = bytes, SUCCESS;
}
EXPORT int cuMemFree_v2(uint64_t address) {
    LOCKED;
    if (!context_is_current || !allocations.count(address)) return INVALID_VALUE;
    if (forbidden_by_a_capture()) return CAPTURE_UNSUPPORTED;
    finish_all();
    allocations.erase(address);
    ((void (*)(void*))emulator(0, "emulator_free"))((void*)address);
    return SUCCESS;
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Stream* stream) {
    LOCKED;
    if (!usable(stream) || stream->capture || !allocated(to, bytes)) return INVALID_VALUE;
    if (!inside(pinned, (uint64_t)from, bytes)) return INVALID_VALUE;
    stream->copies = true;
    stream->enqueue({[=] { std::memcpy((void*)to, from, bytes); }});
    return SUCCESS;
}
EXPORT int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Stream* stream) {
    LOCKED;
    if (!usable(stream) || stream->capture || !allocated(from, bytes)) return INVALID_VALUE;
    stream->enqueue({[=] { std::memcpy(to, (const void*)from, bytes); }});
    return SUCCESS;
}
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Stream* stream) {
    LOCKED;
    if (!usable(stream) || !allocated(to, bytes) || !allocated(from, bytes)) return INVALID_VALUE;
    stream->enqueue({[=] { std::memcpy((void*)to, (const void*)from, bytes); }});
    return SUCCESS;
}
EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, Stream* stream) {
    LOCKED;
    if (!usable(stream) || !allocated(to, bytes)) return INVALID_VALUE;
    stream->enqueue({[=] { std::memset((void*)to, value, bytes); }});
    return SUCCESS;
}

// Kernels.

EXPORT int cuModuleLoadData(void** module, const char* image) {
    if (!context_is_current || std::strncmp(image, "storage ", 8) != 0) return INVALID_VALUE;
    return *module = (void*)(uintptr_t)(image[8] - '0' + 1), SUCCESS;
}
EXPORT int cuModuleGetFunction(void** function, void* module, const char* name) {
    LOCKED;
    int storage = int((uintptr_t)module) - 1;
    auto find = (const void* (*)(const char*))emulator(storage, "emulator_kernel");
    const void* kernel = find(name);
    if (!kernel) return NOT_FOUND;
    return *function = new Function{storage, kernel}, SUCCESS;
}
EXPORT int cuFuncSetAttribute(Function* function, int attribute, int value) {
    // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES; what Hopper allows.
    if (attribute != 8 || value > 227 << 10) return INVALID_VALUE;
    return function->shared = value, SUCCESS;
}
EXPORT int cuLaunchKernel(
    Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
    Stream* stream, void** arguments, void** extra
) {
    LOCKED;
    if (!usable(stream) || extra) return INVALID_VALUE;
    auto launch = launch_of(function, {gx, gy, gz, bx, by, bz}, shared, arguments);
    if (!launch) return INVALID_VALUE;
    return stream->enqueue({launch}), SUCCESS;
}
EXPORT int cuGetErrorName(int error, const char** text) {
    return *text = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR", SUCCESS;
}
EXPORT int cuGetErrorString(int, const char** text) { return *text = "the stand-in refuses", SUCCESS; }
