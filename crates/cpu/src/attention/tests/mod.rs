//! Attention on every instruction set, storage type and head width against plain f64 loops.

mod first_row;
mod inputs;
mod oracle;
mod packed;
