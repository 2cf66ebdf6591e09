//! A model as bytes: reader, and (feature `alloc`) writer. `docs/FORMAT.md` describes the format byte by byte.
//!
//! **If** [`Blob::parse`] gives `Ok` **then** the bytes are complete and undamaged, their tensors have the sizes that
//! their layers state, and every weight is finite: running the model can neither panic nor leave the finite numbers.
//! Any other byte string gives an [`Error`].

mod header;
#[cfg(feature = "alloc")]
pub mod quantize;
#[cfg(feature = "alloc")]
mod unpack;
#[cfg(feature = "alloc")]
mod write;

use crc::{CRC_32_ISCSI, Crc};

use header::{Core, PairCore};
pub use header::{Golden, Header, Names, Provenance};
#[cfg(feature = "alloc")]
pub use quantize::Range;
#[cfg(feature = "alloc")]
pub use unpack::{OwnedWeights, unpack};
#[cfg(feature = "alloc")]
pub use write::{AlignedBytes, Contents, LayerWeights, WriteError, write, write_int8};

use crate::cast::{self, Aligned, Line};
use crate::error::Error;
use crate::format::Format;
use crate::layer::{Layer, Weights, take};
use crate::math::WEIGHT_LIMIT;
use crate::network::WindowNetwork;
use crate::spec::{Decoding, LayerSpec, Output, Storage, fingerprint};

/// The first eight bytes of every model; not text, so that a transfer in text mode is noticed.
pub const MAGIC: [u8; 8] = *b"\x89grulet\n";
/// The version of the format that this crate reads and writes.
pub const VERSION: u32 = 1;
/// Bytes of the preamble: magic, version, header length, fingerprint, total length, four zeros.
pub const PREAMBLE: usize = 32;
/// Bytes of the checksum at the end.
pub const CHECKSUM: usize = 4;

/// CRC-32C (Castagnoli): finds every change of up to 3 bits, and every burst of up to 32, at these lengths.
pub fn checksum(bytes: &[u8]) -> u32 {
    // Without a table on a chip: 100 bytes of flash instead of 1 KiB, for something done once at start-up.
    #[cfg(target_os = "none")]
    static CRC: Crc<u32, crc::NoTable> = Crc::<u32, crc::NoTable>::new(&CRC_32_ISCSI);
    // A trainer writes a checkpoint after every epoch.
    #[cfg(not(target_os = "none"))]
    static CRC: Crc<u32, crc::Table<16>> = Crc::<u32, crc::Table<16>>::new(&CRC_32_ISCSI);
    CRC.checksum(bytes)
}

/// A checked model: its header, and its tensors in place.
#[derive(Clone, Debug)]
pub struct Blob<'a> {
    header: Header<'a>,
    tensors: &'a [Line],
}

/// The scales and offsets between real units and the network's.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Subtracted from each input channel.
    pub mean: &'a [f32],
    /// Multiplied with each input channel afterwards: `1/σ` for z-scores.
    pub scale: &'a [f32],
    /// Multiplied with each output.
    pub output_scale: &'a [f32],
    /// Added to each output afterwards.
    pub output_offset: &'a [f32],
}

/// The bytes' tensor region, cut in the order in which it is written: `mean`, `scale`, `output_scale`, `output_offset`,
/// layers, golden inputs; each starting on a new line.
#[derive(Clone, Copy)]
pub(crate) struct Regions<'a> {
    pub affine: Affine<'a>,
    pub layers: &'a [Line],
    pub golden: &'a [Line],
}

impl<'a> Regions<'a> {
    /// `tensors` of a network with so many inputs, outputs, and lines of layers.
    #[inline(always)]
    pub fn cut(mut tensors: &'a [Line], inputs: usize, outputs: usize, layers: usize) -> Self {
        let mut channel = |elements| {
            let floats = cast::floats(take(&mut tensors, elements_to_lines(elements)));
            floats.get(..elements).unwrap_or(floats)
        };
        let affine = Affine {
            mean: channel(inputs),
            scale: channel(inputs),
            output_scale: channel(outputs),
            output_offset: channel(outputs),
        };
        Self { affine, layers: take(&mut tensors, layers), golden: tensors }
    }
}

