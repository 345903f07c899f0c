// Stand-ins for the parts of NVIDIA's driver, NVRTC and cuBLASLt that the crate calls, as their manuals describe them: the
// driver launches kernels on the emulator, "compiled" programs say only their storage type, and products are plain loops
// over column-major matrices. Whatever a manual forbids is an error.
//
// c++ -std=c++20 -O2 -fPIC -shared libraries.cpp, then found as libcuda.so.1, libnvrtc.so.13 and libcublasLt.so.13.
// SERIN_EMULATOR names the folder with emulated_0.so, emulated_1.so and emulated_2.so.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

thread_local bool context_is_current = false;
int context, stream, handle;
// Where allocations begin, and how long they are.
std::map<uint64_t, size_t> allocations;

// Copies from pinned memory are made as late as the manual allows: when someone waits, or a later operation runs.
struct Copy {
    uint64_t to;
    const void* from;
    size_t bytes;
};
std::vector<Copy> copies;
std::map<uint64_t, size_t> pinned;

void make_copies() {
    for (auto [to, from, bytes] : copies) std::memcpy((void*)to, from, bytes);
    copies.clear();
}

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201, NOT_FOUND = 500 };

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

bool inside(const std::map<uint64_t, size_t>& ranges, uint64_t address, size_t bytes) {
    auto next = ranges.upper_bound(address);
    if (next == ranges.begin()) return false;
    auto [start, length] = *--next;
    return address - start <= length && bytes <= length - (address - start);
}

bool allocated(uint64_t address, size_t bytes) { return inside(allocations, address, bytes); }

struct Function {
    int storage;
    const void* kernel;
    unsigned shared = 48 << 10;
};

}  // namespace

// The driver. Calls that need a context fail without one.

