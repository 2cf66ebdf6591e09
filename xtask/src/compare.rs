//! Outputs of one model on two machines, compared bit by bit.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use grulet::blob::AlignedBytes;
use grulet::spec::Storage;
use grulet::{AnyModel, BitHash, Blob, Exact, Format, Int8};

/// A samples file: inputs and targets of a stretch of steps.
pub struct Samples {
    /// Inputs (steps, I).
    x: Vec<f32>,
    /// Targets (steps, O).
    targets: Vec<f32>,
    inputs: usize,
}

impl Samples {
    /// Steps.
    pub fn steps(&self) -> usize {
        self.x.len() / self.inputs.max(1)
    }

    /// Reads what `grulet export --samples` wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no samples file; export it again", path.display()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"GRUSMP1\0")?;
        let (steps, rest) = rest.split_first_chunk::<4>()?;
        let (inputs, rest) = rest.split_first_chunk::<2>()?;
        let (outputs, rest) = rest.split_first_chunk::<2>()?;
        let (steps, inputs) = (u32::from_le_bytes(*steps) as usize, usize::from(u16::from_le_bytes(*inputs)));
        let outputs = usize::from(u16::from_le_bytes(*outputs));
        let values: Vec<f32> = rest.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if values.len() != steps * (inputs + outputs) || rest.len() % 4 != 0 {
            return None;
        }
        let (x, targets) = values.split_at(steps * inputs);
        Some(Self { x: x.to_vec(), targets: targets.to_vec(), inputs })
    }
}

/// Multiply-accumulates of a step of the model at `path`.
pub fn macs(path: &Path) -> Result<usize> {
    let blob = AlignedBytes::new(&fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    Ok(Blob::parse(blob.as_ref())?.header().macs())
}

/// What a model answers on a machine.
pub struct Outputs {
    /// Outputs per step.
    pub width: usize,
    /// Bits of the outputs (steps, O).
    pub bits: Vec<u32>,
}

impl Outputs {
    /// Those of this machine, by the runtime crate.
    pub fn on_host(model: &Path, samples: &Samples) -> Result<Self> {
        let bytes = fs::read(model).with_context(|| format!("cannot read {}", model.display()))?;
        let blob = AlignedBytes::new(&bytes);
        match Blob::parse(blob.as_ref())?.header().storage {
            Storage::Int8 => Self::by::<Int8>(&blob, samples),
            _ => Self::by::<Exact>(&blob, samples),
        }
    }

    fn by<F: Format>(blob: &AlignedBytes, samples: &Samples) -> Result<Self> {
        let model = AnyModel::<F>::from_blob(blob)?;
        let mut stream = model.heap_stream();
        let mut bits = Vec::new();
        for x in samples.x.chunks_exact(samples.inputs) {
            bits.extend(stream.step(x)?.iter().map(|y| y.to_bits()));
        }
        Ok(Self { width: model.header().outputs(), bits })
    }

    /// Those that the firmware's `outputs` printed: a line per step, the bits of each output in hexadecimal.
    pub fn printed(text: &str) -> Result<Self> {
        let mut outputs = Self { width: 0, bits: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let values: Result<Vec<u32>, _> = line.split(' ').map(|bits| u32::from_str_radix(bits, 16)).collect();
            let values = values.with_context(|| format!("step {index}: `{line}` is no line of outputs"))?;
            if index > 0 && values.len() != outputs.width {
                bail!("step {index}: {} outputs, but {} before", values.len(), outputs.width);
            }
            outputs.width = values.len();
            outputs.bits.extend(values);
        }
        Ok(outputs)
    }

    /// Steps.
    pub fn steps(&self) -> usize {
        self.bits.len() / self.width.max(1)
    }

    /// The hash of all bits.
    pub fn hash(&self) -> u64 {
        let mut hash = BitHash::new();
        let values: Vec<f32> = self.bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        hash.update(&values);
        hash.finish()
    }

    /// Mean squared error against the targets of `samples`.
    pub fn mse(&self, samples: &Samples) -> f64 {
        let errors = self.bits.iter().zip(&samples.targets).map(|(&y, &t)| f64::from(f32::from_bits(y)) - f64::from(t));
        errors.map(|error| error * error).sum::<f64>() / self.bits.len() as f64
    }

    /// Where `other` first differs from this.
    pub fn first_difference(&self, other: &Outputs) -> Option<Difference> {
        let pairs = self.bits.iter().zip(&other.bits).enumerate();
        let at = pairs.into_iter().find(|(_, (mine, theirs))| mine != theirs).map(|(index, _)| index);
        let shorter = self.bits.len().min(other.bits.len());
        let at = at.or((self.bits.len() != other.bits.len()).then_some(shorter))?;
        let value = |outputs: &Outputs| outputs.bits.get(at).map(|&bits| f32::from_bits(bits));
        let width = self.width.max(1);
        Some(Difference { step: at / width, element: at % width, host: value(self), target: value(other) })
    }
}

/// The first output that is not the same; `None` where a machine gave none.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// The step, from 0.
    pub step: usize,
    /// The output, from 0.
    pub element: usize,
    /// Its value on the host.
    pub host: Option<f32>,
    /// Its value on the target.
    pub target: Option<f32>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: Option<f32>| match value {
            Some(value) => format!("{value:e} ({:08x})", value.to_bits()),
            None => "none".to_owned(),
        };
        let (host, target) = (value(self.host), value(self.target));
        write!(f, "step {}, element {}: host {host}, target {target}", self.step, self.element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(bits: &[u32]) -> Outputs {
        Outputs { width: 2, bits: bits.to_vec() }
    }

    #[test]
    fn one_bit_is_found_and_named() {
        let host = outputs(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(host.first_difference(&outputs(&[1, 2, 3, 4, 5, 6])), None);
        let found = host.first_difference(&outputs(&[1, 2, 3, 0x3f80_0000, 5, 7])).expect("there is a difference");
        assert_eq!((found.step, found.element, found.target), (1, 1, Some(1.0)));
        assert!(found.to_string().starts_with("step 1, element 1: host 6e-45 (00000004), target 1e0 (3f800000)"));
        let short = host.first_difference(&outputs(&[1, 2, 3, 4])).expect("two are missing");
        assert_eq!((short.step, short.element, short.target), (2, 0, None));
    }

    #[test]
    fn a_difference_of_nan_payloads_is_one() {
        let nan = |payload: u32| outputs(&[0x7fc0_0000 | payload, 0]);
        assert_eq!(nan(1).first_difference(&nan(1)), None);
        assert!(nan(1).first_difference(&nan(2)).is_some());
    }

    #[test]
    fn printed_outputs_are_read_back() {
        let printed = Outputs::printed("3f800000 00000000\n40000000 bf800000\n").expect("it is well-formed");
        assert_eq!((printed.width, printed.steps()), (2, 2));
        assert_eq!(printed.bits, [1.0f32, 0.0, 2.0, -1.0].map(f32::to_bits));
        assert!(Outputs::printed("error: truncated").is_err());
        assert!(Outputs::printed("00 01\n02").is_err());
    }

    #[test]
    fn samples_must_add_up() {
        let mut bytes = b"GRUSMP1\0".to_vec();
        bytes.extend([2, 0, 0, 0, 1, 0, 1, 0]);
        bytes.extend([1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()));
        let samples = Samples::parse(&bytes).expect("it is well-formed");
        assert_eq!((samples.x, samples.targets), (vec![1.0, 2.0], vec![3.0, 4.0]));
        assert!(Samples::parse(&bytes[..bytes.len() - 1]).is_none());
        assert!(Samples::parse(&bytes[1..]).is_none());
    }
}