/// Lines for so many 4-byte elements.
const fn elements_to_lines(elements: usize) -> usize {
    elements.div_ceil(4)
}

/// A little-endian field of the preamble; 0 beyond its end.
const fn field(bytes: &[u8], at: usize) -> u32 {
    let mut value = 0;
    let mut i = 4;
    while i > 0 {
        i -= 1;
        value = value << 8 | if at + i < bytes.len() { bytes[at + i] as u32 } else { 0 };
    }
    value
}

/// Whether `blob` is of this format's version, complete, and made for network `N`. For use in a `const` assertion; what
/// else may be wrong with it, [`Model::from_blob`](crate::Model::from_blob) finds at start-up.
pub const fn fits<N: WindowNetwork>(blob: &Aligned<[u8]>) -> bool {
    has_fingerprint(blob, N::FINGERPRINT)
}

/// Whether `blob` is of this format's version, complete, and of the network with that fingerprint.
pub(crate) const fn has_fingerprint(blob: &Aligned<[u8]>, fingerprint: u64) -> bool {
    let bytes = &blob.0;
    let mut i = 0;
    while i < MAGIC.len() {
        if i >= bytes.len() || bytes[i] != MAGIC[i] {
            return false;
        }
        i += 1;
    }
    let print = field(bytes, 16) as u64 | (field(bytes, 20) as u64) << 32;
    field(bytes, 8) == VERSION && field(bytes, 24) as usize == bytes.len() && print == fingerprint
}

/// A blob that is whole, with the first fields of its header.
struct Opened<'a> {
    core: Core,
    /// The header.
    encoded: &'a [u8],
    /// All but the checksum.
    content: &'a [u8],
    /// The same, and perhaps one line more.
    lines: &'a [Line],
}

impl<'a> Opened<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        // Before the alignment: an empty slice has an odd address, and is no model wherever it lies.
        if !bytes.starts_with(&MAGIC) {
            // A cut-off magic is still a truncated model.
            return Err(if MAGIC.starts_with(bytes) && !bytes.is_empty() {
                Error::Truncated { expected: PREAMBLE + CHECKSUM, found: bytes.len() }
            } else {
                Error::NotAModel
            });
        }
        let Some(lines) = cast::lines(bytes) else {
            return Err(Error::Misaligned { offset: bytes.as_ptr().addr() % align_of::<Line>() });
        };
        if bytes.len() < PREAMBLE + CHECKSUM {
            return Err(Error::Truncated { expected: PREAMBLE + CHECKSUM, found: bytes.len() });
        }
        let version = field(bytes, 8);
        if version != VERSION {
            return Err(Error::Version { found: version });
        }
        let total = field(bytes, 24) as usize;
        if total > bytes.len() {
            return Err(Error::Truncated { expected: total, found: bytes.len() });
        }
        if total < bytes.len() {
            return Err(Error::TrailingBytes { expected: total, found: bytes.len() });
        }
        let Some((content, _)) = bytes.split_last_chunk::<CHECKSUM>() else {
            return Err(Error::NotAModel);
        };
        let (stored, computed) = (field(bytes, content.len()), checksum(content));
        if stored != computed {
            return Err(Error::Checksum { stored, computed });
        }
        Self::checked(content, lines)
    }

    /// Everything after the checksum.
    fn checked(content: &'a [u8], lines: &'a [Line]) -> Result<Self, Error> {
        let wrong = |what| Err(Error::Header { what });
        let length = field(content, 12) as usize;
        let Some(encoded) = content.get(PREAMBLE..).and_then(|rest| rest.get(..length)) else {
            return wrong("it is longer than the model");
        };
        let core = core(encoded)?;
        if field(content, 28) != 0 {
            return wrong("its reserved field is not 0");
        }
        Ok(Self { core, encoded, content, lines })
    }

    /// The tensors, if there are as many as layers of `of_layers` lines need, and `print` is the fingerprint in the
    /// preamble.
    fn tensors(&self, of_layers: u64, print: u64) -> Result<&'a [Line], Error> {
        let Self { core, encoded, content, lines } = self;
        let wrong = |what| Err(Error::Header { what });
        if print != (field(content, 16) as u64 | (field(content, 20) as u64) << 32) {
            return wrong("the fingerprint is not that of its layers");
        }
        // Lines that must be there, in `u64`, because a hostile header's sizes may not fit a 32-bit `usize`.
        let inputs = core.layers.first().map_or(0, LayerSpec::inputs);
        let outputs = core.layers.last().map_or(0, LayerSpec::outputs);
        let of_affine = 2 * (elements_to_lines(inputs) + elements_to_lines(outputs)) as u64;
        let of_golden = (u64::from(core.golden.steps) * inputs as u64).div_ceil(4);
        let before = (PREAMBLE + encoded.len()).div_ceil(Line::BYTES);
        let expected = (before as u64 + of_affine + of_layers + of_golden) * Line::BYTES as u64;
        if expected != content.len() as u64 {
            return wrong("its layers do not add up to the model's length");
        }
        let tensors = lines.get(before..).unwrap_or(&[]);
        // Integers are right whatever they are.
        let floats = match core.storage {
            Storage::F32 => of_affine + of_layers,
            Storage::Int8 => of_affine,
        };
        let weights = cast::floats(tensors.get(..floats as usize).unwrap_or(&[]));
        for (i, &weight) in weights.iter().enumerate() {
            // A NaN is in no range.
            if !(-WEIGHT_LIMIT..=WEIGHT_LIMIT).contains(&weight) {
                return Err(Error::Weight { offset: before * Line::BYTES + i * 4, found: weight });
            }
        }
        Ok(tensors)
    }
}

