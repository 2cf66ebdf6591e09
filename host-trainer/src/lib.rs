//! Trains GRUs for grulet.
