// Checks the emulator against what the manuals say, in other words than its own: fragments element by element as the PTX
// ISA numbers them, conversions by the neighbours of every number, and that broken kernels are found out.
//
// c++ -std=c++20 -DSTORAGE=1 -Wno-unknown-pragmas -I kernels kernels/emulator/self_test.cpp kernels/emulator/launcher.cpp

#include "dropout.cuh"
#include "tensor_core.cuh"
#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

extern "C" const void* emulator_kernel(const char* name);
extern "C" int emulator_launch(
    const void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**
);

// d = c + a b, each matrix dense, with fragments as "Matrix Fragments for mma.m16n8k16 with floating point type" says.
extern "C" __global__ void multiply_by_the_manual(const storage* a, const storage* b, const float* c, float* d) {
    unsigned group = threadIdx.x >> 2, thread = threadIdx.x % 4;
    auto a_at = [&](unsigned i) {
        unsigned row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
        unsigned column = i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        return unsigned(a[row * 16 + column].bits);
    };
    auto b_at = [&](unsigned i) {
        unsigned row = i < 2 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        return unsigned(b[row * 8 + group].bits);
    };
    auto c_at = [&](unsigned i) { return (i < 2 ? group : group + 8) * 8 + thread * 2 + (i & 1); };
    unsigned left[4], right[2];
    float sum[4];
    for (unsigned i = 0; i < 4; i++) {
        left[i] = a_at(2 * i) | a_at(2 * i + 1) << 16;
        right[i % 2] = b_at(2 * (i % 2)) | b_at(2 * (i % 2) + 1) << 16;
        sum[i] = c[c_at(i)];
    }
    mma_16x8x16(sum, left, right[0], right[1]);
    for (unsigned i = 0; i < 4; i++) {
        d[c_at(i)] = sum[i];
    }
}
EXPORT_KERNEL(multiply_by_the_manual)

// Copies 32 rows of 8 numbers by cp.async; what lies there before and after the wait, and the registers of ldmatrix.
extern "C" __global__ void load_rows(const storage* rows, unsigned* before, unsigned* plain, unsigned* transposed) {
    __shared__ __align__(16) storage tile[32][8];
    unsigned lane = threadIdx.x;
    tile[lane][0].bits = 0xffff;
    cp_async_16(tile[lane], rows + lane * 8, lane != 31);
    cp_async_commit();
    cp_async_wait<1>();
    before[lane] = tile[lane][0].bits;
    cp_async_wait<0>();
    __syncwarp();
    unsigned regs[4];
    ldmatrix_x4(regs, tile[lane]);
    std::copy_n(regs, 4, plain + 4 * lane);
    ldmatrix_x4_trans(regs, tile[lane]);
    std::copy_n(regs, 4, transposed + 4 * lane);
}
EXPORT_KERNEL(load_rows)

extern "C" __global__ void exchange(int* out) {
    int lane = int(threadIdx.x);
    int* mine = out + 8 * lane;
    mine[0] = __shfl_sync(ALL_LANES, lane, 35);
    mine[1] = __shfl_sync(ALL_LANES, lane, 1, 8);
    mine[2] = __shfl_xor_sync(ALL_LANES, lane, 5);
    mine[3] = __shfl_down_sync(ALL_LANES, lane, 3, 16);
    mine[4] = __shfl_up_sync(ALL_LANES, lane, 3, 16);
    mine[5] = int(__ballot_sync(ALL_LANES, lane % 3 == 0));
    mine[6] = __any_sync(ALL_LANES, lane == 7);
    mine[7] = __all_sync(ALL_LANES, lane != 7);
}
EXPORT_KERNEL(exchange)

extern "C" __global__ void missing_lane() {
    if (threadIdx.x != 5) {
        __syncwarp();
    }
}
EXPORT_KERNEL(missing_lane)

extern "C" __global__ void two_collectives() {
    if (threadIdx.x % 2 == 0) {
        __syncwarp();
    } else {
        __any_sync(ALL_LANES, 1);
    }
}
EXPORT_KERNEL(two_collectives)

extern "C" __global__ void missing_thread() {
    if (threadIdx.x != 5) {
        __syncthreads();
    }
}
EXPORT_KERNEL(missing_thread)

extern "C" __global__ void write_behind() {
    DYNAMIC_SHARED(unsigned, shared);
    shared[threadIdx.x] = threadIdx.x;
}
EXPORT_KERNEL(write_behind)

// Without a barrier: a thread's neighbour may not have written yet.
extern "C" __global__ void race(unsigned* out) {
    __shared__ unsigned shared[64];
    shared[threadIdx.x] = 1 + blockIdx.x;
    out[threadIdx.x] = shared[threadIdx.x ^ 32];
}
EXPORT_KERNEL(race)

