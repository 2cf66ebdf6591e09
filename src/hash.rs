//! A hash of output bits, so that "the same bits" is one number to compare.

/// 64-bit FNV-1a, fed with the bit patterns of `f32` values, 32 bits at a time.
///
/// Constants: Fowler, Noll and Vo, RFC 9923 (offset basis 0xcbf29ce484222325, prime 0x100000001b3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitHash(u64);

impl BitHash {
    /// The hash of nothing.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in the bits of `values`, in order.
    pub fn update(&mut self, values: &[f32]) {
        for value in values {
            *self = self.word(value.to_bits());
        }
    }

    /// This hash with one more 32-bit word.
    pub(crate) const fn word(self, word: u32) -> Self {
        Self((self.0 ^ word as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The hash of all that was taken in.
    pub const fn finish(self) -> u64 {
        self.0
    }
}

impl Default for BitHash {
    fn default() -> Self {
        Self::new()
    }
}
