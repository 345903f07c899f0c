//! Plain loops in f32 and f64: the definition of correct.
