//! One array in NumPy's `.npy` format, versions 1 to 3
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
//!
//! If the bytes are not such an array, the error says why; whatever the header promises, no more memory is taken than
//! there are bytes to fill it.

use std::io::Read;
use std::ops::Range;

/// Longest header that is read, in bytes. NumPy itself warns above 10,000.
const MAX_HEADER: usize = 1 << 20;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Uint,
    Float,
    /// UTF-32, padded with zeros.
    Unicode,
    /// Bytes, padded with zeros.
    Bytes,
}

/// An array of numbers or strings, in C order and any byte order.
#[derive(Clone, Debug)]
pub struct NpyArray {
    shape: Vec<usize>,
    kind: Kind,
    big_endian: bool,
    item: usize,
    bytes: Vec<u8>,
}

impl NpyArray {
    /// Reads an array up to the end of `reader`.
    ///
    /// # Errors
    /// What is wrong with the bytes, as a phrase.
    pub fn read(mut reader: impl Read) -> Result<Self, String> {
        let io = |error: std::io::Error| format!("cannot be unpacked ({error})");
        let mut preamble = [0; 8];
        reader.read_exact(&mut preamble).map_err(io)?;
        if &preamble[..6] != b"\x93NUMPY" {
            return Err("does not begin like a .npy array".to_owned());
        }
        let mut length = [0; 4];
        match preamble[6] {
            1 => reader.read_exact(&mut length[..2]).map_err(io)?,
            2 | 3 => reader.read_exact(&mut length).map_err(io)?,
            version => return Err(format!("is of .npy version {version}, but only 1 to 3 are known")),
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER {
            return Err(format!("has a header of {length} bytes"));
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(io)?;
        let text = String::from_utf8_lossy(&text);
        let header = Header::parse(&text).ok_or_else(|| format!("has the header {:?}", text.trim_end()))?;
        let (kind, big_endian, item) = element(&header.descr)?;

        let promised = header.shape.iter().try_fold(item, |bytes, &size| bytes.checked_mul(size));
        let promised = promised.ok_or_else(|| format!("promises the impossible shape {:?}", header.shape))?;
        let mut bytes = Vec::new();
        reader.by_ref().take(promised as u64).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() < promised {
            let found = bytes.len();
            return Err(format!("is cut off: shape {:?} needs {promised} bytes, {found} are there", header.shape));
        }
        // Reading past the end also makes a zip reader compare its checksum.
        if reader.read(&mut [0]).map_err(io)? > 0 {
            return Err(format!("goes on behind its {promised} bytes"));
        }
        if header.fortran_order {
            bytes = to_c_order(&bytes, &header.shape, item);
        }
        Ok(NpyArray { shape: header.shape, kind, big_endian, item, bytes })
    }

    /// Size of each axis; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the elements are strings.
    pub fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Unicode | Kind::Bytes)
    }

    /// The type in words, for messages.
    pub fn type_name(&self) -> String {
        match self.kind {
            Kind::Bool => "booleans".to_owned(),
            Kind::Int | Kind::Uint => format!("{}-bit integers", 8 * self.item),
            Kind::Float => format!("{}-bit floats", 8 * self.item),
            Kind::Unicode | Kind::Bytes => "strings".to_owned(),
        }
    }

    /// Element `index` in C order as a number; NaN where it is a string.
    ///
    /// # Panics
    /// If `index` is not below [`NpyArray::len`].
    pub fn number(&self, index: usize) -> f64 {
        if self.is_text() {
            return f64::NAN;
        }
        let bits = self.bits(index);
        match (self.kind, self.item) {
            (Kind::Int, _) => self.integer(index) as f64,
            (Kind::Float, 2) => half::f16::from_bits(bits as u16).to_f64(),
            (Kind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Kind::Float, _) => f64::from_bits(bits),
            (Kind::Bool, _) => f64::from(u8::from(bits != 0)),
            _ => bits as f64,
        }
    }

