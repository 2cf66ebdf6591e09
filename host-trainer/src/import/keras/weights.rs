//! The weights in HDF5, as Keras 3 (`layers/gru/cell/vars/0`) and Keras 2 (`model_weights/gru/…/kernel:0`) lay them out.

use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{Dataset, Hdf5File, OpenOptions};

use crate::import::ImportError;
use crate::import::budget::{Budget, MAX_ELEMENTS};
use crate::import::chain::Tensor;

/// The groups that hold variables within a layer's own group.
const PARTS: [&str; 6] = ["", "cell", "layer", "layer/cell", "forward_layer/cell", "backward_layer/cell"];
/// Where Keras 3 keeps its layers.
const CONTAINERS: [&str; 3] = ["layers", "_layer_checkpoint_dependencies", "model_weights"];
/// Variables of a layer, and layers of a file, at most.
const MAX_ENTRIES: usize = 4096;
/// Bytes of a dataset: `f64` is the largest type.
const MAX_READ: usize = 8 * MAX_ELEMENTS;

/// An open file.
pub struct Weights {
    file: Hdf5File,
    budget: Budget,
}

fn damaged(error: Error) -> ImportError {
    ImportError::Damaged(format!("HDF5: {error}"))
}

impl Weights {
    /// Opens a file's bytes.
    pub fn open(bytes: Vec<u8>) -> Result<Self, ImportError> {
        // No filter, external file or link is followed beyond these bytes.
        let options = OpenOptions { chunk_cache_bytes: 0, ..OpenOptions::default() }
            .with_max_chunk_bytes(MAX_READ)
            .with_max_read_bytes(MAX_READ)
            .with_max_object_header_bytes(1 << 20);
        let file = Hdf5File::from_vec_with_options(bytes, options).map_err(damaged)?;
        Ok(Self { file, budget: Budget::default() })
    }

