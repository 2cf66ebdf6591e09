//! The operator `GRU`: <https://onnx.ai/onnx/operators/onnx__GRU.html>.
//!
//! `W (D, 3H, I)`, `R (D, 3H, H)`, `B (D, 6H)` with the gates in the order z, r, h, which is the order here; D is the number of
//! directions. `H_t = (1 - z) ⊙ h + z ⊙ H_{t-1}`, as here.

use std::rc::Rc;

use grulet::spec::Reset;

use super::call::Call;
use super::tensor::Array;
use crate::import::ImportError;
use crate::import::chain::{Activation, Gru, Origin, transpose};

/// Sums of a gate beyond this change nothing that a saturating activation gives: `1 - σ(16) < 2⁻²³`.
const HARMLESS_CLIP: f32 = 16.0;

/// Which way a direction runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last step to the first.
    Reverse,
}

/// A `GRU` with all that its node says.
#[derive(Clone, Debug)]
pub struct Node {
    /// What errors call it.
    pub name: String,
    /// One direction, or forward and reverse.
    pub directions: Vec<Direction>,
    /// Inputs per step, I.
    pub inputs: usize,
    /// Hidden units of a direction, H.
    pub hidden: usize,
    /// `(B, T, …)` in place of `(T, B, …)`.
    pub batch_first: bool,
    reset: Reset,
    /// Gates and candidate of each direction.
    activations: Vec<(Activation, Activation)>,
    kernel: Rc<Array>,
    recurrent: Rc<Array>,
    bias: Option<Rc<Array>>,
}

impl Node {
    /// What `call` says, with its weights `W`, `R` and `B`.
    ///
    /// # Errors
    /// If it has a setting with no counterpart here, or weights of other shapes.
    pub fn new(
        call: Call<'_>,
        reset: Reset,
        kernel: Rc<Array>,
        recurrent: Rc<Array>,
        bias: Option<Rc<Array>>,
    ) -> Result<Self, ImportError> {
        use Direction::{Forward, Reverse};
        let directions = match call.attribute("direction").map(|attribute| &attribute.s[..]) {
            None | Some(b"" | b"forward") => vec![Forward],
            Some(b"reverse") => vec![Reverse],
            Some(b"bidirectional") => vec![Forward, Reverse],
            Some(other) => {
                return Err(call.damaged(&format!("the direction {:?}", String::from_utf8_lossy(other))));
            }
        };
        let (d, &[_, _, inputs]) = (directions.len(), &kernel.shape[..]) else {
            return Err(call.damaged(&format!("W of the shape {:?}, not (directions, 3·hidden, inputs)", kernel.shape)));
        };
        let hidden = recurrent.shape.last().copied().unwrap_or(0);
        let said = call.int("hidden_size", hidden as i64);
        if hidden == 0 || inputs == 0 || said != hidden as i64 {
            return Err(call.damaged(&format!("hidden_size {said}, W {:?}, R {:?}", kernel.shape, recurrent.shape)));
        }
        // At most 2³¹ elements have been read, and R has 3·H·H of them.
        let three = 3usize.saturating_mul(hidden);
        let expected = [vec![d, three, inputs], vec![d, three, hidden], vec![d, three.saturating_mul(2)]];
        for (array, expected) in [Some(&kernel), Some(&recurrent), bias.as_ref()].into_iter().zip(expected) {
            if let Some(array) = array.filter(|array| array.shape != expected) {
                let (tensor, found) = (array.name.clone(), array.shape.clone());
                return Err(ImportError::Shape { tensor, expected, found });
            }
        }
        let activations = activations(call, d)?;
        if let Some(clip) = call.attribute("clip").map(|attribute| attribute.f).filter(|&clip| clip != 0.0) {
            let saturates = |activation: &Activation| match activation {
                Activation::Sigmoid | Activation::Tanh => true,
                Activation::HardSigmoid { alpha, beta } => {
                    alpha.abs() * f64::from(HARMLESS_CLIP) >= (1.0 - beta).abs().max(beta.abs())
                }
                _ => false,
            };
            let all = activations.iter().all(|(gate, candidate)| saturates(gate) && saturates(candidate));
            if !(all && clip >= HARMLESS_CLIP) {
                return Err(call.refuse(
                    &format!("clip = {clip}"),
                    "train it without; a clip of 16 or more is accepted where all activations saturate",
                ));
            }
        }
        let batch_first = match call.int("layout", 0) {
            0 => false,
            1 => true,
            other => return Err(call.damaged(&format!("the layout {other}"))),
        };
        Ok(Self {
            name: call.name(),
            directions,
            inputs,
            hidden,
            batch_first,
            reset,
            activations,
            kernel,
            recurrent,
            bias,
        })
    }

