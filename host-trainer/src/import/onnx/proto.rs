//! The messages of `onnx.proto` (onnx.ai, IR version 14) as far as a network of this kind needs them; other fields are
//! skipped. And how much memory a file's messages would take, before any of it is taken.

use prost::Message;
use prost::bytes::Bytes;

use crate::import::ImportError;

/// Element types of a tensor, as `TensorProto.DataType` numbers them.
pub mod kind {
    pub const F32: i32 = 1;
    pub const I32: i32 = 6;
    pub const I64: i32 = 7;
    pub const BOOL: i32 = 9;
    pub const F16: i32 = 10;
    pub const F64: i32 = 11;
    pub const BF16: i32 = 16;
}

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<Opset>,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// Functions of the model's own: whether there are any is all that counts.
    #[prost(bytes = "bytes", repeated, tag = "25")]
    pub functions: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Opset {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(bytes = "bytes", repeated, tag = "15")]
    pub sparse_initializer: Vec<Bytes>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(string, tag = "7")]
    pub domain: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// An attribute. Graphs in it are not read: the operators that have any are refused.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "bytes", tag = "4")]
    pub s: Bytes,
    #[prost(message, optional, boxed, tag = "5")]
    pub t: Option<Box<Tensor>>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub strings: Vec<Bytes>,
}

/// Values of `Attribute.type`, for what is written.
pub mod attribute {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
    pub const STRINGS: i32 = 8;
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub raw_data: Option<Bytes>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    /// 1 where the data are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, tag = "2")]
    pub dim_param: String,
}

/// Bytes that the messages of a file may take in memory, without the tensors' own.
const MAX_MEMORY: usize = 32 << 20;
/// What a message takes at most, with its share of a growing list.
const MESSAGE: usize = 600;
/// The same of a string, without its characters.
const STRING: usize = 64;

/// What lies in a field.
#[derive(Clone, Copy)]
enum Field {
    Message(Kind),
    /// A string, or bytes that are not copied.
    Text,
    /// Whole numbers of at least one byte, each of which takes up to 8 here.
    Whole,
}

/// The messages above, as far as they hold lists.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    /// Nothing in it but texts and numbers.
    Flat,
}

impl Kind {
    fn field(self, tag: u64) -> Option<Field> {
        use Field::{Message, Text, Whole};
        Some(match (self, tag) {
            (Kind::Model, 7) => Message(Kind::Graph),
            (Kind::Model, 8) => Message(Kind::Flat),
            (Kind::Model, 2 | 3 | 25) => Text,
            (Kind::Graph, 1) => Message(Kind::Node),
            (Kind::Graph, 5) => Message(Kind::Tensor),
            (Kind::Graph, 11 | 12) => Message(Kind::Value),
            (Kind::Graph, 2 | 15) => Text,
            (Kind::Node, 5) => Message(Kind::Attribute),
            (Kind::Node, 1..=4 | 7) => Text,
            (Kind::Attribute, 5) => Message(Kind::Tensor),
            (Kind::Attribute, 1 | 4 | 9) => Text,
            (Kind::Attribute, 8) => Whole,
            (Kind::Tensor, 13) => Message(Kind::Flat),
            (Kind::Tensor, 8 | 9) => Text,
            (Kind::Tensor, 1 | 5 | 7) => Whole,
            (Kind::Value, 1) | (Kind::Flat, 1 | 2) => Text,
            (Kind::Value, 2) => Message(Kind::Type),
            (Kind::Type, 1) => Message(Kind::TensorType),
            (Kind::TensorType, 2) => Message(Kind::Shape),
            (Kind::Shape, 1) => Message(Kind::Flat),
            _ => return None,
        })
    }
}

/// The model in `bytes`.
///
/// # Errors
/// If they are no such message, or one that takes far more memory than a network of this kind.
pub fn decode(bytes: Vec<u8>) -> Result<Model, ImportError> {
    let mut memory = 0;
    measure(&bytes, Kind::Model, &mut memory)?;
    Model::decode(Bytes::from(bytes)).map_err(|error| ImportError::Damaged(format!("the ONNX model: {error}")))
}

/// Adds what a message of this kind takes. Kinds nest at most seven deep, so it cannot go deeper.
fn measure(mut bytes: &[u8], kind: Kind, memory: &mut usize) -> Result<(), ImportError> {
    let damaged = |what: &str| ImportError::Damaged(format!("the ONNX model: {what}"));
    while !bytes.is_empty() {
        let key = varint(&mut bytes).ok_or_else(|| damaged("a field without a number"))?;
        let field = kind.field(key >> 3);
        let length = match key & 7 {
            0 => {
                varint(&mut bytes).ok_or_else(|| damaged("a number that does not end"))?;
                // A list may also be written number by number.
                *memory += if matches!(field, Some(Field::Whole)) { 8 } else { 0 };
                0
            }
            1 => 8,
            2 => varint(&mut bytes).ok_or_else(|| damaged("a length that does not end"))?,
            5 => 4,
            _ => return Err(damaged("a field of an unknown type")),
        };
        let length = usize::try_from(length).ok().filter(|&length| length <= bytes.len());
        let (inner, rest) = bytes.split_at(length.ok_or_else(|| damaged("a length beyond its end"))?);
        bytes = rest;
        match field {
            Some(Field::Message(kind)) if key & 7 == 2 => {
                *memory += MESSAGE;
                measure(inner, kind, memory)?;
            }
            Some(Field::Text) => *memory += STRING,
            Some(Field::Whole) => *memory += inner.len() * 8,
            _ => {}
        }
        if *memory > MAX_MEMORY {
            return Err(ImportError::TooLarge {
                what: "the description of the graph".to_owned(),
                bytes: *memory as u64,
                limit: MAX_MEMORY as u64,
            });
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first < 0x80 {
            return Some(value);
        }
    }
    None
}
