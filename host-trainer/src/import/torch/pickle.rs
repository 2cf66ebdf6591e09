//! Pickles, as far as `torch.save` writes them: a stack machine that builds data and calls nothing.
//!
//! **If** a pickle names a function **then** it is one of a short list, of which this file knows what comes out, or the pickle is
//! refused by that name. Classes become inert objects with their attributes. Objects lie in one list and refer to each other
//! by index, so that a pickle which refers to itself costs no more than its length.
//!
//! Opcodes: CPython's `Lib/pickletools.py`; what PyTorch writes with them: `torch/serialization.py` and `torch/_utils.py`.

use std::collections::HashMap;

use super::dtype::Dtype;
use crate::import::ImportError;

/// Opcodes of a pickle, at most: that of a network has a few thousand.
const MAX_OPCODES: usize = 1 << 19;
/// Longer texts are data of other objects, in bytes.
const MAX_TEXT: usize = 1024;
/// Of a class, with its module: recalled texts could make any number of such names.
const MAX_NAME: usize = 128;

/// An object's place in [`Machine::nodes`].
pub type Id = u32;

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number of at most 64 bits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text, or bytes.
    Text(String),
    /// A tuple or list.
    List(Vec<Id>),
    /// A dictionary, in its order.
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function: `module name`.
    Global(String),
    /// The memory of tensors.
    Storage(Storage),
    /// A tensor.
    Tensor(View),
    /// An object of a class, with its attributes.
    Object {
        /// Its class: `module name`.
        class: String,
        /// Its attributes.
        state: Option<Id>,
    },
    /// Anything else that changes nothing here.
    Inert,
}

/// The memory of one or more tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Its name in the file.
    pub key: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// How many there are.
    pub elements: usize,
}

/// A tensor: a view of a storage. All in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The storage, a [`Node::Storage`].
    pub storage: Id,
    /// Where the first element lies.
    pub offset: usize,
    /// The shape.
    pub shape: Vec<usize>,
    /// From one index of an axis to the next.
    pub strides: Vec<usize>,
}

/// The machine.
#[derive(Default)]
pub struct Machine {
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    opcodes: usize,
}

impl Machine {
    /// Runs the pickle at the start of `bytes`: what it makes, and the bytes that it has.
    pub fn run(&mut self, bytes: &[u8]) -> Result<(Id, usize), ImportError> {
        let mut reader = Reader { bytes, at: 0 };
        (self.stack, self.marks, self.memo) = Default::default();
        loop {
            let at = reader.at;
            match self.step(&mut reader) {
                Ok(None) => {}
                Ok(Some(root)) => return Ok((root, reader.at)),
                Err(Stop::Damaged(what)) => {
                    return Err(ImportError::Damaged(format!("the pickle at byte {at}: {what}")));
                }
                Err(Stop::Refused(error)) => return Err(error),
            }
        }
    }