    /// The layer of one of its directions, and the tensors that it is made of.
    pub fn direction(&self, at: usize) -> (Gru, Vec<Origin>) {
        let (inputs, hidden, three) = (self.inputs, self.hidden, 3 * self.hidden);
        let part = |array: &Array, size: usize| array.reals()[at * size..][..size].to_vec();
        let bias = self.bias.as_ref().map_or_else(|| vec![0.0; 2 * three], |bias| part(bias, 2 * three));
        let (of_x, of_h) = bias.split_at(three);
        let bias = match self.reset {
            // Both are added before anything else happens.
            Reset::Before => of_x.iter().zip(of_h).map(|(a, b)| a + b).collect(),
            Reset::After => bias,
        };
        let (gate, candidate) = self.activations[at];
        let sums = if self.reset == Reset::Before { "input's and state's summed" } else { "" };
        let mut origins = vec![
            Origin::new(&self.kernel.tensor(), "kernel", "transposed"),
            Origin::new(&self.recurrent.tensor(), "recurrent_kernel", "transposed"),
        ];
        origins.extend(self.bias.as_ref().map(|bias| Origin::new(&bias.tensor(), "bias", sums)));
        let gru = Gru {
            inputs,
            hidden,
            reset: self.reset,
            gate,
            candidate,
            kernel: transpose(&part(&self.kernel, three * inputs), inputs),
            recurrent: transpose(&part(&self.recurrent, three * hidden), hidden),
            bias,
        };
        (gru, origins)
    }
}

/// The activations of gates and candidate, for each direction.
fn activations(call: Call<'_>, directions: usize) -> Result<Vec<(Activation, Activation)>, ImportError> {
    let given = call.attribute("activations").map_or(&[][..], |attribute| &attribute.strings[..]);
    let names: Vec<String> = given.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    if !names.is_empty() && names.len() != 2 * directions {
        return Err(call.damaged(&format!("{} activations of {directions} directions", names.len())));
    }
    // Each takes the next value, if it takes any.
    let list = |name: &str| call.attribute(name).map_or(&[][..], |attribute| &attribute.floats[..]).iter();
    let (mut alphas, mut betas) = (list("activation_alpha"), list("activation_beta"));
    let mut one = |name: &str| -> Result<Activation, ImportError> {
        let mut values = |alpha: f32, beta: f32| {
            (f64::from(*alphas.next().unwrap_or(&alpha)), f64::from(*betas.next().unwrap_or(&beta)))
        };
        Ok(match &*name.to_ascii_lowercase() {
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            "hardsigmoid" => {
                let (alpha, beta) = values(0.2, 0.5);
                Activation::HardSigmoid { alpha, beta }
            }
            "affine" if values(1.0, 0.0) == (1.0, 0.0) => Activation::Linear,
            _ => {
                return Err(call.refuse(
                    &format!("the activation {name}"),
                    "use Sigmoid or HardSigmoid for the gates, and Tanh, Relu or Affine (1, 0) for the candidate",
                ));
            }
        })
    };
    let mut found = Vec::new();
    for direction in 0..directions {
        let name = |at: usize, default: &'static str| names.get(2 * direction + at).map_or(default, |name| name);
        found.push((one(name(0, "Sigmoid"))?, one(name(1, "Tanh"))?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::tensor::Elements;
    use super::*;

    /// With the reset gate before the matmul both biases are added before anything else; after it, the state's is within.
    #[test]
    fn both_biases_count() {
        let array = |name: &str, shape: &[usize], data: &[f32]| {
            Rc::new(Array { name: name.to_owned(), shape: shape.to_vec(), data: Elements::Real(data.to_vec()) })
        };
        let node = |reset| Node {
            name: "gru".to_owned(),
            directions: vec![Direction::Forward],
            inputs: 1,
            hidden: 1,
            batch_first: false,
            reset,
            activations: vec![(Activation::Sigmoid, Activation::Tanh)],
            kernel: array("W", &[1, 3, 1], &[1.0, 2.0, 3.0]),
            recurrent: array("R", &[1, 3, 1], &[4.0, 5.0, 6.0]),
            bias: Some(array("B", &[1, 6], &[1.0, 2.0, 3.0, 10.0, 20.0, 30.0])),
        };
        assert_eq!(node(Reset::Before).direction(0).0.bias, [11.0, 22.0, 33.0]);
        assert_eq!(node(Reset::After).direction(0).0.bias, [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
    }
}
