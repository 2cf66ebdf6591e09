//! The reference vectors of `tests/vectors/`, in the layouts of this project.

use std::path::Path;

use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};
use grulet_trainer::data::Npz;
use grulet_trainer::nn::{Batch, Loss, Network, Real};

/// Every file: a framework, a net, a reset variant.
pub const FILES: [(&str, &str, Reset); 8] = [
    ("keras", "cls", Reset::Before),
    ("keras", "cls", Reset::After),
    ("keras", "seq", Reset::Before),
    ("keras", "seq", Reset::After),
    ("keras", "reg2", Reset::Before),
    ("keras", "reg2", Reset::After),
    ("torch", "seq", Reset::After),
    ("torch", "reg2", Reset::After),
];

/// An array: shape and elements, row-major.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// One file.
pub struct Reference {
    npz: Npz,
    pub torch: bool,
    pub layers: Vec<LayerSpec>,
    pub output: Output,
    pub loss: Loss,
}

impl Reference {
    /// Opens the file of a net; `number` is `f32` or `f64`.
    pub fn open((framework, net, reset): (&str, &str, Reset), number: &str) -> Self {
        let torch = framework == "torch";
        let variant = match (torch, reset) {
            (true, _) => "",
            (false, Reset::Before) => "_ra0",
            (false, Reset::After) => "_ra1",
        };
        let file = format!("{framework}_{net}{variant}_{number}.npz");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
        let gru =
            |inputs, hidden| LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
        let dense = |inputs, outputs, activation| LayerSpec::Dense { inputs, outputs, activation };
        let (layers, output, loss) = match net {
            "cls" => (
                vec![gru(3, 8), dense(8, 4, Activation::Softmax)],
                Output::LastStep,
                Loss::SparseCategoricalCrossEntropy,
            ),
            "seq" => (vec![gru(1, 8), dense(8, 1, Activation::Sigmoid)], Output::EveryStep, Loss::BinaryCrossEntropy),
            _ => {
                (vec![gru(5, 7), gru(7, 6), dense(6, 2, Activation::Linear)], Output::LastStep, Loss::MeanSquaredError)
            }
        };
        Self { npz: Npz::open(&path).unwrap(), torch, layers, output, loss }
    }

    /// The array of that name.
    pub fn array(&mut self, key: &str) -> Array {
        array(&mut self.npz, key)
    }

    /// All tensors of a kind (`w`, `d`, `adam1`, `adam10`) in the order and layout of [`Network::tensors`], one each.
    pub fn tensors(&mut self, kind: &str) -> Vec<Vec<f64>> {
        let mut all = Vec::new();
        let layers = self.layers.clone();
        for (index, layer) in layers.iter().enumerate() {
            let recurrent = layer.state() > 0;
            match (self.torch, recurrent) {
                (false, true) => {
                    all.extend(["W", "U", "b"].map(|t| self.array(&format!("{kind}_{t}{index}")).values));
                }
                (false, false) => all.extend(["Wd", "bd"].map(|t| self.array(&format!("{kind}_{t}")).values)),
                (true, true) => {
                    let name = |tensor: &str| format!("{kind}_gru{index}.{tensor}_l0");
                    all.push(from_torch(&self.array(&name("weight_ih"))));
                    all.push(from_torch(&self.array(&name("weight_hh"))));
                    let biases = ["bias_ih", "bias_hh"].map(|tensor| from_torch(&self.array(&name(tensor))));
                    all.push(biases.concat());
                }
                (true, false) => {
                    let weight = self.array(&format!("{kind}_dense.weight"));
                    all.push(transposed(&weight.values, weight.shape[0], weight.shape[1]));
                    all.push(self.array(&format!("{kind}_dense.bias")).values);
                }
            }
        }
        all
    }

    /// The network with the file's weights.
    pub fn network<R: Real>(&mut self) -> Network<R> {
        let params = self.tensors("w").concat().into_iter().map(R::from_f64).collect();
        Network::from_params(&self.layers, self.output, params).unwrap()
    }

    /// The file's batch.
    pub fn batch<R: Real>(&mut self) -> Batch<R> {
        let (x, y) = (self.array("x"), self.array("y"));
        let (rows, steps) = (x.shape[0], x.shape[1]);
        let real = |values: Vec<f64>| values.into_iter().map(R::from_f64).collect();
        Batch {
            steps,
            lengths: vec![steps; rows],
            targets: real(if self.output == Output::EveryStep { time_major(&y) } else { y.values }),
            x: real(time_major(&x)),
            ..Batch::default()
        }
    }

    /// The expected outputs, shaped as the trainer gives them.
    pub fn outputs(&mut self) -> Vec<f64> {
        let out = self.array("out");
        if self.output == Output::EveryStep { time_major(&out) } else { out.values }
    }
}

/// The array of that name in a file.
pub fn array(npz: &mut Npz, key: &str) -> Array {
    let array = npz.array(key, "").unwrap();
    let values = array.map_numbers(0..array.len(), |number| number);
    Array { shape: array.shape().to_vec(), values }
}

/// (B, T, N) to (T, B, N).
pub fn time_major(array: &Array) -> Vec<f64> {
    let [rows, steps, width] = array.shape[..] else { panic!("{:?} has not three dimensions", array.shape) };
    let mut values = Vec::new();
    for t in 0..steps {
        for row in 0..rows {
            values.extend_from_slice(&array.values[(row * steps + t) * width..][..width]);
        }
    }
    values
}

/// A GRU tensor of PyTorch, gates r, z, n along the first axis, to gates z, r, c along the last one.
fn from_torch(array: &Array) -> Vec<f64> {
    let width = array.values.len() / array.shape[0];
    let hidden = array.shape[0] / 3;
    let gate = |index: usize| &array.values[index * hidden * width..][..hidden * width];
    transposed(&[gate(1), gate(0), gate(2)].concat(), 3 * hidden, width)
}

fn transposed(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|i| values[(i % rows) * columns + i / rows]).collect()
}