namespace {

unsigned failures = 0;

void expect(bool holds, const char* what) {
    if (!holds) {
        std::printf("failed: %s\n", what);
        failures++;
    }
}

template <typename... Arguments>
void launch(const char* name, unsigned block, unsigned shared, Arguments... values) {
    void* arguments[] = {&values..., nullptr};
    expect(emulator_launch(emulator_kernel(name), 1, 1, 1, block, 1, 1, shared, arguments) == 0, name);
}

void products() {
    storage a[256], b[128];
    float c[128], d[128];
    // Small integers: exact in every type and order.
    for (int i = 0; i < 256; i++) {
        a[i] = from_float<storage>(float(i * 7 % 13 - 6));
        b[i / 2] = from_float<storage>(float(i * 5 % 11 - 5));
        c[i / 2] = float(i % 17);
    }
    launch("multiply_by_the_manual", 32, 0, (const storage*)a, (const storage*)b, (const float*)c, (float*)d);
    for (unsigned row = 0; row < 16; row++) {
        for (unsigned column = 0; column < 8; column++) {
            float sum = c[row * 8 + column];
            for (unsigned k = 0; k < 16; k++) {
                sum += to_float(a[row * 16 + k]) * to_float(b[k * 8 + column]);
            }
            expect(d[row * 8 + column] == sum, "mma");
        }
    }
}

void loads() {
    alignas(16) storage rows[256];
    unsigned before[32], plain[128], transposed[128];
    for (unsigned i = 0; i < 256; i++) {
        rows[i].bits = (unsigned short)(i + 1);
    }
    launch("load_rows", 32, 0, (const storage*)rows, (unsigned*)before, (unsigned*)plain, (unsigned*)transposed);
    auto element = [&](unsigned matrix, unsigned row, unsigned column) {
        // The last row was not valid.
        return 8 * matrix + row == 31 ? 0u : (8 * matrix + row) * 8 + column + 1;
    };
    for (unsigned lane = 0; lane < 32; lane++) {
        expect(before[lane] == 0xffff, "cp.async before the wait");
        for (unsigned i = 0; i < 4; i++) {
            unsigned g = lane / 4, t = lane % 4;
            expect(plain[4 * lane + i] == (element(i, g, 2 * t) | element(i, g, 2 * t + 1) << 16), "ldmatrix");
            unsigned both = element(i, 2 * t, g) | element(i, 2 * t + 1, g) << 16;
            expect(transposed[4 * lane + i] == both, "ldmatrix.trans");
        }
    }
}

void exchanges() {
    int out[256];
    launch("exchange", 32, 0, (int*)out);
    for (int lane = 0; lane < 32; lane++) {
        const int* got = out + 8 * lane;
        expect(got[0] == 3, "__shfl_sync");
        expect(got[1] == lane / 8 * 8 + 1, "__shfl_sync of parts");
        expect(got[2] == (lane ^ 5), "__shfl_xor_sync");
        expect(got[3] == (lane % 16 < 13 ? lane + 3 : lane), "__shfl_down_sync");
        expect(got[4] == (lane % 16 >= 3 ? lane - 3 : lane), "__shfl_up_sync");
        expect(got[5] == 0x49249249, "__ballot_sync");
        expect(got[6] == 1 && got[7] == 0, "__any_sync, __all_sync");
    }
}

// Between every two neighbours the middle goes to the even one, and what lies beside it to the nearer.
template <typename T>
void rounding(unsigned infinity_bits, const char* name) {
    for (unsigned bits = 0; bits + 1 < infinity_bits; bits++) {
        float low = to_float(T{(unsigned short)bits}), high = to_float(T{(unsigned short)(bits + 1)});
        float middle = float((double(low) + double(high)) / 2);
        auto to = [](float value) { return unsigned(from_float<T>(value).bits); };
        expect(to(low) == bits && to(-low) == (bits | 0x8000), name);
        // A middle that f32 cannot hold is no tie.
        if (double(middle) * 2 == double(low) + double(high)) {
            expect(to(middle) == bits + bits % 2, name);
            expect(to(std::nextafter(middle, 0.0f)) == bits, name);
            expect(to(std::nextafter(middle, high)) == bits + 1, name);
        }
    }
    expect(from_float<T>(3e38f * 10).bits == infinity_bits, name);
    float nan = to_float(from_float<T>(__uint_as_float(0x7f800001)));
    expect(nan != nan, name);
}

// The signal that ends a launch.
template <typename... Arguments>
int signal_of(const char* name, unsigned block, unsigned shared, Arguments... values) {
    std::fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        std::freopen("/dev/null", "w", stderr);
        launch(name, block, shared, values...);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void broken_kernels() {
    for (const char* name : {"missing_lane", "two_collectives", "missing_thread"}) {
        expect(signal_of(name, 64, 0) == SIGABRT, name);
    }
    expect(signal_of("write_behind", 32, 128) == 0, "write_behind with enough");
    expect(signal_of("write_behind", 32, 124) == SIGABRT, "write_behind");
    expect(emulator_launch(emulator_kernel("missing_lane"), 1, 1, 1, 1025, 1, 1, 0, nullptr) == 1, "too many threads");
    expect(emulator_kernel("none") == nullptr, "no such kernel");
    unsigned first[64], second[64];
    launch("race", 64, 0, (unsigned*)first);
    launch("race", 64, 0, (unsigned*)second);
    expect(std::memcmp(first, second, sizeof(first)) != 0 || first[0] != first[32], "race");
}

}  // namespace

int main() {
    products();
    loads();
    exchanges();
    rounding<bf16>(0x7f80, "bf16");
    rounding<f16>(0x7c00, "f16");
    broken_kernels();
    std::printf("%u failures\n", failures);
    return failures == 0 ? 0 : 1;
}
