//! Element types, shapes and aligned buffers; no arithmetic.
