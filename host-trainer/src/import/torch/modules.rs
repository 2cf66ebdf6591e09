//! Modules, known by the names and shapes of their tensors.
//!
//! | module | tensors |
//! |---|---|
//! | `nn.GRU` | `weight_ih_l0` (3H, I), `weight_hh_l0` (3H, H), `bias_ih_l0` and `bias_hh_l0` (3H), `…_l1` and so on, `…_reverse` |
//! | `nn.GRUCell` | the same without `_l0` |
//! | `nn.Linear` | `weight` (O, I), `bias` (O) |
//! | `nn.Embedding` | `weight` (V, D) |
//! | `nn.BatchNorm1d` | `running_mean`, `running_var`, `weight` and `bias` (C) |
//!
//! PyTorch has the gates r, z, n along the first axis; here they are z, r, c along the last. Its `h = (1-z)·n + z·h` is that of
//! this crate, and its reset gate acts after the matmul. Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html>.

use grulet::spec::{Merge, Reset};

use crate::import::ImportError;
use crate::import::chain::{
    Activation, Dense, Gru, Op, Origin, Step, Tensor, both_directions, reorder_gates, transpose,
};

/// Modules of a file, at most: more than a model's layers, as some are folded into others.
const MAX_MODULES: usize = 24;
/// `eps` of `nn.BatchNorm1d` unless it is given, which a state_dict does not tell.
pub const EPSILON: f64 = 1e-5;
/// From r, z, n to z, r, c.
const GATES: [usize; 3] = [1, 0, 2];

/// A module with its weights in the layouts of a chain.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name; empty for the file's only one.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What a module is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// GRUs over each other.
    Gru(Vec<Level>),
    /// A linear layer; of one without bias the place decides whether it is a table of vectors instead.
    Linear {
        /// `(O, I)`, or `(V, D)`.
        weight: Tensor,
        /// `(O)`.
        bias: Option<Tensor>,
    },
    /// A normalisation with the averages of the training.
    Norm(Step),
}

/// A layer of an `nn.GRU`.
#[derive(Clone, Debug)]
pub struct Level {
    /// From the first step to the last.
    pub forward: Step,
    /// From the last step to the first, if it is bidirectional.
    pub backward: Option<Step>,
}

impl Level {
    /// The step that does what this layer does.
    pub fn step(&self) -> Result<Step, ImportError> {
        let Some(backward) = self.backward.clone() else { return Ok(self.forward.clone()) };
        let both = both_directions(self.forward.clone(), backward, Merge::Concat, false);
        both.ok_or_else(|| ImportError::Damaged(format!("{}: no GRUs", self.forward.name)))
    }

    /// Inputs and outputs per step.
    pub fn sizes(&self) -> (usize, usize) {
        let Op::Gru(gru) = &self.forward.op else { return (0, 0) };
        (gru.inputs, gru.hidden * if self.backward.is_some() { 2 } else { 1 })
    }
}

/// Whether a tensor merely counts batches, and what to say of that.
pub fn counter(name: &str) -> Option<String> {
    // That of an `AveragedModel` is the other one.
    matches!(name.rsplit('.').next(), Some("num_batches_tracked" | "n_averaged"))
        .then(|| format!("{name}: it counts what the training has done"))
}

/// The modules of `tensors`, in the order of their first ones.
pub fn of(tensors: Vec<Tensor>, skipped: &mut Vec<String>) -> Result<Vec<Module>, ImportError> {
    let made = |tensor: &&Tensor| {
        let name = &tensor.source;
        name.contains(".parametrizations.") || ["weight_g", "weight_orig"].iter().any(|last| name.ends_with(last))
    };
    if let Some(tensor) = tensors.iter().find(made) {
        return Err(ImportError::unsupported(
            format!("{}: a weight that is made of others as the module is called", tensor.source),
            "call remove_parametrizations, remove_weight_norm or prune.remove before saving",
        ));
    }
    let mut groups: Vec<(String, Vec<(String, Tensor)>)> = Vec::new();
    for tensor in tensors {
        let (module, leaf) = match tensor.source.rsplit_once('.') {
            Some((module, leaf)) => (module.to_owned(), leaf.to_owned()),
            None => (String::new(), tensor.source.clone()),
        };
        match groups.iter().position(|(name, _)| *name == module) {
            Some(at) => groups[at].1.push((leaf, tensor)),
            None if groups.len() == MAX_MODULES => {
                return Err(ImportError::TooMany {
                    what: "modules with weights".to_owned(),
                    found: groups.len() + 1,
                    max: MAX_MODULES,
                    fix: "save the GRU and the layers around it alone",
                });
            }
            None => groups.push((module, vec![(leaf, tensor)])),
        }
    }
    if groups.is_empty() {
        return Err(ImportError::Missing { tensor: "weight_ih_l0".to_owned(), found: "no tensors".to_owned() });
    }
    groups.into_iter().map(|(name, leaves)| module(name, Leaves(leaves), skipped)).collect()
}

