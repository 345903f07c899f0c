//! One table of cases per op, checking any backend against the reference.
