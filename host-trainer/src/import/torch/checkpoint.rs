//! `.pt` and `.pth`: a pickle and the memory of its tensors, in an archive (since PyTorch 1.6) or one after the other.
//!
//! In it a `state_dict`, alone or in a dictionary beside an optimizer and the like, or a whole module.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::rc::Rc;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::dtype::Dtype;
use super::pickle::{Id, Machine, Node, Storage, View};
use super::{State, modules, source};
use crate::import::budget::Budget;
use crate::import::chain::{Source, Tensor};
use crate::import::{ImportError, Options};

/// The largest pickle that is read from an archive, in bytes.
const MAX_PICKLE: u64 = 16 << 20;
/// All storages of a network together, in bytes.
const MAX_STORAGE: u64 = 64 << 20;
/// Entries of an archive, which has one for each tensor.
const MAX_ENTRIES: usize = 1 << 16;
/// Dictionaries or modules within each other.
const MAX_DEPTH: usize = 16;
/// Tensors and modules that are looked at: a pickle may name one any number of times.
const MAX_VISITS: usize = 1 << 14;
/// What a legacy file begins with: a pickle of the number 0x1950a86a20f9469cfc6c, after its opcode.
const MAGIC: [u8; 12] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Where a network may lie in a dictionary.
const USUAL: [&str; 7] = ["state_dict", "model_state_dict", "model", "module", "net", "network", "weights"];

fn damaged(what: impl Into<String>) -> ImportError {
    ImportError::Damaged(what.into())
}

/// Whether `bytes` are an archive of `torch.save`.
pub fn is_archive(bytes: &[u8]) -> bool {
    open(bytes).is_ok_and(|archive| root_of(&archive).is_some())
}

fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, ImportError> {
    // A library that lists them all needs far more memory for an entry than the file does.
    if bytes.windows(4).filter(|window| *window == b"PK\x01\x02").count() > MAX_ENTRIES {
        return Err(damaged("an archive of very many entries"));
    }
    // It begins with the file. Where the crate finds out itself, it takes the second entry for the first if that has 76 bytes,
    // which the records of zip64 before the end have too.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    ZipArchive::with_config(config, Cursor::new(bytes)).map_err(|error| damaged(format!("the archive: {error}")))
}

/// The folder in the archive that holds all: that of `data.pkl`.
fn root_of(archive: &ZipArchive<Cursor<&[u8]>>) -> Option<String> {
    let mut names = archive.file_names().filter_map(Result::ok);
    let root = names.find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))?;
    (root.is_empty() || root.ends_with('/')).then_some(root)
}

/// Reads an archive.
pub fn read_zip(bytes: &[u8], options: &Options) -> Result<Source, ImportError> {
    let mut archive = open(bytes)?;
    let root = root_of(&archive).ok_or_else(|| damaged("the archive has no data.pkl"))?;
    if archive.index_for_name(&format!("{root}constants.pkl")).is_some() {
        return Err(ImportError::unsupported("a TorchScript module", "save its state_dict() with torch.save"));
    }
    let mut entry = |name: &str, limit: u64| {
        let name = format!("{root}{name}");
        let entry = archive.by_name(&name).map_err(|error| damaged(format!("{name}: {error}")))?;
        let size = entry.size();
        let mut bytes = Vec::with_capacity(size.min(limit) as usize + 1);
        entry.take(limit + 1).read_to_end(&mut bytes).map_err(|error| damaged(format!("{name}: {error}")))?;
        if bytes.len() as u64 > limit {
            return Err(ImportError::TooLarge { what: name, bytes: size.max(limit + 1), limit });
        }
        Ok(bytes)
    };
    if entry("byteorder", 16).is_ok_and(|order| order == b"big") {
        return Err(big_endian());
    }
    let mut machine = Machine::default();
    let (top, _) = machine.run(&entry("data.pkl", MAX_PICKLE)?)?;
    let mut left = MAX_STORAGE;
    let mut read = |storage: &Storage| {
        let expected = (storage.elements as u64).saturating_mul(storage.dtype.size() as u64);
        left = left.checked_sub(expected).ok_or_else(|| too_large(expected))?;
        let bytes = entry(&format!("data/{}", storage.key), expected)?;
        match bytes.len() as u64 {
            found if found == expected => Ok(bytes),
            found => Err(damaged(format!("the storage {:?} has {found} bytes and not {expected}", storage.key))),
        }
    };
    state(&machine, top, "PyTorch", &mut read).and_then(|state| source(state, options))
}

