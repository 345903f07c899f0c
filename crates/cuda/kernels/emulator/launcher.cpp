// Runs kernels: one block after another, its threads as fibers which a scheduler resumes until all wait or have ended.

#include "cuda_emulator.h"
#include "fiber.h"
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace emulator {
namespace {

constexpr unsigned WARP_LANES = 32;
constexpr unsigned MAX_THREADS = 1024;
constexpr unsigned MAX_SHARED = 227 * 1024;
// Watched behind the dynamic shared memory.
constexpr unsigned GUARD = 1024;
constexpr unsigned char GUARD_BYTE = 0xA5;

enum class State { Ready, AtWarp, AtBlock, Ended };

// A cp.async on its way.
struct Copy {
    void* target;
    const void* source;
    unsigned valid;
    unsigned group;
};

struct Thread {
    Indices indices;
    Fiber fiber;
    State state;
    Site site;
    unsigned warp;
    std::vector<Copy> copies;
    // That copies join now; those before it are committed.
    unsigned group;
};

struct Warp {
    unsigned arrived;
    // Meetings take turns between the two: who still reads the one cannot be overtaken by more than one meeting.
    unsigned turn;
    Exchange exchanges[2][WARP_LANES];
};

struct Block {
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    unsigned votes, votes_of_last;
};

Kernel* kernels = nullptr;
std::mutex launching;
const Kernel* running = nullptr;
void** arguments = nullptr;
Block block;
Thread* current = nullptr;
Fiber scheduler;
alignas(16) unsigned char shared_memory[MAX_SHARED + GUARD];

void yield() {
    switch_fiber(current->fiber, scheduler);
}

bool same(const Site& a, const Site& b) {
    return a.line == b.line && std::strcmp(a.operation, b.operation) == 0 && std::strcmp(a.file, b.file) == 0;
}

void run_thread() {
    running->call(arguments);
    current->state = State::Ended;
    yield();
}

void resume(Thread& thread) {
    current = &thread;
    indices = &thread.indices;
    switch_fiber(scheduler, thread.fiber);
}

// Runs the warp until none of its lanes can go on by itself.
void run_warp(unsigned warp, bool backwards) {
    unsigned first = warp * WARP_LANES, end = std::min<unsigned>(first + WARP_LANES, block.threads.size());
    for (bool progress = true; progress;) {
        progress = false;
        for (unsigned i = first; i < end; i++) {
            Thread& thread = block.threads[backwards ? end - 1 - (i - first) : i];
            if (thread.state == State::Ready) {
                progress = true;
                resume(thread);
            }
        }
    }
    for (unsigned i = first; i < end; i++) {
        if (block.threads[i].state == State::AtWarp) {
            current = &block.threads[i];
            fail(current->site, "some lanes of the warp did not come to this collective");
        }
    }
}

// Lets all go on that wait at the barrier; false when all have ended.
bool release_barrier() {
    Thread* waiting = nullptr;
    bool ended = false;
    for (Thread& thread : block.threads) {
        if (thread.state == State::Ended) {
            ended = true;
        } else if (waiting != nullptr && !same(waiting->site, thread.site)) {
            current = &thread;
            fail(thread.site, "other threads of the block wait at another barrier");
        } else {
            waiting = &thread;
        }
    }
    if (waiting == nullptr) {
        return false;
    }
    if (ended) {
        current = waiting;
        fail(waiting->site, "other threads of the block have ended and never come to this barrier");
    }
    for (Thread& thread : block.threads) {
        thread.state = State::Ready;
    }
    block.votes_of_last = std::exchange(block.votes, 0);
    return true;
}

void run_block(dim3 index, dim3 grid, dim3 size, unsigned shared_bytes, bool backwards) {
    std::memset(shared_memory, 0xff, shared_bytes);
    std::memset(shared_memory + shared_bytes, GUARD_BYTE, GUARD);
    unsigned number = 0;
    for (Thread& thread : block.threads) {
        dim3 at{number % size.x, number / size.x % size.y, number / size.x / size.y};
        thread.indices = {at, index, size, grid, number % WARP_LANES};
        thread.state = State::Ready;
        thread.warp = number / WARP_LANES;
        thread.copies.clear();
        thread.group = 0;
        start_fiber(thread.fiber, number, run_thread);
        number++;
    }
    for (Warp& warp : block.warps) {
        warp.arrived = warp.turn = 0;
    }
    block.votes = 0;
    unsigned warps = block.warps.size();
    do {
        for (unsigned i = 0; i < warps; i++) {
            run_warp(backwards ? warps - 1 - i : i, backwards);
        }
    } while (release_barrier());
    for (unsigned i = 0; i < GUARD; i++) {
        if (shared_memory[shared_bytes + i] != GUARD_BYTE) {
            fail({"end of the block", "", 0}, "written behind the dynamic shared memory of the launch");
        }
    }
}

}  // namespace

const Indices* indices = nullptr;

Kernel::Kernel(const char* name, void (*call)(void**), const unsigned* sizes, unsigned count)
    : name(name), call(call), parameter_sizes(sizes), parameter_count(count), launches(0), next(kernels) {
    kernels = this;
}

const Exchange* meet_warp(const Exchange& mine, unsigned mask, Site site, void (*combine)(Exchange*)) {
    Warp& warp = block.warps[current->warp];
    unsigned first = current->warp * WARP_LANES;
    if (mask != 0xffffffff || first + WARP_LANES > block.threads.size()) {
        fail(site, "the emulator knows collectives of whole warps only");
    }
    Exchange* all = warp.exchanges[warp.turn];
    all[current->indices.lane] = mine;
    current->site = site;
    if (++warp.arrived < WARP_LANES) {
        current->state = State::AtWarp;
        yield();
        return all;
    }
    for (unsigned lane = 0; lane < WARP_LANES; lane++) {
        Thread& thread = block.threads[first + lane];
        if (!same(thread.site, site)) {
            fail(site, "other lanes of the warp are at another collective");
        }
        thread.state = State::Ready;
    }
    warp.arrived = 0;
    warp.turn ^= 1;
    if (combine != nullptr) {
        combine(all);
    }
    return all;
}

unsigned meet_block(bool vote, Site site) {
    block.votes += vote;
    current->site = site;
    current->state = State::AtBlock;
    yield();
    return block.votes_of_last;
}

void copy_later(void* target, const void* source, unsigned valid) {
    current->copies.push_back({target, source, valid, current->group});
}

void commit_copies() {
    current->group++;
}

void wait_for_copies(unsigned newest) {
    std::erase_if(current->copies, [newest](const Copy& copy) {
        bool waited_for = copy.group + newest < current->group;
        if (waited_for) {
            std::memcpy(copy.target, copy.source, copy.valid);
            std::memset(static_cast<char*>(copy.target) + copy.valid, 0, 16 - copy.valid);
        }
        return waited_for;
    });
}

void* dynamic_shared() {
    return shared_memory;
}

void fail(Site site, const char* what) {
    const Indices& at = current->indices;
    std::fprintf(
        stderr, "emulator: kernel %s, block (%u, %u, %u), thread (%u, %u, %u), %s at %s:%d: %s\n", running->name,
        at.block.x, at.block.y, at.block.z, at.thread.x, at.thread.y, at.thread.z, site.operation, site.file, site.line,
        what
    );
    std::abort();
}

}  // namespace emulator

