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

use self::safetensors::Scales;
use super::chain::{Graph, Source, Tensor};
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
