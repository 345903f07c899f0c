//! Tests of the row ops.
