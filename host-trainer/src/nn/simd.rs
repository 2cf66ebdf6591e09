//! Runs a loop compiled for the vector unit that the processor has.
//!
//! The build targets the oldest x86-64, whose vectors hold four `f32`. A [`Kernel`] is compiled three times, for that, for
//! AVX2 with fused multiply-add and for AVX-512, and [`dispatch`] picks at run time. Vectors hold neighbouring results,
//! never parts of one sum, so that their width changes no bit: AVX2 and AVX-512 give the same weights, on every run and for
//! every number of threads (`cargo xtask avx512` trains on both). A processor without FMA rounds products separately and so
//! differs in the last bits.
#![allow(unsafe_code)]

use super::Real;

/// What a kernel may assume about the processor.
pub(super) trait Isa {
    /// Whether a fused multiply-add is one instruction.
    const FUSED: bool;
    /// Whether there are thirty-two registers of sixteen `f32`.
    const WIDE: bool = false;

    /// `a · b + c`, fused where that is one instruction.
    #[inline(always)]
    fn madd<R: Real>(a: R, b: R, c: R) -> R {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
}

/// What the compilation target guarantees.
struct Baseline;
impl Isa for Baseline {
    const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
}

/// AVX2 and FMA: x86-64 processors since 2013.
#[cfg(target_arch = "x86_64")]
struct Avx2;
#[cfg(target_arch = "x86_64")]
impl Isa for Avx2 {
    const FUSED: bool = true;
}

/// AVX-512 as all processors with it have had it since 2017.
#[cfg(target_arch = "x86_64")]
struct Avx512;
#[cfg(target_arch = "x86_64")]
impl Isa for Avx512 {
    const FUSED: bool = true;
    const WIDE: bool = true;
}

/// A loop worth compiling more than once. `run` and everything that it calls must be `#[inline(always)]`, else it is
/// compiled for the baseline.
pub(super) trait Kernel {
    fn run<I: Isa>(self);
}

/// Runs `kernel` in the widest version that this processor has.
#[inline]
pub(super) fn dispatch<K: Kernel>(kernel: K) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has all features that `avx512` is compiled for.
            return unsafe { avx512(kernel) };
        }
        // SAFETY: the processor has both features that `avx2` is compiled for.
        return unsafe { avx2(kernel) };
    }
    kernel.run::<Baseline>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) {
    kernel.run::<Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn avx512<K: Kernel>(kernel: K) {
    kernel.run::<Avx512>();
}