/// Reads a pickle with storages after it.
pub fn read_pickle(bytes: &[u8], options: &Options) -> Result<Source, ImportError> {
    if !bytes.iter().take(32).any(|&byte| byte == MAGIC[0]) || !bytes.windows(12).take(32).any(|found| found == MAGIC) {
        return Err(ImportError::UnknownKind {
            advice: "a pickle that torch.save has not written: save with torch.save",
        });
    }
    let mut machine = Machine::default();
    let mut at = 0;
    let mut next = |machine: &mut Machine| {
        let (root, length) = machine.run(bytes.get(at..).unwrap_or(&[]))?;
        at += length;
        Ok::<_, ImportError>((root, at))
    };
    // The magic number and the version of the protocol.
    next(&mut machine)?;
    next(&mut machine)?;
    let (system, _) = next(&mut machine)?;
    if machine.value(system, "little_endian").is_some_and(|little| *machine.get(little) == Node::Bool(false)) {
        return Err(big_endian());
    }
    let (top, _) = next(&mut machine)?;
    let (keys, mut start) = next(&mut machine)?;
    let Node::List(keys) = machine.get(keys) else { return Err(damaged("there is no list of storages")) };
    let dtypes: HashMap<&str, Dtype> = machine.storages().map(|storage| (&*storage.key, storage.dtype)).collect();
    let mut places = HashMap::new();
    for &key in keys {
        let key = machine.text(key).ok_or_else(|| damaged("a storage without a name"))?;
        let dtype = dtypes.get(key).ok_or_else(|| damaged(format!("a storage {key:?} that nothing uses")))?;
        let elements = bytes.get(start..).and_then(|rest| rest.first_chunk()).map(|chunk| u64::from_le_bytes(*chunk));
        let end = elements
            .and_then(|elements| usize::try_from(elements).ok()?.checked_mul(dtype.size())?.checked_add(start + 8))
            .filter(|&end| end <= bytes.len())
            .ok_or_else(|| damaged(format!("the storage {key:?} ends behind the file")))?;
        places.insert(key.to_owned(), start + 8..end);
        start = end;
    }
    let mut left = MAX_STORAGE;
    let mut read = |storage: &Storage| {
        let range =
            places.get(&storage.key).ok_or_else(|| damaged(format!("there is no storage {:?}", storage.key)))?;
        left = left.checked_sub(range.len() as u64).ok_or_else(|| too_large(range.len() as u64))?;
        Ok(bytes[range.clone()].to_vec())
    };
    state(&machine, top, "PyTorch (legacy file)", &mut read).and_then(|state| source(state, options))
}

fn too_large(bytes: u64) -> ImportError {
    ImportError::TooLarge { what: "a storage, with those before it,".to_owned(), bytes, limit: MAX_STORAGE }
}

fn big_endian() -> ImportError {
    ImportError::unsupported("a file of a big-endian machine", "save it as safetensors")
}

/// The bytes of a storage.
type Storages<'a> = &'a mut dyn FnMut(&Storage) -> Result<Vec<u8>, ImportError>;