    /// The bits of a number, and zeros before them.
    fn bits(&self, index: usize) -> u64 {
        let mut word = [0; 8];
        word[..self.item].copy_from_slice(&self.bytes[index * self.item..][..self.item]);
        if self.big_endian {
            word[..self.item].reverse();
        }
        u64::from_le_bytes(word)
    }

    /// An integer with a sign.
    fn integer(&self, index: usize) -> i64 {
        let unused = 64 - 8 * self.item as u32;
        (self.bits(index) << unused) as i64 >> unused
    }

    /// What `map` makes of each element of `range` in C order, as a number.
    ///
    /// # Panics
    /// If `range` ends behind [`NpyArray::len`].
    pub fn map_numbers<T>(&self, range: Range<usize>, map: impl Fn(f64) -> T) -> Vec<T> {
        let bytes = &self.bytes[range.start * self.item..range.end * self.item];
        // The usual types in loops of their own: type and order of every single element would cost ten times as much.
        match (self.kind, self.item, self.big_endian) {
            (Kind::Float, 4, false) => {
                bytes.as_chunks().0.iter().map(|&bytes| map(f32::from_le_bytes(bytes).into())).collect()
            }
            (Kind::Float, 8, false) => {
                bytes.as_chunks().0.iter().map(|&bytes| map(f64::from_le_bytes(bytes))).collect()
            }
            _ => range.map(|index| map(self.number(index))).collect(),
        }
    }

