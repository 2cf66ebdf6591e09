//! Trains GRUs for grulet.

pub mod config;
pub mod data;
