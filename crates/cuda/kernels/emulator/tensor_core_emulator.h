// The functions of tensor_core.cuh, from the layouts that its comments state.

#pragma once
#include <cstdint>

namespace emulator {

// The half of a word that column (or row) `index` of a pair is in.
template <typename T>
float half_of(unsigned word, unsigned index) {
    return to_float(T{(unsigned short)(word >> 16 * (index % 2))});
}

// Each lane's words: a[0..4], b[4..6], d[6..10].
template <typename T>
void multiply(Exchange* lanes) {
    float a[16][16], b[16][8];
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned g = lane / 4, t = lane % 4;
        const unsigned* words = lanes[lane].words;
        for (unsigned i = 0; i < 2; i++) {
            a[g][2 * t + i] = half_of<T>(words[0], i);
            a[g + 8][2 * t + i] = half_of<T>(words[1], i);
            a[g][2 * t + 8 + i] = half_of<T>(words[2], i);
            a[g + 8][2 * t + 8 + i] = half_of<T>(words[3], i);
            b[2 * t + i][g] = half_of<T>(words[4], i);
            b[2 * t + 8 + i][g] = half_of<T>(words[5], i);
        }
    }
    float product[16][8] = {};
    for (unsigned row = 0; row < 16; row++) {
        for (unsigned k = 0; k < 16; k++) {
            for (unsigned column = 0; column < 8; column++) {
                product[row][column] += a[row][k] * b[k][column];
            }
        }
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned g = lane / 4, t = lane % 4;
        for (unsigned i = 0; i < 4; i++) {
            unsigned& d = lanes[lane].words[6 + i];
            d = __float_as_uint(__uint_as_float(d) + product[g + i / 2 * 8][2 * t + i % 2]);
        }
    }
}

// Each lane's words: the address of its row before, its four registers after.
template <bool TRANSPOSED>
void load_matrices(Exchange* lanes) {
    const unsigned short* rows[32];
    for (unsigned lane = 0; lane < 32; lane++) {
        std::memcpy(&rows[lane], lanes[lane].words, sizeof(rows[lane]));
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned g = lane / 4, t = lane % 4;
        for (unsigned i = 0; i < 4; i++) {
            const unsigned short* const* matrix = rows + 8 * i;
            unsigned low = TRANSPOSED ? matrix[2 * t][g] : matrix[g][2 * t];
            unsigned high = TRANSPOSED ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
            lanes[lane].words[i] = low | high << 16;
        }
    }
}

inline void load_matrices(unsigned (&regs)[4], const void* row, void (*combine)(Exchange*), Site site) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
        fail(site, "a row that does not begin at a multiple of 16 bytes");
    }
    Exchange mine{};
    std::memcpy(mine.words, &row, sizeof(row));
    const Exchange* all = meet_warp(mine, 0xffffffff, site, combine);
    std::memcpy(regs, all[indices->lane].words, sizeof(regs));
}

}  // namespace emulator

#if STORAGE != 0
inline void mma_16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, EMULATOR_CALLER) {
    emulator::Exchange mine{{a[0], a[1], a[2], a[3], b0, b1}};
    std::memcpy(mine.words + 6, d, sizeof(d));
    const emulator::Exchange* all =
        emulator::meet_warp(mine, 0xffffffff, EMULATOR_SITE("mma.sync"), emulator::multiply<storage>);
    std::memcpy(d, all[emulator::indices->lane].words + 6, sizeof(d));
}
#endif

inline void ldmatrix_x4(unsigned (&regs)[4], const void* shared, EMULATOR_CALLER) {
    emulator::load_matrices(regs, shared, emulator::load_matrices<false>, EMULATOR_SITE("ldmatrix"));
}

inline void ldmatrix_x4_trans(unsigned (&regs)[4], const void* shared, EMULATOR_CALLER) {
    emulator::load_matrices(regs, shared, emulator::load_matrices<true>, EMULATOR_SITE("ldmatrix.trans"));
}

inline void cp_async_16(void* shared, const void* global, bool valid, EMULATOR_CALLER) {
    if ((reinterpret_cast<std::uintptr_t>(shared) | reinterpret_cast<std::uintptr_t>(global)) % 16 != 0) {
        emulator::fail(EMULATOR_SITE("cp.async"), "an address that is no multiple of 16 bytes");
    }
    emulator::copy_later(shared, global, valid ? 16 : 0);
}

inline void cp_async_commit() {
    emulator::commit_copies();
}

template <unsigned PENDING>
void cp_async_wait() {
    emulator::wait_for_copies(PENDING);
}