/// The tensors of a module that are not used yet.
struct Leaves(Vec<(String, Tensor)>);

impl Leaves {
    fn has(&self, leaf: &str) -> bool {
        self.0.iter().any(|(name, _)| name == leaf)
    }

    fn take(&mut self, leaf: &str) -> Option<Tensor> {
        let at = self.0.iter().position(|(name, _)| name == leaf)?;
        Some(self.0.remove(at).1)
    }

    fn need(&mut self, module: &str, leaf: &str) -> Result<Tensor, ImportError> {
        let found = || self.0.iter().map(|(_, tensor)| &*tensor.source).collect::<Vec<_>>().join(", ");
        let found = found();
        self.take(leaf)
            .ok_or_else(|| ImportError::Missing { tensor: join(module, leaf), found: format!("also {found}") })
    }
}

fn join(module: &str, leaf: &str) -> String {
    if module.is_empty() { leaf.to_owned() } else { format!("{module}.{leaf}") }
}

fn module(name: String, mut leaves: Leaves, skipped: &mut Vec<String>) -> Result<Module, ImportError> {
    let kind = if leaves.has("weight_ih_l0") {
        let mut levels = Vec::new();
        while leaves.has(&format!("weight_ih_l{}", levels.len())) {
            let level = levels.len();
            let step = if level == 0 { name.clone() } else { format!("{name} layer {level}") };
            let forward = gru(&name, &step, &mut leaves, &format!("_l{level}"))?;
            let reverse = format!("_l{level}_reverse");
            let backward = match leaves.has(&format!("weight_ih{reverse}")) {
                true => Some(gru(&name, &step, &mut leaves, &reverse)?),
                false => None,
            };
            levels.push(Level { forward, backward });
        }
        Kind::Gru(levels)
    } else if leaves.has("weight_ih") {
        Kind::Gru(vec![Level { forward: gru(&name, &name, &mut leaves, "")?, backward: None }])
    } else if leaves.has("running_mean") {
        skipped.push(format!("{name}: BatchNorm1d's eps is taken for {EPSILON:e}, its default"));
        Kind::Norm(norm(&name, &mut leaves)?)
    } else if leaves.0.iter().any(|(leaf, tensor)| leaf == "weight" && tensor.shape.len() == 2) {
        let weight = leaves.need(&name, "weight")?;
        let (outputs, _) = weight.matrix()?;
        let bias = leaves.take("bias").map(|bias| bias.shaped(&[outputs])).transpose()?;
        Kind::Linear { weight, bias }
    } else {
        return Err(unknown(&leaves.0));
    };
    if leaves.0.is_empty() { Ok(Module { name, kind }) } else { Err(unknown(&leaves.0)) }
}

fn unknown(leaves: &[(String, Tensor)]) -> ImportError {
    let names: Vec<String> =
        leaves.iter().take(8).map(|(_, tensor)| format!("{} {:?}", tensor.source, tensor.shape)).collect();
    ImportError::unsupported(
        format!("tensors of an unknown module ({})", names.join(", ")),
        "known are nn.GRU, nn.GRUCell, nn.Linear, nn.Embedding and nn.BatchNorm1d",
    )
}

