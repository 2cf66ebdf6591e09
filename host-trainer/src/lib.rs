//! Trains GRUs for grulet.

pub mod nn;