    /// An object.
    pub fn get(&self, id: Id) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    /// The text `id`, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        if let Node::Text(text) = self.get(id) { Some(text) } else { None }
    }

    /// The value of `key` in the dictionary `id`.
    pub fn value(&self, id: Id, key: &str) -> Option<Id> {
        let Node::Dict(entries) = self.get(id) else { return None };
        entries.iter().rev().find(|entry| self.text(entry.0) == Some(key)).map(|entry| entry.1)
    }

    /// All storages that were named.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| if let Node::Storage(storage) = node { Some(storage) } else { None })
    }

    fn push(&mut self, node: Node) {
        // As many as there are opcodes, at most.
        self.stack.push(self.nodes.len() as Id);
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Id, Stop> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(Stop::Damaged("the stack is empty"));
        }
        self.stack.pop().ok_or(Stop::Damaged("the stack is empty"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Stop> {
        let mark = self.marks.pop().ok_or(Stop::Damaged("there is no mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&mut self) -> Result<&mut Node, Stop> {
        let id = *self.stack.last().ok_or(Stop::Damaged("the stack is empty"))?;
        self.nodes.get_mut(id as usize).ok_or(Stop::Damaged("the stack is empty"))
    }

    fn put(&mut self, key: u32) -> Result<(), Stop> {
        let top = *self.stack.last().ok_or(Stop::Damaged("the stack is empty"))?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Stop> {
        self.stack.push(*self.memo.get(&key).ok_or(Stop::Damaged("it recalls what it has not kept"))?);
        Ok(())
    }

    fn push_text(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= MAX_TEXT => self.push(Node::Text(text.to_owned())),
            _ => self.push(Node::Inert),
        }
    }

    /// One opcode; the root at the end.
    fn step(&mut self, reader: &mut Reader<'_>) -> Result<Option<Id>, Stop> {
        self.opcodes += 1;
        if self.opcodes > MAX_OPCODES {
            return Err(Stop::Damaged("it is longer than that of any network"));
        }
        match reader.byte()? {
            // PROTO and FRAME: of no concern to a reader that has all bytes.
            0x80 => drop(reader.take(1)?),
            0x95 => drop(reader.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let value = reader.byte()?;
                self.push(Node::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(reader.array()?);
                self.push(Node::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(reader.array()?);
                self.push(Node::Int(value.into()));
            }
            0x8a => {
                let length = reader.byte()?;
                let bytes = reader.take(length.into())?;
                self.push(long(bytes).map_or(Node::Inert, Node::Int));
            }
            b'G' => {
                let bytes = reader.take(8)?.try_into().unwrap_or_default();
                self.push(Node::Float(f64::from_be_bytes(bytes)));
            }
            // Texts and bytes: of 1, 4 or 8 bytes of length.
            0x8c | b'U' | b'C' => {
                let length = reader.byte()?;
                self.push_text(reader.take(length.into())?);
            }
            b'X' | b'T' | b'B' => {
                let length = u32::from_le_bytes(reader.array()?);
                self.push_text(reader.take(length.into())?);
            }
            0x8d | 0x8e | 0x96 => {
                let length = u64::from_le_bytes(reader.array()?);
                self.push_text(reader.take(length)?);
            }
            b')' => self.push(Node::List(Vec::new())),
            b'\x85' => self.tuple(1)?,
            b'\x86' => self.tuple(2)?,
            b'\x87' => self.tuple(3)?,
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Node::List(items));
            }
            b']' => self.push(Node::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Dict(Vec::new()));
                self.set(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(items)?;
            }
            // Sets.
            0x8f => self.push(Node::Inert),
            0x90 => drop(self.pop_to_mark()?),
            0x91 => {
                self.pop_to_mark()?;
                self.push(Node::Inert);
            }
            b'q' => {
                let key = reader.byte()?;
                self.put(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(reader.array()?);
                self.put(key)?;
            }
            0x94 => {
                let key = self.memo.len() as u32;
                self.put(key)?;
            }
            b'h' => {
                let key = reader.byte()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(reader.array()?);
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (reader.line()?, reader.line()?);
                self.push(Node::Global(format!("{module} {name}")));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.text(module), self.text(name)) else {
                    return Err(Stop::Damaged("a class without a name"));
                };
                if module.len() + name.len() > MAX_NAME {
                    return Err(Stop::Damaged("a class with a very long name"));
                }
                let global = format!("{module} {name}");
                self.push(Node::Global(global));
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let node = self.call(function, arguments)?;
                self.push(node);
            }
            0x81 => {
                let (_, class) = (self.pop()?, self.pop()?);
                self.object(class)?;
            }
            b'b' => {
                let attributes = self.pop()?;
                // Of a dictionary or tensor they are of no concern.
                if let Node::Object { state, .. } = self.top()? {
                    *state = Some(attributes);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                match self.module_class(id) {
                    Some(class) => self.stack.push(class),
                    None => {
                        let storage = self.storage(id)?;
                        self.push(Node::Storage(storage));
                    }
                }
            }
            other => {
                return Err(Stop::Refused(ImportError::unsupported(
                    format!("a pickle with the opcode 0x{other:02x}"),
                    "save model.state_dict() with torch.save as it is by default",
                )));
            }
        }
        Ok(None)
    }

    fn tuple(&mut self, length: usize) -> Result<(), Stop> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<Id>, Stop>>()?;
        items.reverse();
        self.push(Node::List(items));
        Ok(())
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), Stop> {
        match self.top()? {
            Node::List(list) => list.append(&mut items),
            // A list of a class of its own.
            Node::Object { .. } | Node::Inert => {}
            _ => return Err(Stop::Damaged("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Id>) -> Result<(), Stop> {
        match self.top()? {
            Node::Dict(entries) => entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Node::Object { .. } | Node::Inert => {}
            _ => return Err(Stop::Damaged("it sets a key of what is no dictionary")),
        }
        Ok(())
    }

    /// An object of a class, which is not made but noted.
    fn object(&mut self, class: Id) -> Result<(), Stop> {
        let Node::Global(class) = self.get(class) else {
            return Err(Stop::Damaged("an object without a class"));
        };
        let class = class.clone();
        self.push(Node::Object { class, state: None });
        Ok(())
    }

    /// What comes out of a function that is known.
    fn call(&self, function: Id, arguments: Id) -> Result<Node, Stop> {
        let (Node::Global(name), Node::List(arguments)) = (self.get(function), self.get(arguments)) else {
            return Err(Stop::Damaged("a call of what is no function"));
        };
        Ok(match name.as_str() {
            "collections OrderedDict" => Node::Dict(Vec::new()),
            "torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor" => self.tensor(arguments)?,
            "torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state" => {
                let data = arguments.first().map(|&data| self.get(data).clone());
                data.ok_or(Stop::Damaged("a parameter without data"))?
            }
            "copy_reg _reconstructor" | "copyreg _reconstructor" => {
                let class = arguments.first().map(|&class| self.get(class));
                let Some(Node::Global(class)) = class else { return Err(Stop::Damaged("an object without a class")) };
                Node::Object { class: class.clone(), state: None }
            }
            // What stands in checkpoints beside the weights.
            "__builtin__ set"
            | "builtins set"
            | "__builtin__ frozenset"
            | "builtins frozenset"
            | "__builtin__ bytearray"
            | "builtins bytearray"
            | "__builtin__ complex"
            | "builtins complex"
            | "collections defaultdict"
            | "collections deque"
            | "collections Counter"
            | "datetime datetime"
            | "datetime timedelta"
            | "pathlib PosixPath"
            | "pathlib WindowsPath"
            | "pathlib._local PosixPath"
            | "pathlib._local WindowsPath"
            | "torch Size"
            | "torch device"
            | "torch.serialization _get_layout"
            | "numpy dtype"
            | "numpy.core.multiarray scalar"
            | "numpy._core.multiarray scalar"
            | "numpy.core.multiarray _reconstruct"
            | "numpy._core.multiarray _reconstruct"
            | "_codecs encode" => Node::Inert,
            other => {
                return Err(Stop::Refused(ImportError::unsupported(
                    format!("a pickle that calls {:?}, which is not run and", other.replace(' ', ".")),
                    "save model.state_dict() instead: torch.save(model.state_dict(), PATH)",
                )));
            }
        })
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, …)`.
    fn tensor(&self, arguments: &[Id]) -> Result<Node, Stop> {
        let &[storage, offset, size, stride, ..] = arguments else {
            return Err(Stop::Damaged("a tensor without a shape"));
        };
        // Marks of a view whose numbers are others than those of its storage: `{"neg": True}`, `{"conj": True}`.
        if let Some(Node::Dict(marks)) = arguments.get(6).map(|&marks| self.get(marks))
            && !marks.is_empty()
        {
            return Err(Stop::Refused(ImportError::unsupported(
                "a tensor that is a negated or conjugated view",
                "save tensor.resolve_neg() in its place",
            )));
        }
        let (Node::Storage(_), Some(offset), Some(shape), Some(strides)) =
            (self.get(storage), self.size(offset), self.sizes(size), self.sizes(stride))
        else {
            return Err(Stop::Damaged("a tensor without a storage, an offset, a shape and strides"));
        };
        if shape.len() != strides.len() || shape.len() > 8 {
            return Err(Stop::Damaged("a tensor whose strides are not those of its shape"));
        }
        Ok(Node::Tensor(View { storage, offset, shape, strides }))
    }

    /// Of `("module", class, file, source)`, which a legacy file has for each class of module: the class.
    fn module_class(&self, id: Id) -> Option<Id> {
        let Node::List(parts) = self.get(id) else { return None };
        let &[kind, class, ..] = &parts[..] else { return None };
        (self.text(kind) == Some("module")).then_some(class)
    }

    /// `("storage", class, key, location, elements)`.
    fn storage(&self, id: Id) -> Result<Storage, Stop> {
        let Node::List(parts) = self.get(id) else { return Err(Stop::Damaged("a storage without a description")) };
        let (&[_, class, key, _, elements], rest) =
            parts.split_first_chunk::<5>().ok_or(Stop::Damaged("a storage without a description"))?;
        if rest.iter().any(|&view| *self.get(view) != Node::None) {
            return Err(Stop::Refused(ImportError::unsupported(
                "a storage that is a view of another one",
                "save it again with PyTorch 1.0 or later",
            )));
        }
        let (Node::Global(class), Some(key), Some(elements)) = (self.get(class), self.text(key), self.size(elements))
        else {
            return Err(Stop::Damaged("a storage without a class, a name and a size"));
        };
        let class = class.rsplit(' ').next().unwrap_or(class);
        Ok(Storage { key: key.to_owned(), dtype: Dtype::of_storage(class), elements })
    }

    fn size(&self, id: Id) -> Option<usize> {
        if let Node::Int(value) = self.get(id) { usize::try_from(*value).ok() } else { None }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let Node::List(items) = self.get(id) else { return None };
        if items.len() > 8 {
            return None;
        }
        items.iter().map(|&item| self.size(item)).collect()
    }
}

/// Why a pickle ends early.
enum Stop {
    Damaged(&'static str),
    Refused(ImportError),
}

/// A little-endian whole number of at most 64 bits.
fn long(bytes: &[u8]) -> Option<i64> {
    let mut value = [if bytes.last().is_some_and(|&byte| byte > 0x7f) { 0xff } else { 0 }; 8];
    value.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(value))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let length = usize::try_from(length).ok().filter(|&length| length <= rest.len());
        let length = length.ok_or(Stop::Damaged("it ends too early"))?;
        self.at += length;
        Ok(&rest[..length])
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N as u64)?.try_into().map_err(|_| Stop::Damaged("it ends too early"))
    }

    fn line(&mut self) -> Result<&'a str, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let length = rest.iter().take(MAX_TEXT).position(|&byte| byte == b'\n');
        let line = self.take(length.ok_or(Stop::Damaged("a name without an end"))? as u64)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| Stop::Damaged("a name that is no text"))
    }
}