    /// A text attribute of the file.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.file.root_group().ok()?.attribute(name).ok()?.read_string().ok()
    }

    /// Whether the file lists its layers in an attribute, as Keras 2 does.
    pub fn lists_layers(&self) -> bool {
        self.file.root_group().is_ok_and(|root| self.legacy(&root).is_some())
    }

    /// The variables of the layer `name`, the `number`-th of its class, in Keras's order.
    pub fn of_layer(&self, name: &str, class: &str, number: usize) -> Result<Vec<Tensor>, ImportError> {
        let root = self.file.root_group().map_err(damaged)?;
        if let Some(group) = self.legacy(&root) {
            return self.listed(&group, name);
        }
        let layers = self.container(&root)?;
        let numbered = match number {
            0 => class.to_owned(),
            number => format!("{class}_{number}"),
        };
        let groups = children(&layers)?;
        let noted = groups.iter().find(|group| named(group).is_some_and(|found| found == name));
        // Before Keras noted names, the number among the layers of its class was all that told them apart.
        let by = |wanted: &str| groups.iter().find(|group| short(group) == wanted);
        match noted.or_else(|| by(&numbered)).or_else(|| by(name)) {
            Some(group) => self.variables(group),
            None => Err(self.missing(&layers, name)),
        }
    }

    /// The variables of the group `name`: `gru`, `dense_1`; or of the layer of that number in a legacy file. The layer's own
    /// name is before them.
    pub fn of_class(&self, name: &str) -> Result<(String, Vec<Tensor>), ImportError> {
        let root = self.file.root_group().map_err(damaged)?;
        if let Some(group) = self.legacy(&root) {
            return self.listed_of_class(&group, name);
        }
        let layers = self.container(&root)?;
        let other = name.replacen("dense", "time_distributed", 1).replacen("gru", "rnn", 1);
        for group in children(&layers)? {
            if [name, &other].contains(&short(&group)) {
                return Ok((short(&group).to_owned(), self.variables(&group)?));
            }
        }
        Err(self.missing(&layers, name))
    }

    /// A layer with variables that is none of these.
    pub fn other_than(&self, layers: &[String]) -> Result<Option<String>, ImportError> {
        let root = self.file.root_group().map_err(damaged)?;
        let is_other = |name: &str| !layers.iter().any(|layer| layer == name);
        if let Some(group) = self.legacy(&root) {
            for name in strings(&group, "layer_names")?.into_iter().filter(|name| is_other(name)) {
                let layer = group.group(&name).map_err(|_| self.missing(&group, &name))?;
                if !strings(&layer, "weight_names")?.is_empty() {
                    return Ok(Some(name));
                }
            }
            return Ok(None);
        }
        let has_variables = |group: &Group| {
            let vars = |part: &&str| walk(group, part).and_then(|group| group.group("vars").ok());
            PARTS.iter().any(|part| vars(part).is_some_and(|vars| vars.dataset("0").is_ok()))
        };
        let groups = children(&self.container(&root)?)?;
        Ok(groups
            .iter()
            .find(|group| is_other(short(group)) && has_variables(group))
            .map(|group| short(group).to_owned()))
    }

    fn missing(&self, layers: &Group, name: &str) -> ImportError {
        let found: Vec<String> = children(layers)
            .map_or_else(|_| Vec::new(), |groups| groups.iter().map(|group| short(group).to_owned()).collect());
        let found = if found.is_empty() { "no layers".to_owned() } else { found.join(", ") };
        ImportError::Missing { tensor: format!("weights of {name}"), found }
    }

    /// The group that lists its layers in an attribute, as Keras 2 does.
    fn legacy(&self, root: &Group) -> Option<Group> {
        if root.attribute("layer_names").is_ok() {
            return Some(root.clone());
        }
        root.group("model_weights").ok().filter(|group| group.attribute("layer_names").is_ok())
    }

    /// The group of Keras 3's layers.
    fn container(&self, root: &Group) -> Result<Group, ImportError> {
        let found = CONTAINERS.iter().find_map(|name| root.group(name).ok());
        found.ok_or_else(|| ImportError::Missing {
            tensor: "layers (a subclassed model has none: build it as a Sequential, and save that)".to_owned(),
            found: root.member_names().map_or_else(|_| String::new(), |(groups, _)| groups.join(", ")),
        })
    }

    /// The variables of a layer of a legacy file.
    fn listed(&self, group: &Group, name: &str) -> Result<Vec<Tensor>, ImportError> {
        let layer = group.group(name).map_err(|_| self.missing(group, name))?;
        let names = strings(&layer, "weight_names")?;
        names.iter().map(|path| self.tensor(&descend(&layer, path)?, &format!("{name}/{path}"))).collect()
    }

    /// The variables of the layer of a legacy file that has this number in its class.
    fn listed_of_class(&self, group: &Group, class: &str) -> Result<(String, Vec<Tensor>), ImportError> {
        let (kind, number) = match class.rsplit_once('_').and_then(|(kind, n)| Some((kind, n.parse::<usize>().ok()?))) {
            Some((kind, number)) => (kind, number),
            None => (class, 0),
        };
        let mut seen = 0;
        for name in strings(group, "layer_names")? {
            let layer = group.group(&name).map_err(|_| self.missing(group, &name))?;
            let names = strings(&layer, "weight_names")?;
            let holds = |word: &str| names.iter().any(|name| name.contains(word));
            let found = match kind {
                "bidirectional" => holds("recurrent_kernel") && holds("backward"),
                "gru" => holds("recurrent_kernel") && !holds("backward"),
                "embedding" => holds("embeddings"),
                _ => holds("kernel") && !holds("recurrent_kernel"),
            };
            if found && seen == number {
                let tensors = self.listed(group, &name)?;
                return Ok((name, tensors));
            }
            seen += usize::from(found);
        }
        Err(self.missing(group, class))
    }

    /// The variables of one layer of a Keras 3 file: `vars/0`, `vars/1`, …, through its parts.
    fn variables(&self, group: &Group) -> Result<Vec<Tensor>, ImportError> {
        let mut tensors = Vec::new();
        for part in PARTS {
            let Some(vars) = walk(group, part).and_then(|group| group.group("vars").ok()) else { continue };
            for number in 0..MAX_ENTRIES {
                let Ok(dataset) = vars.dataset(&number.to_string()) else { break };
                let part = if part.is_empty() { String::new() } else { format!("{part}/") };
                tensors.push(self.tensor(&dataset, &format!("{}/{part}vars/{number}", short(group)))?);
            }
        }
        Ok(tensors)
    }

    /// A dataset of floating-point numbers.
    fn tensor(&self, dataset: &Dataset, name: &str) -> Result<Tensor, ImportError> {
        let shape: Vec<usize> = dataset.shape().iter().map(|&size| size as usize).collect();
        self.budget.take(&shape)?;
        let data = match dataset.dtype() {
            Datatype::FloatingPoint { size: 4, .. } => {
                dataset.read_array::<f32>().map_err(damaged)?.into_iter().collect()
            }
            Datatype::FloatingPoint { size: 8, .. } => {
                dataset.read_array::<f64>().map_err(damaged)?.into_iter().map(|value| value as f32).collect()
            }
            // How many samples a normalisation has seen.
            Datatype::FixedPoint { .. } if shape.is_empty() => Vec::new(),
            other => {
                return Err(ImportError::unsupported(
                    format!("{name}: elements of the type {other:?}"),
                    "save the model with weights in float32",
                ));
            }
        };
        Ok(Tensor { source: name.to_owned(), shape, data })
    }
}

/// The last part of a group's path.
fn short(group: &Group) -> &str {
    group.name().rsplit('/').next().unwrap_or("")
}

/// The layer's name that Keras 3 notes beside its variables.
fn named(group: &Group) -> Option<String> {
    PARTS.iter().find_map(|part| {
        let vars = walk(group, part)?.group("vars").ok()?;
        // Of a layer within another one the name is its own.
        if part.is_empty() || *part == "cell" { vars.attribute("name").ok()?.read_string().ok() } else { None }
    })
}

fn walk(group: &Group, path: &str) -> Option<Group> {
    path.split('/').filter(|name| !name.is_empty()).try_fold(group.clone(), |group, name| group.group(name).ok())
}

fn children(group: &Group) -> Result<Vec<Group>, ImportError> {
    let groups = group.groups().map_err(damaged)?;
    if groups.len() > MAX_ENTRIES {
        return Err(ImportError::Damaged(format!("HDF5: a group of {} members", groups.len())));
    }
    Ok(groups)
}

fn descend(group: &Group, path: &str) -> Result<Dataset, ImportError> {
    let missing = || ImportError::Missing { tensor: path.to_owned(), found: "no such dataset".to_owned() };
    let (folders, last) = path.rsplit_once('/').unwrap_or(("", path));
    walk(group, folders).ok_or_else(missing)?.dataset(last).map_err(|_| missing())
}

fn strings(group: &Group, attribute: &str) -> Result<Vec<String>, ImportError> {
    let attribute = group.attribute(attribute).map_err(damaged)?;
    // A layer without weights has an empty list, of numbers.
    match attribute.num_elements() {
        Ok(0) => Ok(Vec::new()),
        _ => attribute.read_strings().map_err(damaged),
    }
}