/// The tensors of the network under `top`.
fn state(machine: &Machine, top: Id, format: &str, read: Storages<'_>) -> Result<State, ImportError> {
    let mut state = State { format: format.to_owned(), ordered: true, ..State::default() };
    let mut walk = Walk { machine, views: Vec::new(), visits: 0, skipped: Vec::new() };
    let kind = walk.network(top, 0)?;
    state.format = format!("{format} {kind}");
    let views = walk.views;
    state.skipped = walk.skipped;
    let budget = Budget::default();
    let mut storages: HashMap<&str, Rc<Vec<u8>>> = HashMap::new();
    for (name, view) in views {
        if let Some(skipped) = modules::counter(&name) {
            state.skipped.push(skipped);
            continue;
        }
        let Node::Storage(storage) = machine.get(view.storage) else { return Err(damaged("a tensor without storage")) };
        if let Dtype::Other(_) = storage.dtype {
            return Err(ImportError::unsupported(
                format!("{name}: a tensor of another type than float32, float64, float16 and bfloat16"),
                "call model.float() before it is saved",
            ));
        }
        let elements = budget.take(&view.shape)?;
        let bytes = match storages.get(&*storage.key) {
            Some(bytes) => Rc::clone(bytes),
            None => {
                let bytes = Rc::new(read(storage)?);
                storages.insert(&storage.key, Rc::clone(&bytes));
                bytes
            }
        };
        let data = gather(view, elements, storage.dtype, &bytes)
            .ok_or_else(|| damaged(format!("{name}: the tensor lies outside of its storage")))?;
        state.tensors.push(Tensor { source: name, shape: view.shape.clone(), data });
    }
    Ok(state)
}

/// The elements of `view`, row-major; None if it reaches beyond the storage.
fn gather(view: &View, elements: usize, dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    if elements == 0 {
        return Some(Vec::new());
    }
    let mut index = vec![0; view.shape.len()];
    let last = view
        .shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |sum, (&length, stride)| sum.checked_add((length - 1).checked_mul(*stride)?))?;
    if last >= bytes.len() / dtype.size() {
        return None;
    }
    let mut data = Vec::with_capacity(elements);
    loop {
        let at: usize =
            view.offset + index.iter().zip(&view.strides).map(|(index, stride)| index * stride).sum::<usize>();
        data.push(dtype.read(&bytes[at * dtype.size()..])?);
        // The next index, the last axis first.
        let Some(axis) = (0..index.len()).rev().find(|&axis| index[axis] + 1 < view.shape[axis]) else { break };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
    Some(data)
}

