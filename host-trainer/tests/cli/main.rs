//! The command line, by the real binary: what it writes and prints, and how it refuses what cannot work.

mod anomaly;
mod bad_config;
mod bad_data;
mod bad_model;
mod bidirectional;
mod checks;
mod disk;
mod ema;
mod evaluate;
mod folds;
mod init;
mod lock;
mod monitor;
mod npz;
mod outputs;
mod pool;
mod quantize;
mod resume;
mod runs;
mod sequence;
mod stateful;
mod support;
mod sweep;
mod tokens;
mod validate;
mod weights;