/// A GRU whose tensors' names end in `suffix`.
fn gru(module: &str, step: &str, leaves: &mut Leaves, suffix: &str) -> Result<Step, ImportError> {
    let weight_ih = leaves.need(module, &format!("weight_ih{suffix}"))?;
    let weight_hh = leaves.need(module, &format!("weight_hh{suffix}"))?;
    let ((rows, inputs), (_, hidden)) = (weight_ih.matrix()?, weight_hh.matrix()?);
    let kind = match rows.checked_div(hidden) {
        Some(4) if rows == 4 * hidden => Some("an LSTM"),
        Some(1) if rows == hidden => Some("a plain RNN"),
        _ => None,
    };
    if let Some(kind) = kind {
        return Err(ImportError::unsupported(
            format!("{}: {kind}", weight_ih.source),
            "train it with nn.GRU, which is smaller than an LSTM and mostly as good",
        ));
    }
    let (weight_ih, weight_hh) = (weight_ih.shaped(&[3 * hidden, inputs])?, weight_hh.shaped(&[3 * hidden, hidden])?);
    let change = "transposed, gates r z n as z r c";
    let mut tensors =
        vec![Origin::new(&weight_ih, "kernel", change), Origin::new(&weight_hh, "recurrent_kernel", change)];
    let matrix = |tensor: Tensor, columns: usize| reorder_gates(&transpose(&tensor.data, columns), hidden, GATES);
    let mut bias = Vec::with_capacity(6 * hidden);
    for part in ["bias_ih", "bias_hh"] {
        match leaves.take(&format!("{part}{suffix}")) {
            Some(tensor) => {
                let tensor = tensor.shaped(&[3 * hidden])?;
                tensors.push(Origin::new(&tensor, "bias", "gates r z n as z r c"));
                bias.extend(reorder_gates(&tensor.data, hidden, GATES));
            }
            None => bias.extend(vec![0.0; 3 * hidden]),
        }
    }
    let gru = Gru {
        inputs,
        hidden,
        reset: Reset::After,
        gate: Activation::Sigmoid,
        candidate: Activation::Tanh,
        kernel: matrix(weight_ih, inputs),
        recurrent: matrix(weight_hh, hidden),
        bias,
    };
    Ok(Step { name: step.to_owned(), op: Op::Gru(gru), tensors })
}

/// `weight·(x - mean) / √(var + eps) + bias`.
fn norm(module: &str, leaves: &mut Leaves) -> Result<Step, ImportError> {
    let mean = leaves.need(module, "running_mean")?;
    let width = mean.data.len();
    let mut tensors = Vec::new();
    let mut values = |tensor: Option<Tensor>, default: f64| -> Result<Vec<f64>, ImportError> {
        let Some(tensor) = tensor else { return Ok(vec![default; width]) };
        let tensor = tensor.shaped(&[width])?;
        tensors.push(Origin::new(&tensor, "", "as a scale"));
        Ok(tensor.data.into_iter().map(f64::from).collect())
    };
    let mean = values(Some(mean), 0.0)?;
    let variance = values(Some(leaves.need(module, "running_var")?), 1.0)?;
    let (weight, bias) = (values(leaves.take("weight"), 1.0)?, values(leaves.take("bias"), 0.0)?);
    let scale: Vec<f64> = weight.iter().zip(&variance).map(|(weight, var)| weight / (var + EPSILON).sqrt()).collect();
    let offset = bias.iter().zip(&mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
    Ok(Step { name: module.to_owned(), op: Op::Scale { scale, offset }, tensors })
}

/// The linear layer `weight (O, I)`.
pub fn linear(name: &str, weight: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Step, ImportError> {
    let (outputs, inputs) = weight.matrix()?;
    let mut tensors = vec![Origin::new(weight, "kernel", "transposed")];
    tensors.extend(bias.map(|bias| Origin::new(bias, "bias", "")));
    let kernel = transpose(&weight.data, inputs);
    let bias = bias.map_or_else(|| vec![0.0; outputs], |bias| bias.data.clone());
    let dense = Dense { inputs, outputs, activation, kernel, bias };
    Ok(Step { name: name.to_owned(), op: Op::Dense(dense), tensors })
}

/// The table `weight (V, D)`.
pub fn embedding(name: &str, weight: &Tensor) -> Result<Step, ImportError> {
    let (vocabulary, outputs) = weight.matrix()?;
    let op = Op::Embedding { vocabulary, outputs, vectors: weight.data.clone() };
    Ok(Step { name: name.to_owned(), op, tensors: vec![Origin::new(weight, "embeddings", "")] })
}
