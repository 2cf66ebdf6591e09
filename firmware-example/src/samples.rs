//! A file of samples and targets, as `grulet export --samples` writes it, read in place from flash.

/// Samples of `I` inputs, with `O` targets each.
#[derive(Clone, Copy)]
pub struct Samples<'a, const I: usize, const O: usize> {
    inputs: &'a [[[u8; 4]; I]],
    targets: &'a [[[u8; 4]; O]],
}

impl<'a, const I: usize, const O: usize> Samples<'a, I, O> {
    /// The samples in `bytes`; `None` if it is no samples file of this shape.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"GRUSMP1\0")?;
        let (steps, rest) = rest.split_first_chunk::<4>()?;
        let (inputs, rest) = rest.split_first_chunk::<2>()?;
        let (targets, rest) = rest.split_first_chunk::<2>()?;
        let steps = u32::from_le_bytes(*steps) as usize;
        if usize::from(u16::from_le_bytes(*inputs)) != I || usize::from(u16::from_le_bytes(*targets)) != O {
            return None;
        }
        let (inputs, targets) = rest.split_at_checked(steps.checked_mul(I)?.checked_mul(4)?)?;
        let samples = Self { inputs: rows(inputs), targets: rows(targets) };
        (samples.inputs.len() == steps && samples.targets.len() == steps).then_some(samples)
    }

    /// Each sample with its targets, in order.
    pub fn iter(&self) -> impl Iterator<Item = ([f32; I], [f32; O])> + use<'a, I, O> {
        let (inputs, targets) = (self.inputs.iter(), self.targets.iter());
        inputs.zip(targets).map(|(x, y)| (x.map(f32::from_le_bytes), y.map(f32::from_le_bytes)))
    }
}

/// Rows of `N` numbers of 4 bytes.
fn rows<const N: usize>(bytes: &[u8]) -> &[[[u8; 4]; N]] {
    bytes.as_chunks::<4>().0.as_chunks::<N>().0
}