    /// Element `index` in C order as text; a number as it is usually written.
    ///
    /// # Panics
    /// If `index` is not below [`NpyArray::len`].
    pub fn text(&self, index: usize) -> String {
        let bytes = self.bytes.get(index * self.item..).map_or(&[][..], |rest| &rest[..self.item]);
        let text: String = match self.kind {
            Kind::Unicode => bytes
                .chunks_exact(4)
                .map(|unit| {
                    let unit = [unit[0], unit[1], unit[2], unit[3]];
                    let code = if self.big_endian { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                })
                .collect(),
            Kind::Bytes => String::from_utf8_lossy(bytes).into_owned(),
            Kind::Int => return self.integer(index).to_string(),
            Kind::Uint => return self.bits(index).to_string(),
            Kind::Bool | Kind::Float => return self.number(index).to_string(),
        };
        text.trim_end_matches('\0').to_owned()
    }
}

/// What a header says.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the Python literal `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = string(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match key {
                "descr" => {
                    let (text, after) = string(value)?;
                    descr = Some(text.to_owned());
                    after
                }
                "fortran_order" => {
                    let (order, after) = value
                        .strip_prefix("True")
                        .map(|after| (true, after))
                        .or_else(|| value.strip_prefix("False").map(|after| (false, after)))?;
                    fortran_order = Some(order);
                    after
                }
                "shape" => {
                    let (sizes, after) = value.strip_prefix('(')?.split_once(')')?;
                    // Python 2 wrote `3L`.
                    let sizes = sizes.split(',').map(|size| size.trim().trim_end_matches('L'));
                    let sizes: Result<_, _> = sizes.filter(|size| !size.is_empty()).map(str::parse).collect();
                    shape = Some(sizes.ok()?);
                    after
                }
                _ => return None,
            }
            .trim_start();
            rest = after.strip_prefix(',').unwrap_or(after).trim_start();
        }
        Some(Header { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// A quoted string without escapes, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Kind, byte order and size in bytes of the elements that a type string such as `<f4` describes.
fn element(descr: &str) -> Result<(Kind, bool, usize), String> {
    let unknown = || {
        let objects = "is of Python objects (make strings of them by .astype(str), numbers by .astype(\"float32\"), or of series of several lengths one array (N, T), with their lengths in another)";
        match descr {
            "|O" => objects.to_owned(),
            _ => {
                format!("holds elements of type {descr:?}, which are neither plain numbers of 8 to 64 bits nor strings")
            }
        }
    };
    let (order, rest) = descr.split_at_checked(1).ok_or_else(unknown)?;
    let (kind, size) = rest.split_at_checked(1).ok_or_else(unknown)?;
    // Elements of no bytes would let a header promise any number of them.
    let size: usize = size.parse().ok().filter(|&size| size > 0).ok_or_else(unknown)?;
    let big_endian = match order {
        "<" | "|" | "=" => false,
        ">" => true,
        _ => return Err(unknown()),
    };
    let kind = match (kind, size) {
        ("b", 1) => Kind::Bool,
        ("i", 1 | 2 | 4 | 8) => Kind::Int,
        ("u", 1 | 2 | 4 | 8) => Kind::Uint,
        ("f", 2 | 4 | 8) => Kind::Float,
        ("U", _) => Kind::Unicode,
        ("S" | "a", _) => Kind::Bytes,
        _ => return Err(unknown()),
    };
    let item = if kind == Kind::Unicode { size.checked_mul(4).ok_or_else(unknown)? } else { size };
    Ok((kind, big_endian, item))
}

/// Elements of `item` bytes from first axis fastest to last axis fastest.
fn to_c_order(bytes: &[u8], shape: &[usize], item: usize) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    let mut at = vec![0; shape.len()];
    for _ in 0..bytes.len().checked_div(item).unwrap_or(0) {
        let offset = at.iter().zip(shape).rev().fold(0, |offset, (&index, &size)| offset * size + index);
        ordered.extend_from_slice(&bytes[offset * item..][..item]);
        for (index, &size) in at.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < size {
                break;
            }
            *index = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        let length = header.len() as u32;
        bytes.extend(&length.to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}   \n")
    }

    fn numbers(descr: &str, data: &[u8], count: usize) -> Vec<f64> {
        let array = NpyArray::read(&npy(1, &header(descr, "False", &format!("({count},)")), data)[..]).unwrap();
        let numbers: Vec<f64> = (0..array.len()).map(|index| array.number(index)).collect();
        assert_eq!(array.map_numbers(0..array.len(), |number| number), numbers, "{descr}");
        numbers
    }

    #[test]
    fn reads_every_plain_type_in_both_byte_orders() {
        assert_eq!(numbers("|b1", &[0, 1], 2), [0.0, 1.0]);
        assert_eq!(numbers("|i1", &[0x80, 0x7f], 2), [-128.0, 127.0]);
        assert_eq!(numbers("|u1", &[0x80], 1), [128.0]);
        for (little, big, value, bytes) in [
            ("<i2", ">i2", -300.0, (-300i16).to_le_bytes().to_vec()),
            ("<u2", ">u2", 65000.0, 65000u16.to_le_bytes().to_vec()),
            ("<i4", ">i4", -70000.0, (-70000i32).to_le_bytes().to_vec()),
            ("<u4", ">u4", 4e9, 4_000_000_000u32.to_le_bytes().to_vec()),
            ("<i8", ">i8", -5e12, (-5_000_000_000_000i64).to_le_bytes().to_vec()),
            ("<u8", ">u8", 9e15, 9_000_000_000_000_000u64.to_le_bytes().to_vec()),
            ("<f2", ">f2", -1.5, 0xbe00u16.to_le_bytes().to_vec()),
            ("<f4", ">f4", 0.375, 0.375f32.to_le_bytes().to_vec()),
            ("<f8", ">f8", 1e-300, 1e-300f64.to_le_bytes().to_vec()),
        ] {
            assert_eq!(numbers(little, &bytes, 1), [value], "{little}");
            let swapped: Vec<u8> = bytes.iter().rev().copied().collect();
            assert_eq!(numbers(big, &swapped, 1), [value], "{big}");
        }
    }

    #[test]
    fn reads_strings_and_all_versions() {
        let text: Vec<u8> = "ab\0é\0\0".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for version in [1, 2, 3] {
            let array = NpyArray::read(&npy(version, &header("<U3", "False", "(2,)"), &text)[..]).unwrap();
            assert_eq!((array.text(0), array.text(1)), ("ab".to_owned(), "é".to_owned()));
        }
        let array = NpyArray::read(&npy(1, &header("|S2", "False", "(2L,)"), b"a\0bc")[..]).unwrap();
        assert_eq!((array.text(0), array.text(1)), ("a".to_owned(), "bc".to_owned()));
    }

    #[test]
    fn integers_are_written_to_the_last_digit() {
        let text = |descr: &str, bytes: [u8; 8]| {
            NpyArray::read(&npy(1, &header(descr, "False", "(1,)"), &bytes)[..]).unwrap().text(0)
        };
        assert_eq!(text("<i8", (-9_007_199_254_740_993i64).to_le_bytes()), "-9007199254740993");
        assert_eq!(text(">u8", u64::MAX.to_be_bytes()), "18446744073709551615");
        assert_eq!(text("<f8", 2.0f64.to_le_bytes()), "2");
    }

    #[test]
    fn fortran_order_is_turned() {
        // (2, 3, 2) whose element at (i, j, k) is 100·i + 10·j + k, stored with the first axis fastest.
        let mut data = Vec::new();
        for k in 0..2 {
            for j in 0..3 {
                data.extend([10 * j + k, 100 + 10 * j + k]);
            }
        }
        let array = NpyArray::read(&npy(1, &header("|u1", "True", "(2, 3, 2)"), &data)[..]).unwrap();
        let values: Vec<f64> = (0..12).map(|index| array.number(index)).collect();
        assert_eq!(values, [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 100.0, 101.0, 110.0, 111.0, 120.0, 121.0]);
    }

    #[test]
    fn lying_headers_are_errors_and_cost_no_memory() {
        for (text, phrase) in [
            (header("<f4", "False", "(1000000, 1000000)"), "cut off"),
            (header("<f8", "False", "(4611686018427387904, 4)"), "impossible"),
            (header("<f4", "False", "(99999999999999999999999,)"), "header"),
            (header("<f4", "False", "(-1,)"), "header"),
            (header("<f4", "Maybe", "(1,)"), "header"),
            (header("<f4", "False", "(2,)"), "cut off"),
            (header("|u1", "False", "(3,)"), "goes on"),
            (header("<c8", "False", "(1,)"), "neither"),
            (header("|O", "False", "(1,)"), ".astype(str)"),
            (header("é", "False", "(1,)"), "neither"),
            (header("<f16", "False", "(1,)"), "neither"),
            (header("|S0", "False", "(1000000, 1000000)"), "neither"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}".to_owned(), "header"),
            ("[".repeat(60_000), "header"),
            (String::new(), "header"),
        ] {
            let error = NpyArray::read(&npy(1, &text, &[0; 4])[..]).unwrap_err();
            assert!(error.contains(phrase), "{text}: {error}");
        }
        let mut long = npy(2, "", &[]);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(NpyArray::read(&long[..]).unwrap_err().contains("header"));
        assert!(NpyArray::read(&b"\x93NUM"[..]).is_err());
        assert!(NpyArray::read(&npy(4, "", &[])[..]).unwrap_err().contains("version 4"));
    }

    #[test]
    fn any_damage_ends_in_an_array_or_an_error() {
        let good = npy(1, &header("<f4", "True", "(2, 2)"), &[1; 16]);
        for position in 0..good.len() {
            assert!(NpyArray::read(&good[..position]).is_err(), "cut at {position}");
            for value in [0, b'\'', b'(', b')', b'9', 0xff] {
                let mut bytes = good.clone();
                bytes[position] = value;
                if let Ok(array) = NpyArray::read(&bytes[..]) {
                    (0..array.len()).for_each(|index| {
                        array.number(index);
                        array.text(index);
                    });
                }
            }
        }
    }
}
