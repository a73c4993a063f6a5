//! Tests of the whole program, against real parts.