/// The way through what a pickle has made.
struct Walk<'a> {
    machine: &'a Machine,
    views: Vec<(String, &'a View)>,
    visits: usize,
    skipped: Vec<String>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self) -> Result<(), ImportError> {
        self.visits += 1;
        if self.visits > MAX_VISITS { Err(damaged("it has very many parts")) } else { Ok(()) }
    }

    /// Whether `id` is a module, or a dictionary with tensors.
    fn is_network(&self, id: Id) -> bool {
        match self.machine.get(id) {
            Node::Object { .. } => true,
            Node::Dict(entries) => entries.iter().any(|entry| matches!(self.machine.get(entry.1), Node::Tensor(_))),
            _ => false,
        }
    }

    /// Finds the network in `id`: what it is.
    fn network(&mut self, id: Id, depth: usize) -> Result<&'static str, ImportError> {
        let machine = self.machine;
        let entries = match machine.get(id) {
            Node::Object { .. } => {
                self.module(id, "", depth)?;
                return Ok("module");
            }
            Node::Dict(entries) => entries,
            _ => return Err(ImportError::unsupported("a file without a state_dict", "save model.state_dict()")),
        };
        let usual = USUAL.iter().find_map(|usual| {
            entries.iter().find(|entry| self.is_network(entry.1) && machine.text(entry.0) == Some(usual))
        });
        if usual.is_none() && entries.iter().any(|entry| matches!(machine.get(entry.1), Node::Tensor(_))) {
            for &(key, value) in entries {
                self.visit()?;
                let name = machine.text(key).unwrap_or("?").to_owned();
                match machine.get(value) {
                    Node::Tensor(view) => self.views.push((name, view)),
                    _ => self.skipped.push(format!("{name}: no tensor")),
                }
            }
            return Ok("state_dict");
        }
        let name = |entry: &(Id, Id)| machine.text(entry.0).unwrap_or("?");
        let holds = |entry: &&(Id, Id)| matches!(machine.get(entry.1), Node::Dict(_) | Node::Object { .. });
        let beside = |entry: &&(Id, Id)| {
            let name = name(entry).to_lowercase();
            ["optim", "sched", "scaler", "config", "arg"].iter().any(|other| name.contains(other))
        };
        let found: Vec<&(Id, Id)> = match usual {
            Some(entry) => vec![entry],
            None => entries.iter().filter(holds).filter(|entry| !beside(entry)).collect(),
        };
        let &[chosen] = &found[..] else {
            let keys: Vec<&str> = entries.iter().take(20).map(name).collect();
            let (count, keys) = (found.len(), keys.join(", "));
            return Err(ImportError::unsupported(
                format!("a file with {count} parts that may be the network ({keys})"),
                "save model.state_dict() alone",
            ));
        };
        if depth >= MAX_DEPTH {
            return Err(damaged("dictionaries within dictionaries, very deep"));
        }
        for entry in entries.iter().filter(|entry| entry.0 != chosen.0).take(MAX_DEPTH) {
            self.skipped.push(format!("{}: no part of the network", name(entry)));
        }
        self.visit()?;
        self.network(chosen.1, depth + 1)
    }

    /// The parameters and buffers of a module, and of those in it, under the names that `state_dict()` gives them.
    fn module(&mut self, id: Id, prefix: &str, depth: usize) -> Result<(), ImportError> {
        self.visit()?;
        if depth >= MAX_DEPTH {
            return Err(damaged("modules within modules, very deep"));
        }
        let machine = self.machine;
        let Node::Object { class, state: Some(state) } = machine.get(id) else {
            return Err(damaged(format!("{prefix}: a module without parameters")));
        };
        let name = prefix.trim_end_matches('.');
        let class = class.rsplit(' ').next().unwrap_or(class);
        if class == "EmbeddingBag" {
            return Err(ImportError::unsupported(format!("{name}: an {class}"), "use nn.Embedding"));
        }
        let setting = |key: &str| machine.value(*state, key).map(|id| machine.get(id));
        // What a state_dict would not tell is said here.
        if let Some(Node::Float(eps)) = setting("eps")
            && class.starts_with("BatchNorm")
            && *eps != modules::EPSILON
        {
            return Err(ImportError::unsupported(
                format!("{name}: a {class} with eps = {eps}"),
                "leave eps at its default, or fold the layer into its neighbour before saving",
            ));
        }
        if class == "Embedding" && setting("max_norm").is_some_and(|norm| !matches!(norm, Node::None)) {
            return Err(ImportError::unsupported(
                format!("{name}: an Embedding with max_norm, which changes its vectors as they are used"),
                "scale the vectors down yourself, and leave max_norm out",
            ));
        }
        let entries = |key: &str| match machine.value(*state, key).map(|id| machine.get(id)) {
            Some(Node::Dict(entries)) => &entries[..],
            _ => &[],
        };
        for &(key, value) in entries("_parameters").iter().chain(entries("_buffers")) {
            self.visit()?;
            if let (Some(name), Node::Tensor(view)) = (machine.text(key), machine.get(value)) {
                self.views.push((format!("{prefix}{name}"), view));
            }
        }
        let holds = |key: &str| entries(key).iter().any(|entry| matches!(machine.get(entry.1), Node::Tensor(_)));
        if prefix.is_empty() || holds("_parameters") || holds("_buffers") || !entries("_modules").is_empty() {
            // It is known by its tensors or its parts.
        } else if class.contains("Norm") {
            return Err(ImportError::unsupported(
                format!("{name}: a {class} without parameters"),
                "use nn.BatchNorm1d, which is folded into the weights",
            ));
        } else if !["Dropout", "Identity"].contains(&class) {
            self.skipped
                .push(format!("{name}: a {class}, which has no tensors: say what it does with --activation or --like"));
        }
        for &(key, value) in entries("_modules") {
            let name = machine.text(key).unwrap_or("?");
            if let Node::Object { .. } = machine.get(value) {
                self.module(value, &format!("{prefix}{name}."), depth + 1)?;
            }
        }
        Ok(())
    }
}
