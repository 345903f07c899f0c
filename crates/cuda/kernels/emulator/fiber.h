// Fibers: stacks that take turns on one host thread.
//
// On x86-64 a switch saves the registers that the System V ABI keeps over calls (5 ns); elsewhere ucontext does it with
// a system call.

#pragma once
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#if !defined(__x86_64__) || !defined(__ELF__)
#include <ucontext.h>
#endif

namespace emulator {

constexpr std::size_t STACK_BYTES = 256 * 1024;
constexpr std::size_t STACK_GUARD_BYTES = 64 * 1024;
constexpr unsigned MAX_FIBERS = 1024;

// The lowest byte of the stack of fiber `number`: below it lies memory that may not be touched.
inline char* stack_of(unsigned number) {
    constexpr std::size_t bytes = STACK_BYTES + STACK_GUARD_BYTES;
    static char* const stacks = [] {
        void* memory = mmap(nullptr, MAX_FIBERS * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            std::perror("emulator: stacks of threads");
            std::abort();
        }
        return static_cast<char*>(memory);
    }();
    static unsigned opened = 0;
    for (; opened <= number; opened++) {
        if (mprotect(stacks + opened * bytes + STACK_GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE) != 0) {
            std::perror("emulator: stack of a thread");
            std::abort();
        }
    }
    return stacks + number * bytes + STACK_GUARD_BYTES;
}

#if defined(__x86_64__) && defined(__ELF__)

struct Fiber {
    void* stack_pointer;
};

// Saves the running fiber's stack pointer in *from and goes on where `to` was saved.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.p2align 4
.local emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch, .-emulator_switch
)");

inline void start_fiber(Fiber& fiber, unsigned number, void (*entry)()) {
    // Tops at different distances from a page's start do not fight for the same cache lines.
    void** top = reinterpret_cast<void**>(stack_of(number) + STACK_BYTES - number % 32 * 1088 - 72);
    // As if `entry` had been called, with the stack 8 short of a multiple of 16: a return address that is never used,
    // then what emulator_switch pops.
    top[0] = nullptr;
    top[-1] = reinterpret_cast<void*>(entry);
    fiber.stack_pointer = top - 7;
}

inline void switch_fiber(Fiber& from, Fiber& to) {
    emulator_switch(&from.stack_pointer, to.stack_pointer);
}

#else

struct Fiber {
    ucontext_t context;
};

inline void start_fiber(Fiber& fiber, unsigned number, void (*entry)()) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack_of(number);
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
}

inline void switch_fiber(Fiber& from, Fiber& to) {
    swapcontext(&from.context, &to.context);
}

#endif

}  // namespace emulator
