// The stand-in for cuBLASLt: D = alpha op(A) op(B) + beta C + bias, column-major, by plain loops.

#include "stand_in.h"

#include <cstring>

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
};
struct Description {
    int operations[2] = {0, 0};
    uint32_t epilogue = 1;  // CUBLASLT_EPILOGUE_DEFAULT
    uint64_t bias = 0;
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
constexpr uint32_t BIAS = 4;  // CUBLASLT_EPILOGUE_BIAS
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
namespace {
int handle;
}

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
EXPORT int cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const uint64_t* value, size_t size) {
    // CUBLASLT_MATRIX_LAYOUT_COLS.
    if (attribute != 3 || size != 8 || *value == 0) return LT_INVALID_VALUE;
    return layout->columns = *value, LT_SUCCESS;
}
EXPORT int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const void* value, size_t size) {
    uint64_t number = 0;
    std::memcpy(&number, value, size <= 8 ? size : 0);
    switch (attribute) {
        // CUBLASLT_MATMUL_DESC_TRANSA and _TRANSB: CUBLAS_OP_N or CUBLAS_OP_T.
        case 3:
        case 4:
            if (size != 4 || number > 1) return LT_INVALID_VALUE;
            return description->operations[attribute - 3] = int(number), LT_SUCCESS;
        // CUBLASLT_MATMUL_DESC_EPILOGUE: CUBLASLT_EPILOGUE_DEFAULT or _BIAS.
        case 7:
            if (size != 4 || (number != 1 && number != BIAS)) return LT_INVALID_VALUE;
            return description->epilogue = uint32_t(number), LT_SUCCESS;
        // CUBLASLT_MATMUL_DESC_BIAS_POINTER; the bias has the type of D unless _BIAS_DATA_TYPE says otherwise.
        case 8:
            if (size != 8) return LT_INVALID_VALUE;
            return description->bias = number, LT_SUCCESS;
        default: return LT_INVALID_VALUE;
    }
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
    size_t workspace_bytes, Stream* stream
) {
    LOCKED;
    auto shape_of = shape(*description, *a, *b, *c, *d);
    if (given != &handle || !context_is_current || !shape_of.fits || algorithm->data[0] != MARK) return LT_INVALID_VALUE;
    if (workspace_bytes < algorithm->data[1] || !allocated((uint64_t)workspace, workspace_bytes)) return LT_INVALID_VALUE;
    if (!allocated((uint64_t)A, bytes(*a)) || !allocated((uint64_t)B, bytes(*b)) || !allocated((uint64_t)D, bytes(*d))) {
        return LT_INVALID_VALUE;
    }
    // As long as D has rows, without gaps, of D's type.
    const void* bias = description->epilogue == BIAS ? (const void*)description->bias : nullptr;
    if (description->epilogue == BIAS && !allocated(description->bias, shape_of.m * (d->type == R_32F ? 4 : 2))) {
        return LT_INVALID_VALUE;
    }
    // For tests: a capture that something in the library forbids, with and without an error of its own.
    if (const char* captures = stream->capture ? std::getenv("SERIN_STAND_IN_CAPTURES") : nullptr) {
        stream->capture->broken = true;
        return std::strcmp(captures, "refused") == 0 ? LT_NOT_SUPPORTED : LT_SUCCESS;
    }
    // Descriptions and factors are the caller's again when the call is over.
    stream->enqueue({[=, description = *description, alpha = *alpha, beta = *beta, a = *a, b = *b, c = *c, d = *d] {
        std::memset(workspace, 0xff, workspace_bytes < 4096 ? workspace_bytes : 4096);
        for (uint64_t column = 0; column < shape_of.n; column++) {
            for (uint64_t row = 0; row < shape_of.m; row++) {
                float sum = 0.0f;
                for (uint64_t i = 0; i < shape_of.k; i++) {
                    size_t in_a = description.operations[0] ? i + row * a.leading : row + i * a.leading;
                    size_t in_b = description.operations[1] ? column + i * b.leading : i + column * b.leading;
                    sum += widened(A, a.type, in_a) * widened(B, b.type, in_b);
                }
                float before = beta == 0.0f ? 0.0f : beta * widened(C, c.type, row + column * c.leading);
                float added = bias ? widened(bias, d.type, row) : 0.0f;
                store(D, d.type, row + column * d.leading, alpha * sum + before + added);
            }
        }
    }});
    return LT_SUCCESS;
}
