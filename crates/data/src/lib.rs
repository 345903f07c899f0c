//! Dataset files to examples to seeded, packed batches.
