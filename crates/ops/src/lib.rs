//! The vocabulary of the model family: the Backend trait and its reference implementation.