impl<'a> Blob<'a> {
    /// Checks `bytes`, from end to end.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let opened = Opened::new(bytes)?;
        let Core { storage, layers, .. } = &opened.core;
        opened.core.check()?;
        let header = decode(opened.encoded);
        let print = header.as_ref().map_or_else(|_| fingerprint(*storage, layers), Header::fingerprint);
        let tensors = opened.tensors(lines(layers, *storage), print)?;
        Ok(Self { header: header?, tensors })
    }

    /// What the blob says of itself.
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// The scales and offsets between real units and the network's.
    pub fn affine(&self) -> Affine<'a> {
        self.regions().affine
    }

    /// The inputs of the golden self-test, in real units: `(steps, inputs)`.
    pub fn golden_inputs(&self) -> &'a [f32] {
        let inputs = cast::floats(self.regions().golden);
        inputs.get(..self.header.golden.steps as usize * self.header.inputs()).unwrap_or(inputs)
    }

    /// The weights of layer `index`, for wiring a graph by hand. A one-hot layer is one of its own here: that of
    /// [`OneHot<L>`](crate::OneHot) is asked for with the index after it.
    pub fn layer<L: Layer>(&self, index: usize) -> Result<Weights<'a, L>, Error> {
        let found = self.header.layers.get(index).copied();
        expect_storage(L::Format::STORAGE, self.header.storage)?;
        if found != Some(L::SPEC) {
            return Err(Error::Layer { layer: index, expected: Some(L::SPEC), found });
        }
        let before = self.header.layers.get(..index).unwrap_or(&[]);
        let mut tensors = self.regions().layers;
        take(&mut tensors, lines(before, self.header.storage) as usize);
        Ok(Weights::new(take(&mut tensors, L::SPEC.lines(self.header.storage) as usize)))
    }

    pub(crate) fn regions(&self) -> Regions<'a> {
        let layers = lines(&self.header.layers, self.header.storage);
        Regions::cut(self.tensors, self.header.inputs(), self.header.outputs(), layers as usize)
    }
}

/// The lines that layers take; in `u64`, because those of a hostile header may not fit a `usize`.
fn lines(layers: &[LayerSpec], storage: Storage) -> u64 {
    layers.iter().map(|layer| layer.lines(storage)).sum()
}

/// Refuses weights that are stored for another format.
pub(crate) fn expect_storage(expected: Storage, found: Storage) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Storage { expected, found }) }
}

