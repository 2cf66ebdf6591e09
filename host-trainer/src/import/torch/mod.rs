//! PyTorch: what `torch.save` writes, and safetensors. Both hold tensors with names and no network.
//!
//! A source of tensors ([`checkpoint`], which reads [`pickle`]s, or [`safetensors`]) → modules, known by the names and shapes of
//! their tensors ([`modules`]) → a chain, in an order in which their sizes fit ([`order`]).

mod checkpoint;
mod dtype;
mod modules;
mod order;
mod pickle;
mod safetensors;

pub(super) use self::safetensors::{is_safetensors, read_safetensors};
pub(super) use checkpoint::{is_archive, read_pickle, read_zip};

use super::chain::{Chain, Graph, Op, Source, Step, Tensor};
use super::{ImportError, Options};

/// The tensors of a file.
#[derive(Debug, Default)]
struct State {
    /// What kind of file it was.
    format: String,
    /// In the file's order.
    tensors: Vec<Tensor>,
    /// Whether that is the order in which the modules were made.
    ordered: bool,
    /// What was left out, and why that changes nothing.
    skipped: Vec<String>,
    /// How inputs and outputs are scaled, where a file of ours says so.
    scales: Scales,
}

/// What `grulet export` writes beside the tensors: a network takes `(x - input_mean) / input_std`, and gives
/// `y·output_std + output_mean`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scales {
    input_mean: Vec<f64>,
    input_std: Vec<f64>,
    output_mean: Vec<f64>,
    output_std: Vec<f64>,
}

impl Scales {
    /// Puts the scales before and behind the chain.
    fn put_around(&self, chain: &mut Chain) -> Result<(), ImportError> {
        let step = |name: &str, scale: Vec<f64>, offset: Vec<f64>| Step {
            name: name.to_owned(),
            op: Op::Scale { scale, offset },
            tensors: Vec::new(),
        };
        // Each of a pair may be left out.
        let width = |a: &[f64], b: &[f64]| a.len().max(b.len());
        let all = |values: &[f64], default: f64, width: usize| {
            if values.is_empty() { vec![default; width] } else { values.to_vec() }
        };
        let (inputs, outputs) = (width(&self.input_mean, &self.input_std), width(&self.output_mean, &self.output_std));
        let (mean, std) = (all(&self.input_mean, 0.0, inputs), all(&self.input_std, 1.0, inputs));
        let (offset, scale) = (all(&self.output_mean, 0.0, outputs), all(&self.output_std, 1.0, outputs));
        if mean.len() != std.len() || offset.len() != scale.len() || std.contains(&0.0) {
            return Err(ImportError::Damaged("safetensors: the scales in its metadata".to_owned()));
        }
        if inputs > 0 {
            let factors: Vec<f64> = std.iter().map(|std| 1.0 / std).collect();
            let offsets = mean.iter().zip(&factors).map(|(mean, factor)| -mean * factor).collect();
            chain.steps.insert(0, step("the scale of the inputs", factors, offsets));
        }
        if outputs > 0 {
            chain.steps.push(step("the scale of the outputs", scale, offset));
        }
        Ok(())
    }
}

/// The network of a file's tensors.
fn source(mut state: State, options: &Options) -> Result<Source, ImportError> {
    strip_wrappers(&mut state.tensors);
    let modules = modules::of(state.tensors, &mut state.skipped)?;
    let (mut chain, guesses) = order::chain(modules, state.ordered, options)?;
    state.scales.put_around(&mut chain)?;
    Ok(Source {
        format: state.format,
        name: String::new(),
        graph: Graph::Chain(chain),
        skipped: state.skipped,
        guesses,
    })
}

/// Takes away what `DataParallel` and `torch.compile` put before every name.
fn strip_wrappers(tensors: &mut [Tensor]) {
    for wrapper in ["module.", "_orig_mod.", "module."] {
        if tensors.iter().all(|tensor| tensor.source.starts_with(wrapper)) {
            tensors.iter_mut().for_each(|tensor| drop(tensor.source.drain(..wrapper.len())));
        }
    }
}
