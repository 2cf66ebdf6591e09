//! Types of elements, from a file's bytes to `f32`.

/// The type of a tensor's elements, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
    /// IEEE 754's 16 bits.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// Whole numbers and anything else, of so many bytes: no weights.
    Other(usize),
}

impl Dtype {
    /// That of a class of storage in `torch`.
    pub fn of_storage(class: &str) -> Self {
        match class {
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" | "ComplexFloatStorage" => Self::Other(8),
            "IntStorage" | "QInt32Storage" => Self::Other(4),
            "ShortStorage" => Self::Other(2),
            "ComplexDoubleStorage" => Self::Other(16),
            _ => Self::Other(1),
        }
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::F16 | Self::Bf16 => 2,
            Self::Other(size) => size,
        }
    }

    /// The element at the start of `bytes`, rounded to `f32`; None if there is none, or it is no number of this kind.
    pub fn read(self, bytes: &[u8]) -> Option<f32> {
        Some(match self {
            Self::F32 => f32::from_le_bytes(*bytes.first_chunk()?),
            Self::F64 => f64::from_le_bytes(*bytes.first_chunk()?) as f32,
            Self::F16 => half::f16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
            Self::Bf16 => half::bf16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
            Self::Other(_) => return None,
        })
    }
}
