//! Matrix × vector, and the order in which a matrix is stored.
//!
//! A matrix of `O` outputs and `K` inputs, with its bias, is cut into **blocks** of neighbouring outputs: as many of 16
//! as fit, then one each of 8, 4, 2 and 1 as the rest needs. A block of width `W` is one stream of `W·(1 + K)` weights:
//! its `W` biases, then for each input in turn its `W` weights. A kernel keeps a block's sums in registers, reads the
//! stream once from front to back, and never pads.
//!
//! [`product`] defines the bits: each sum starts at its bias and adds its products one by one in the order of the
//! inputs, multiply then add, never fused. Others may compute several outputs at once, which changes no sum.
//! [`one_hot_product`] is the same where the first inputs are one-hot: it adds one weight in place of their products.
//!
//! Kernels are `#[inline]` so that they are compiled at the optimisation level of the program that runs them: a firmware may
//! then ask for small code from this crate, whose loader runs once, and for fast code from its own steps.

#[cfg(all(target_arch = "arm", target_os = "none", target_abi = "eabihf"))]
mod arm_fpu;
pub mod int8;
pub mod portable;
#[cfg(any(test, grulet_soft_float))]
mod soft;
#[doc(hidden)]
pub mod suite;

#[cfg(all(target_arch = "arm", target_os = "none", target_abi = "eabihf"))]
pub use arm_fpu::{one_hot_product, product};
#[cfg(not(any(all(target_arch = "arm", target_os = "none", target_abi = "eabihf"), grulet_soft_float)))]
pub use portable::{one_hot_product, product};
#[cfg(grulet_soft_float)]
pub use soft::{one_hot_product, product};

/// A one-hot input: its elements are 0, but one is 1.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Elements.
    pub inputs: usize,
    /// The number of the one that is 1, less than `inputs`.
    pub token: usize,
}

impl Hot {
    /// Whether so many weights can be those of its elements and of more.
    #[inline(always)]
    fn fits(self, weights: usize) -> bool {
        self.inputs < weights
    }
}

/// The widths of blocks, widest first.
pub const WIDTHS: [usize; 5] = [16, 8, 4, 2, 1];

/// The blocks of a matrix of `outputs` outputs, in order: the first output of each, and its width.
pub fn blocks(outputs: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    core::iter::from_fn(move || {
        let width = WIDTHS.into_iter().find(|width| outputs - first >= *width)?;
        first += width;
        Some((first - width, width))
    })
}