EXPORT int cuInit(unsigned flags) { return flags == 0 ? SUCCESS : INVALID_VALUE; }
EXPORT int cuDeviceGetCount(int* count) { return *count = 1, SUCCESS; }
EXPORT int cuDeviceGet(int* device, int ordinal) { return *device = 7, ordinal == 0 ? SUCCESS : INVALID_VALUE; }
EXPORT int cuDeviceGetName(char* name, int length, int device) {
    std::snprintf(name, length, "stand-in");
    return device == 7 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
    if (device != 7 || (attribute != 75 && attribute != 76)) return INVALID_VALUE;
    return *value = attribute == 75 ? 9 : 0, SUCCESS;
}
EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int device) {
    return *bytes = size_t(1) << 32, device == 7 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuDevicePrimaryCtxRetain(void** out, int device) { return *out = &context, device == 7 ? SUCCESS : INVALID_VALUE; }
EXPORT int cuCtxSetCurrent(void* given) {
    context_is_current = given == &context;
    return context_is_current ? SUCCESS : INVALID_CONTEXT;
}
EXPORT int cuStreamCreate(void** out, unsigned) { return *out = &stream, context_is_current ? SUCCESS : INVALID_CONTEXT; }
EXPORT int cuStreamSynchronize(void* given) {
    make_copies();
    return given == &stream && context_is_current ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuMemHostAlloc(void** memory, size_t bytes, unsigned flags) {
    if (!context_is_current || flags != 0) return INVALID_VALUE;
    return *memory = std::malloc(bytes), pinned[(uint64_t)*memory] = bytes, SUCCESS;
}
// An event that was never recorded has nothing to wait for.
EXPORT int cuEventCreate(void** event, unsigned flags) {
    // CU_EVENT_DISABLE_TIMING.
    return *event = new bool(false), context_is_current && flags == 2 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuEventRecord(bool* event, void* given) {
    return *event = true, given == &stream && context_is_current ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuEventSynchronize(bool* event) {
    if (*event) make_copies();
    return SUCCESS;
}
EXPORT int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    if (!context_is_current || bytes == 0) return INVALID_VALUE;
    auto allocate = (void* (*)(unsigned long long))emulator(0, "emulator_allocate");
    void* memory = allocate(bytes);
    if (!memory) return OUT_OF_MEMORY;
    return allocations[*address = (uint64_t)memory] = bytes, SUCCESS;
}
EXPORT int cuMemFree_v2(uint64_t address) {
    if (!context_is_current || !allocations.erase(address)) return INVALID_VALUE;
    ((void (*)(void*))emulator(0, "emulator_free"))((void*)address);
    return SUCCESS;
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* given) {
    if (!context_is_current || given != &stream || !allocated(to, bytes)) return INVALID_VALUE;
    if (!inside(pinned, (uint64_t)from, bytes)) return INVALID_VALUE;
    return copies.push_back({to, from, bytes}), SUCCESS;
}
EXPORT int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* given) {
    if (!context_is_current || given != &stream || !allocated(from, bytes)) return INVALID_VALUE;
    make_copies();
    return std::memcpy(to, (const void*)from, bytes), SUCCESS;
}
EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* given) {
    if (!context_is_current || given != &stream || !allocated(to, bytes)) return INVALID_VALUE;
    make_copies();
    return std::memset((void*)to, value, bytes), SUCCESS;
}
EXPORT int cuModuleLoadData(void** module, const char* image) {
    if (!context_is_current || std::strncmp(image, "storage ", 8) != 0) return INVALID_VALUE;
    return *module = (void*)(uintptr_t)(image[8] - '0' + 1), SUCCESS;
}
EXPORT int cuModuleGetFunction(void** function, void* module, const char* name) {
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
    void* given, void** arguments, void** extra
) {
    if (!context_is_current || given != &stream || extra || shared > function->shared) return INVALID_VALUE;
    make_copies();
    using Launch = int (*)(const void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);
    auto launch = (Launch)emulator(function->storage, "emulator_launch");
    return launch(function->kernel, gx, gy, gz, bx, by, bz, shared, arguments) == 0 ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuGetErrorName(int error, const char** text) {
    return *text = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR", SUCCESS;
}
EXPORT int cuGetErrorString(int, const char** text) { return *text = "the stand-in refuses", SUCCESS; }

// NVRTC.

struct Program {
    std::string image;
};

EXPORT int nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, 0; }
EXPORT int nvrtcGetNumSupportedArchs(int* count) { return *count = 2, 0; }
EXPORT int nvrtcGetSupportedArchs(int* numbers) { return numbers[0] = 80, numbers[1] = 90, 0; }
EXPORT int nvrtcCreateProgram(
    Program** program, const char* source, const char* name, int headers, const char* const* texts, const char* const* names
) {
    bool whole = std::strlen(source) > 0 && std::strlen(name) > 0;
    for (int i = 0; i < headers; i++) whole = whole && std::strlen(texts[i]) > 0 && std::strstr(names[i], ".cuh");
    return *program = new Program, whole ? 0 : 3;
}
EXPORT int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    bool for_the_card = false;
    for (int i = 0; i < count; i++) {
        if (std::strncmp(options[i], "-DSTORAGE=", 10) == 0) program->image = std::string("storage ") + options[i][10];
        for_the_card = for_the_card || std::strcmp(options[i], "--gpu-architecture=sm_90") == 0;
    }
    return for_the_card && !program->image.empty() ? 0 : 6;
}
EXPORT int nvrtcGetProgramLogSize(Program*, size_t* size) { return *size = 1, 0; }
EXPORT int nvrtcGetProgramLog(Program*, char* log) { return *log = 0, 0; }
EXPORT int nvrtcGetCUBINSize(Program* program, size_t* size) { return *size = program->image.size(), 0; }
EXPORT int nvrtcGetCUBIN(Program* program, char* image) {
    return std::memcpy(image, program->image.data(), program->image.size()), 0;
}
EXPORT int nvrtcDestroyProgram(Program** program) { return delete *program, *program = nullptr, 0; }

// cuBLASLt: D = alpha op(A) op(B) + beta C, column-major.

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
};
struct Description {
    int operations[2] = {0, 0};
};
struct Preference {
    uint64_t workspace = 0;
    uint32_t reductions = 7;
};
struct Algorithm {
    uint64_t data[8];
};
struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

enum { LT_SUCCESS = 0, LT_INVALID_VALUE = 7, LT_NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16F = 2, R_16BF = 14 };
constexpr uint64_t MARK = 0x5e41;

