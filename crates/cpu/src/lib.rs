//! The Backend on the CPU: one file per op, inner loops per instruction set.