/// Refuses other layers than `expected`, naming the one that differs; the first one has the number `first`.
#[inline(always)]
fn expect_layers(expected: &[LayerSpec], found: &[LayerSpec], first: usize) -> Result<(), Error> {
    for layer in 0..expected.len().max(found.len()) {
        let (expected, found) = (expected.get(layer).copied(), found.get(layer).copied());
        if expected != found {
            return Err(Error::Layer { layer: first + layer, expected, found });
        }
    }
    Ok(())
}

/// What a network type knows of the blobs that fit it.
pub(crate) struct Expected {
    pub storage: Storage,
    pub layers: &'static [LayerSpec],
    pub lines: u64,
    pub fingerprint: u64,
}

/// The encoded header and the tensors in `bytes`, if they hold the network expected. Not inlined, because it is the same
/// for every network.
#[inline(never)]
pub(crate) fn load<'a>(bytes: &'a [u8], expected: &Expected) -> Result<(&'a [u8], &'a [Line]), Error> {
    let opened = Opened::new(bytes)?;
    expect_storage(expected.storage, opened.core.storage)?;
    expect_layers(expected.layers, &opened.core.layers, 0)?;
    Ok((opened.encoded, opened.tensors(expected.lines, expected.fingerprint)?))
}

/// What an encoder-decoder's type knows of the blobs that fit it.
pub(crate) struct ExpectedPair {
    pub storage: Storage,
    pub encoder: &'static [LayerSpec],
    pub decoder: &'static [LayerSpec],
    pub lines: u64,
    pub fingerprint: u64,
}

/// [`load`] for an encoder-decoder, with its decoding.
#[inline(never)]
pub(crate) fn load_pair<'a>(
    bytes: &'a [u8],
    expected: &ExpectedPair,
) -> Result<(&'a [u8], &'a [Line], Decoding), Error> {
    let opened = Opened::new(bytes)?;
    expect_storage(expected.storage, opened.core.storage)?;
    let (.., output): PairCore = postcard::from_bytes(opened.encoded).map_err(|_| NOT_POSTCARD)?;
    let Output::Sequence(decoding) = output else {
        return Err(Error::Sequence { expected: true });
    };
    let (of_encoder, found) = (expected.encoder.len(), decoding.encoder.into());
    if of_encoder != found {
        return Err(Error::Length { what: "layers of the encoder", expected: of_encoder, found });
    }
    let (encoder, decoder) = opened.core.layers.split_at_checked(of_encoder).unwrap_or_default();
    expect_layers(expected.encoder, encoder, 0)?;
    expect_layers(expected.decoder, decoder, of_encoder)?;
    decoding.check(expected.decoder.last().map_or(0, LayerSpec::outputs))?;
    Ok((opened.encoded, opened.tensors(expected.lines, expected.fingerprint)?, decoding))
}

const NOT_POSTCARD: Error = Error::Header { what: "it is not what postcard wrote" };

/// The header in `encoded`, which must end with it.
pub(crate) fn decode(encoded: &[u8]) -> Result<Header<'_>, Error> {
    let (header, rest) = postcard::take_from_bytes::<Header<'_>>(encoded).map_err(|_| NOT_POSTCARD)?;
    if !rest.is_empty() {
        return Err(Error::Header { what: "it is shorter than its length says" });
    }
    header.check()?;
    Ok(header)
}

/// The first fields of the header in `encoded`.
#[inline(never)]
fn core(encoded: &[u8]) -> Result<Core, Error> {
    Core::decode(encoded).ok_or(NOT_POSTCARD)
}

/// Whether the outputs that count are those of the last step, in a header that [`load`] gave.
#[inline(never)]
pub(crate) fn only_last(encoded: &[u8]) -> Result<bool, Error> {
    Core::only_last(encoded).ok_or(NOT_POSTCARD)
}

/// The self-test in a header that [`load`] gave.
#[inline(never)]
pub(crate) fn golden(encoded: &[u8]) -> Result<Golden, Error> {
    core(encoded).map(|core| core.golden)
}