using namespace emulator;

EXPORT const void* emulator_kernel(const char* name) {
    const Kernel* kernel = kernels;
    while (kernel != nullptr && std::strcmp(kernel->name, name) != 0) {
        kernel = kernel->next;
    }
    return kernel;
}

EXPORT unsigned emulator_parameters(const void* handle, unsigned* sizes, unsigned capacity) {
    const Kernel* kernel = static_cast<const Kernel*>(handle);
    std::copy_n(kernel->parameter_sizes, std::min(capacity, kernel->parameter_count), sizes);
    return kernel->parameter_count;
}

EXPORT int emulator_launch(
    const void* handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
    unsigned block_z, unsigned shared_bytes, void** parameters
) {
    unsigned long long threads = 1ull * block_x * block_y * block_z;
    bool empty = grid_x == 0 || grid_y == 0 || grid_z == 0 || threads == 0;
    // CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
    bool large = grid_x > 0x7fffffff || grid_y > 65535 || grid_z > 65535 || threads > MAX_THREADS || block_z > 64;
    if (empty || large || shared_bytes > MAX_SHARED) {
        return 1;
    }
    std::lock_guard lock(launching);
    Kernel* kernel = const_cast<Kernel*>(static_cast<const Kernel*>(handle));
    running = kernel;
    arguments = parameters;
    block.threads.resize(threads);
    block.warps.resize((threads + WARP_LANES - 1) / WARP_LANES);
    bool backwards = kernel->launches++ % 2 == 1;
    dim3 grid{grid_x, grid_y, grid_z}, size{block_x, block_y, block_z};
    for (unsigned z = 0; z < grid_z; z++) {
        for (unsigned y = 0; y < grid_y; y++) {
            for (unsigned x = 0; x < grid_x; x++) {
                run_block({x, y, z}, grid, size, shared_bytes, backwards);
            }
        }
    }
    return 0;
}

EXPORT void* emulator_allocate(unsigned long long bytes) {
    unsigned long long rounded = (std::max(bytes, 1ull) + 255) / 256 * 256;
    void* memory = rounded < bytes ? nullptr : std::aligned_alloc(256, rounded);
    if (memory != nullptr) {
        std::memset(memory, 0xff, rounded);
    }
    return memory;
}

EXPORT void emulator_free(void* memory) {
    std::free(memory);
}

EXPORT void emulator_copy(void* target, const void* source, unsigned long long bytes) {
    std::memmove(target, source, bytes);
}

EXPORT void emulator_fill(void* target, int byte, unsigned long long bytes) {
    std::memset(target, byte, bytes);
}
