// Matrix products of a warp on tensor cores, and how their operands get there: mma.sync, ldmatrix, cp.async.
//
// Section names are those of the PTX ISA manual. In what follows lane = 4 g + t: g = lane / 4, t = lane % 4. Two 16-bit
// numbers share a word, the one with the lower column (A) or row (B) in its low half. All lanes must take part.

#pragma once
#include "storage.cuh"

#ifdef __CUDACC__

// The address in the window of shared memory that ldmatrix and cp.async take.
__device__ inline unsigned shared_address(const void* shared) {
    return unsigned(__cvta_generic_to_shared(shared));
}

#if STORAGE == 1
#define MMA_TYPES "bf16.bf16"
#elif STORAGE == 2
#define MMA_TYPES "f16.f16"
#endif

#if STORAGE != 0
// d += a b with A 16 x 16 (rows x k), B 16 x 8 (k x columns), d 16 x 8 in f32: "Matrix Fragments for mma.m16n8k16 with
// floating point type".
//   a[0]: row g,     columns 2t, 2t + 1        b0: rows 2t, 2t + 1,     column g
//   a[1]: row g + 8, columns 2t, 2t + 1        b1: rows 2t + 8, 2t + 9, column g
//   a[2]: row g,     columns 2t + 8, 2t + 9    d[0], d[1]: row g,     columns 2t, 2t + 1
//   a[3]: row g + 8, columns 2t + 8, 2t + 9    d[2], d[3]: row g + 8, columns 2t, 2t + 1
__device__ inline void mma_16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." MMA_TYPES ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

// Four 8 x 8 matrices of 16-bit numbers: "Warp-level matrix load instruction: ldmatrix". Lanes 8 i .. 8 i + 8 give the
// addresses of the eight rows of matrix i (16 bytes each, at multiples of 16); regs[i] receives row g, columns 2t and
// 2t + 1 of matrix i.
__device__ inline void ldmatrix_x4(unsigned (&regs)[4], const void* shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(regs[0]), "=r"(regs[1]), "=r"(regs[2]), "=r"(regs[3])
                 : "r"(shared_address(shared))
                 : "memory");
}

// The same of the transposed matrices: regs[i] receives rows 2t and 2t + 1, column g of matrix i.
__device__ inline void ldmatrix_x4_trans(unsigned (&regs)[4], const void* shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(regs[0]), "=r"(regs[1]), "=r"(regs[2]), "=r"(regs[3])
                 : "r"(shared_address(shared))
                 : "memory");
}

// Starts copying 16 bytes from global to shared memory past the registers: "Data Movement and Conversion Instructions:
// cp.async", with the source size as the manual has it: 16 zeros, and nothing read, where not `valid`.
__device__ inline void cp_async_16(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(valid ? 16 : 0)
                 : "memory");
}

// Closes a group of copies of this thread.
__device__ inline void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits for all groups of this thread but the newest PENDING. Other threads' copies need a barrier besides.
template <unsigned PENDING>
__device__ inline void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#else
#include "emulator/tensor_core_emulator.h"
#endif