namespace {

float widened(const void* matrix, int type, size_t at) {
    if (type == R_32F) return ((const float*)matrix)[at];
    if (type == R_16F) return float(((const _Float16*)matrix)[at]);
    uint32_t bits = uint32_t(((const uint16_t*)matrix)[at]) << 16;
    float value;
    return std::memcpy(&value, &bits, 4), value;
}

void store(void* matrix, int type, size_t at, float value) {
    if (type == R_32F) ((float*)matrix)[at] = value;
    else if (type == R_16F) ((_Float16*)matrix)[at] = _Float16(value);
    else {
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
        ((uint16_t*)matrix)[at] = is_nan ? 0x7fc0 : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

size_t bytes(const Layout& layout) {
    return layout.leading * layout.columns * (layout.type == R_32F ? 4 : 2);
}

struct Shape {
    uint64_t m, n, k;
    bool fits;
};

Shape shape(const Description& description, const Layout& a, const Layout& b, const Layout& c, const Layout& d) {
    bool ta = description.operations[0], tb = description.operations[1];
    Shape shape{ta ? a.columns : a.rows, tb ? b.rows : b.columns, ta ? a.rows : a.columns, false};
    bool types = a.type == b.type && c.type == d.type && (d.type == R_32F || d.type == a.type);
    shape.fits = types && (tb ? b.columns : b.rows) == shape.k && d.rows == shape.m && d.columns == shape.n &&
                 c.rows == shape.m && c.columns == shape.n;
    return shape;
}

}  // namespace

EXPORT size_t cublasLtGetVersion() { return 130000; }
EXPORT int cublasLtCreate(void** out) { return *out = &handle, context_is_current ? LT_SUCCESS : 1; }
EXPORT int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    *layout = new Layout{type, rows, columns, leading};
    return rows > 0 && columns > 0 && leading >= int64_t(rows) ? LT_SUCCESS : LT_INVALID_VALUE;
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, LT_SUCCESS; }
EXPORT int cublasLtMatmulDescCreate(Description** description, int compute, int scale) {
    // CUBLAS_COMPUTE_32F, factors in f32.
    return *description = new Description, compute == 68 && scale == R_32F ? LT_SUCCESS : LT_NOT_SUPPORTED;
}
EXPORT int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const int32_t* value, size_t size) {
    // CUBLASLT_MATMUL_DESC_TRANSA and _TRANSB; CUBLAS_OP_N or CUBLAS_OP_T.
    if ((attribute != 3 && attribute != 4) || size != 4 || (*value != 0 && *value != 1)) return LT_INVALID_VALUE;
    return description->operations[attribute - 3] = *value, LT_SUCCESS;
}
EXPORT int cublasLtMatmulDescDestroy(Description* description) { return delete description, LT_SUCCESS; }
EXPORT int cublasLtMatmulPreferenceCreate(Preference** preference) { return *preference = new Preference, LT_SUCCESS; }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t size) {
    // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES and _REDUCTION_SCHEME_MASK.
    if (attribute == 1 && size == 8) return std::memcpy(&preference->workspace, value, 8), LT_SUCCESS;
    if (attribute == 3 && size == 4) return std::memcpy(&preference->reductions, value, 4), LT_SUCCESS;
    return LT_INVALID_VALUE;
}
EXPORT int cublasLtMatmulPreferenceDestroy(Preference* preference) { return delete preference, LT_SUCCESS; }
EXPORT int cublasLtMatmulAlgoGetHeuristic(
    void* given, Description* description, Layout* a, Layout* b, Layout* c, Layout* d, Preference* preference, int wanted,
    Heuristic* results, int* found
) {
    if (given != &handle || wanted < 1 || !shape(*description, *a, *b, *c, *d).fits) return LT_INVALID_VALUE;
    // Reductions in place are of no fixed order on every card.
    if (preference->reductions & 1) return LT_NOT_SUPPORTED;
    *results = Heuristic{{{MARK, preference->workspace}}, preference->workspace, LT_SUCCESS, 1.0f, {}};
    return *found = 1, LT_SUCCESS;
}
EXPORT int cublasLtMatmul(
    void* given, Description* description, const float* alpha, const void* A, Layout* a, const void* B, Layout* b,
    const float* beta, const void* C, Layout* c, void* D, Layout* d, const Algorithm* algorithm, void* workspace,
    size_t workspace_bytes, void* on
) {
    make_copies();
    auto [m, n, k, fits] = shape(*description, *a, *b, *c, *d);
    if (given != &handle || on != &stream || !fits || algorithm->data[0] != MARK) return LT_INVALID_VALUE;
    if (workspace_bytes < algorithm->data[1] || !allocated((uint64_t)workspace, workspace_bytes)) return LT_INVALID_VALUE;
    if (!allocated((uint64_t)A, bytes(*a)) || !allocated((uint64_t)B, bytes(*b)) || !allocated((uint64_t)D, bytes(*d))) {
        return LT_INVALID_VALUE;
    }
    std::memset(workspace, 0xff, workspace_bytes < 4096 ? workspace_bytes : 4096);
    for (uint64_t column = 0; column < n; column++) {
        for (uint64_t row = 0; row < m; row++) {
            float sum = 0.0f;
            for (uint64_t i = 0; i < k; i++) {
                size_t in_a = description->operations[0] ? i + row * a->leading : row + i * a->leading;
                size_t in_b = description->operations[1] ? column + i * b->leading : i + column * b->leading;
                sum += widened(A, a->type, in_a) * widened(B, b->type, in_b);
            }
            float before = *beta == 0.0f ? 0.0f : *beta * widened(C, c->type, row + column * c->leading);
            store(D, d->type, row + column * d->leading, *alpha * sum + before);
        }
    }
    return LT_SUCCESS;
}
