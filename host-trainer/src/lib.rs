//! Trains GRUs for grulet.
//!
//! In the order that things pass: [`config`] and [`data`] (files to examples) → [`nn`] (gradients and optimisers) → [`run`] (epochs,
//! and the folder of a run) → [`checkpoint`] → [`export`] (a model for the chip) → [`evaluate`] (the runtime crate on it)
//! → [`quantize`] (the same in integers), with [`baseline`], [`cost`] and [`anomaly`] beside it. [`sweep`] is many runs with other settings.
//! [`import`] and [`interop`] are the ways to and from other frameworks. [`cli`] is the command line over these.

pub mod anomaly;
pub mod baseline;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod cost;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod files;
pub mod firmware;
pub mod import;
pub mod interop;
pub mod nn;
pub mod quantize;
pub mod run;
pub mod summary;
pub mod sweep;
