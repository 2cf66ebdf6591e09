//! From Keras's layers to steps.

use grulet::spec::{Merge, Pooling, Reset};
use serde_json::Value;

use super::config::{Layer, Path};
use super::weights::Weights;
use crate::import::ImportError;
use crate::import::chain::{
    Activation, Chain, Dense, Gru, Op, Origin, Source, Step, Tensor, both_directions, merged, part_of,
};

/// Which Keras wrote a file. Its hard sigmoid is another function before version 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Two,
    Three,
    Unknown,
}

/// Layers that do something in training alone.
const TRAINING_ONLY: [&str; 7] = [
    "Dropout",
    "SpatialDropout1D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
];

/// Layers that do the same at every step, within a `TimeDistributed` too.
const TIME_DISTRIBUTED: [&str; 7] =
    ["Activation", "BatchNormalization", "Dense", "Normalization", "ReLU", "Rescaling", "Softmax"];

/// What is being read.
struct Reader<'a> {
    version: Version,
    weights: &'a Weights,
    source: &'a mut Source,
    /// Whether data are still series of steps.
    series: bool,
    /// Channels, as far as known.
    width: Option<usize>,
}

/// The steps of a chain of layers.
pub fn chain(path: &Path<'_>, version: Version, weights: &Weights, source: &mut Source) -> Result<Chain, ImportError> {
    let shape = path.shape.clone().unwrap_or_default();
    if shape.len() > 2 {
        return Err(ImportError::unsupported(
            format!("an input of {} dimensions", shape.len()),
            "let them be (steps, channels), without the batch",
        ));
    }
    let width = shape.get(1).copied().flatten();
    let mut reader = Reader { version, weights, source, series: true, width };
    let mut chain = Chain { inputs: 0, window: shape.first().copied().flatten().unwrap_or(0), steps: Vec::new() };
    for layer in &path.layers {
        let class = snake_case(&layer.class);
        let number = path.all.iter().filter(|other| other.number < layer.number && other.class == layer.class).count();
        let tensors = |reader: &Reader<'_>| reader.weights.of_layer(&layer.name, &class, number);
        if path.takes_state(layer) {
            reader
                .source
                .skipped
                .push(format!("{}: initial_state: a stream begins with zeros, and keeps its state", layer.name));
        }
        if path.takes_mask(layer) {
            reader
                .source
                .skipped
                .push(format!("{}: mask: steps that it masks are not to be given to the model", layer.name));
        }
        let steps = reader.steps(layer, &tensors)?;
        for step in &steps {
            match &step.op {
                Op::Gru(gru) => reader.width = Some(gru.hidden),
                Op::Bidirectional { forward, merge, last, .. } => {
                    reader.width = Some(merged(forward.hidden, *merge));
                    reader.series &= !last;
                }
                Op::Dense(dense) => reader.width = Some(dense.outputs),
                Op::Embedding { outputs, .. } | Op::OneHot { vocabulary: outputs } => reader.width = Some(*outputs),
                Op::Pool(_) | Op::LastStep => reader.series = false,
                Op::Scale { .. } | Op::Activation(_) => {}
            }
        }
        chain.steps.extend(steps);
    }
    // What comes first says it; what has no weights takes the input's own shape.
    chain.inputs = chain.first_inputs().or(width).ok_or_else(|| ImportError::Unsaid {
        what: "how many input channels the model has".to_owned(),
        fix: "build the model with an Input layer and save it again".to_owned(),
    })?;
    Ok(chain)
}

impl Reader<'_> {
    fn steps(
        &mut self,
        layer: &Layer,
        tensors: &dyn Fn(&Self) -> Result<Vec<Tensor>, ImportError>,
    ) -> Result<Vec<Step>, ImportError> {
        let name = &layer.name;
        let alone = |op| vec![Step { name: name.clone(), op, tensors: Vec::new() }];
        let skip = |reader: &mut Self, why: &str| {
            reader.source.skipped.push(format!("{name} ({}): {why}", layer.class));
            Ok(Vec::new())
        };
        match layer.class.as_str() {
            class if TRAINING_ONLY.contains(&class) => skip(self, "does nothing after training"),
            "Masking" => skip(self, "steps that it masks are not to be given to the model"),
            "GRU" => self.gru(layer, tensors(self)?),
            "RNN" => {
                let cell = layer.inner("cell")?;
                if cell.class != "GRUCell" {
                    return Err(unknown(&format!("{name}: an RNN of the cell {}", cell.class)));
                }
                let mut merged = layer.clone();
                if let (Some(settings), Some(cell)) = (merged.config.as_object_mut(), cell.config.as_object()) {
                    cell.iter().filter(|(key, _)| *key != "name").for_each(|(key, value)| {
                        settings.insert(key.clone(), value.clone());
                    });
                }
                self.gru(&merged, tensors(self)?)
            }
            "Bidirectional" => self.bidirectional(layer, tensors(self)?),
            "Dense" => self.dense(layer, tensors(self)?),
            "TimeDistributed" => {
                let inner = layer.inner("layer")?;
                if !TIME_DISTRIBUTED.contains(&&*inner.class) && !TRAINING_ONLY.contains(&&*inner.class) {
                    return Err(unknown(&format!("{name}: a TimeDistributed of {}", inner.class)));
                }
                self.steps(&inner, tensors)
            }
            "Embedding" => {
                if layer.flag("mask_zero", false) {
                    self.source
                        .skipped
                        .push(format!("{name}: mask_zero: steps of token 0 are not to be given to the model"));
                }
                Ok(vec![embedding_of(name, tensors(self)?)?])
            }
            "CategoryEncoding" => {
                let mode = layer.config["output_mode"].as_str().unwrap_or("multi_hot");
                if mode != "one_hot" {
                    return Err(ImportError::unsupported(
                        format!("{name}: a CategoryEncoding of output_mode {mode:?}"),
                        "use output_mode=\"one_hot\", or an Embedding",
                    ));
                }
                let tokens = layer.config["num_tokens"].as_u64().filter(|tokens| (1..=65_535).contains(tokens));
                let vocabulary = tokens.ok_or_else(|| ImportError::Damaged(format!("{name}: it has no num_tokens")))?;
                Ok(alone(Op::OneHot { vocabulary: vocabulary as usize }))
            }
            "Activation" => {
                let activation = self.activation(layer, "activation", "linear")?;
                Ok(alone(Op::Activation(activation)))
            }
            "Softmax" if self.over_channels(layer) => Ok(alone(Op::Activation(Activation::Softmax))),
            "Softmax" => Err(unknown(&format!("{name}: a Softmax over axis {}", layer.config["axis"]))),
            "ReLU" => {
                let number = |key: &str| layer.config[key].as_f64().unwrap_or(0.0);
                if number("max_value") != 0.0 || number("negative_slope") != 0.0 || number("threshold") != 0.0 {
                    return Err(unknown(&format!("{name}: a ReLU with max_value, negative_slope or threshold")));
                }
                Ok(alone(Op::Activation(Activation::Relu)))
            }
            "Rescaling" => {
                let width = self.width.ok_or_else(|| unknown(&format!("{name}: a Rescaling of unknown width")))?;
                let wrong = |key: &str| {
                    unknown(&format!(
                        "{name}: a Rescaling with {key} = {}, not one for each channel",
                        layer.config[key]
                    ))
                };
                let values = |key: &str, default: f64| match plain(&layer.config[key]) {
                    Value::Number(value) => Ok(vec![value.as_f64().unwrap_or(default); width]),
                    Value::Array(list) => {
                        numbers(list).filter(|values| values.len() == width).ok_or_else(|| wrong(key))
                    }
                    Value::Null => Ok(vec![default; width]),
                    _ => Err(wrong(key)),
                };
                Ok(alone(Op::Scale { scale: values("scale", 1.0)?, offset: values("offset", 0.0)? }))
            }
            "Normalization" => self.normalization(layer, tensors(self)?),
            "BatchNormalization" => self.batch_normalization(layer, tensors(self)?),
            "GlobalAveragePooling1D" | "GlobalMaxPooling1D" => {
                if !self.series || layer.flag("keepdims", false) {
                    return Err(unknown(&format!("{name}: a {} with keepdims, or of a single step", layer.class)));
                }
                if layer.config["data_format"].as_str().is_some_and(|format| format != "channels_last") {
                    return Err(unknown(&format!("{name}: a {} with channels_first, over the channels", layer.class)));
                }
                let over = if layer.class == "GlobalMaxPooling1D" { Pooling::Max } else { Pooling::Mean };
                Ok(alone(Op::Pool(over)))
            }
            "Flatten" if !self.series => skip(self, "the data are flat already"),
            "Flatten" => Err(ImportError::unsupported(
                format!("{name}: Flatten over the steps of a series"),
                "let the last GRU have return_sequences=False, or use GlobalAveragePooling1D",
            )),
            "LSTM" | "SimpleRNN" | "ConvLSTM1D" | "LSTMCell" => Err(ImportError::unsupported(
                format!("{name}: the layer {}", layer.class),
                "train it with a GRU, which is smaller and mostly as good",
            )),
            "Sequential" | "Functional" | "Model" => Err(ImportError::unsupported(
                format!("{name}: a model within the model"),
                "build one flat model of the same layers",
            )),
            class => Err(unknown(&format!("{name}: the layer {class}"))),
        }
    }

    fn gru(&mut self, layer: &Layer, tensors: Vec<Tensor>) -> Result<Vec<Step>, ImportError> {
        let name = &layer.name;
        if layer.flag("time_major", false) {
            self.source.skipped.push(format!("{name}: time_major: a stream is given step by step in any case"));
        }
        let gate = self.activation(layer, "recurrent_activation", "sigmoid")?;
        let candidate = self.activation(layer, "activation", "tanh")?;
        let units = units(layer)?;
        let mut step = gru_of(name, tensors, units, layer.config["reset_after"].as_bool(), gate, candidate)?;
        if !layer.flag("use_bias", true) {
            step.tensors.retain(|origin| origin.part != "bias");
        }
        if layer.flag("go_backwards", false) {
            if layer.flag("return_sequences", false) {
                return Err(ImportError::unsupported(
                    format!("{name}: go_backwards with return_sequences, whose outputs are in reverse"),
                    "use Bidirectional, or train it forwards",
                ));
            }
            if let Op::Gru(gru) = step.op {
                step.op = Op::backwards(gru, true);
                step.tensors.iter_mut().for_each(|origin| origin.part = part_of(origin.part, true));
                return Ok(vec![step]);
            }
        }
        let mut steps = vec![step];
        if !layer.flag("return_sequences", false) {
            // An encoder's last state is handed over as it is.
            steps.push(Step { name: name.clone(), op: Op::LastStep, tensors: Vec::new() });
        }
        Ok(steps)
    }

    /// Two GRUs, the second one's variables after the first one's.
    fn bidirectional(&mut self, layer: &Layer, mut tensors: Vec<Tensor>) -> Result<Vec<Step>, ImportError> {
        let name = &layer.name;
        let merge = match layer.config["merge_mode"].as_str() {
            Some("concat") => Merge::Concat,
            Some("sum") => Merge::Sum,
            Some("mul") => Merge::Mul,
            Some("ave") => Merge::Ave,
            _ => {
                return Err(ImportError::unsupported(
                    format!("{name}: the merge_mode {}", layer.config["merge_mode"]),
                    "use concat, sum, mul or ave",
                ));
            }
        };
        let inner = layer.inner("layer")?;
        if inner.class != "GRU" || inner.flag("go_backwards", false) {
            return Err(unknown(&format!("{name}: a Bidirectional of {}, or of one with go_backwards", inner.class)));
        }
        if layer.config.get("backward_layer").is_some_and(|other| !other.is_null()) {
            let other = layer.inner("backward_layer")?;
            let settings =
                ["units", "activation", "recurrent_activation", "use_bias", "reset_after", "return_sequences"];
            let differs = |key: &&&str| inner.config[**key] != other.config[**key];
            if let Some(key) = settings.iter().find(differs) {
                return Err(unknown(&format!("{name}: a backward_layer with another {key}")));
            }
        }
        if !tensors.len().is_multiple_of(2) {
            return Err(count(name, 6, &tensors));
        }
        let second = tensors.split_off(tensors.len() / 2);
        let last = !inner.flag("return_sequences", false);
        let mut one = |tensors: Vec<Tensor>| Ok::<_, ImportError>(self.gru(&inner, tensors)?.swap_remove(0));
        let (forward, backward) = (one(tensors)?, one(second)?);
        let both = both_directions(forward, backward, merge, last);
        Ok(vec![both.ok_or_else(|| unknown(&format!("{name}: a Bidirectional of no GRU")))?])
    }

    fn dense(&mut self, layer: &Layer, tensors: Vec<Tensor>) -> Result<Vec<Step>, ImportError> {
        let activation = self.activation(layer, "activation", "linear")?;
        Ok(vec![dense_of(&layer.name, tensors, Some(units(layer)?), activation)?])
    }

    /// `(x - mean) / max(√variance, ε)`, with mean and variance adapted to data or given.
    fn normalization(&mut self, layer: &Layer, tensors: Vec<Tensor>) -> Result<Vec<Step>, ImportError> {
        let name = &layer.name;
        if layer.flag("invert", false) {
            return Err(unknown(&format!("{name}: a Normalization with invert")));
        }
        let over_other_axes = || unknown(&format!("{name}: a Normalization over other axes than the channels"));
        // Of no axis, it has one mean and one variance for all numbers.
        let of_none = layer.config["axis"].as_array().is_some_and(Vec::is_empty);
        if !of_none && !self.over_channels(layer) {
            return Err(over_other_axes());
        }
        let (mean, variance, origins) = match &tensors[..] {
            [mean, variance, ..] => {
                let values = |tensor: &Tensor| tensor.data.iter().map(|&value| value.into()).collect::<Vec<f64>>();
                let origins = vec![Origin::new(mean, "", "1/√variance"), Origin::new(variance, "", "1/√variance")];
                (values(mean), values(variance), origins)
            }
            _ => {
                let values = |key: &str| match &layer.config[key] {
                    Value::Number(value) => value.as_f64().map(|value| vec![value]),
                    Value::Array(list) => numbers(list),
                    _ => None,
                };
                let missing = || ImportError::Unsaid {
                    what: format!("{name}'s mean and variance"),
                    fix: "adapt the layer to data before the model is saved".to_owned(),
                };
                let (mean, variance) = (values("mean").ok_or_else(missing)?, values("variance").ok_or_else(missing)?);
                (mean, variance, Vec::new())
            }
        };
        let width = self.width.unwrap_or(mean.len());
        let spread = |values: Vec<f64>| if values.len() == 1 { vec![values[0]; width] } else { values };
        let (mean, variance) = (spread(mean), spread(variance));
        if mean.len() != width || variance.len() != width {
            return Err(over_other_axes());
        }
        // Keras's epsilon.
        let scale: Vec<f64> = variance.iter().map(|variance| 1.0 / variance.sqrt().max(1e-7)).collect();
        let offset = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
        Ok(vec![Step { name: name.clone(), op: Op::Scale { scale, offset }, tensors: origins }])
    }

    /// `gamma·(x - mean) / √(variance + ε) + beta`, with the averages of the training.
    fn batch_normalization(&mut self, layer: &Layer, tensors: Vec<Tensor>) -> Result<Vec<Step>, ImportError> {
        let name = &layer.name;
        if !self.over_channels(layer) {
            return Err(unknown(&format!("{name}: a BatchNormalization over another axis than the channels")));
        }
        let expected = 2 + usize::from(layer.flag("scale", true)) + usize::from(layer.flag("center", true));
        if tensors.len() != expected {
            return Err(count(name, expected, &tensors));
        }
        let width = tensors[0].data.len();
        let origins = tensors.iter().map(|tensor| Origin::new(tensor, "", "as a scale")).collect();
        let mut rest = tensors.into_iter();
        let mut next = |there: bool, default: f64| -> Result<Vec<f64>, ImportError> {
            match rest.next().filter(|_| there) {
                Some(tensor) => Ok(tensor.shaped(&[width])?.data.into_iter().map(f64::from).collect()),
                None => Ok(vec![default; width]),
            }
        };
        let gamma = if layer.flag("scale", true) { next(true, 1.0)? } else { vec![1.0; width] };
        let beta = if layer.flag("center", true) { next(true, 0.0)? } else { vec![0.0; width] };
        let (mean, variance) = (next(true, 0.0)?, next(true, 1.0)?);
        let epsilon = layer.config["epsilon"].as_f64().unwrap_or(1e-3);
        let scale: Vec<f64> =
            gamma.iter().zip(&variance).map(|(gamma, variance)| gamma / (variance + epsilon).sqrt()).collect();
        let offset = beta.iter().zip(&mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
        Ok(vec![Step { name: name.clone(), op: Op::Scale { scale, offset }, tensors: origins }])
    }

    /// Whether the `axis` of a layer is that of the channels, the last one; without any it is.
    fn over_channels(&self, layer: &Layer) -> bool {
        let last = if self.series { 2 } else { 1 };
        let is_last = |axis: &Value| matches!(axis.as_i64(), Some(axis) if axis == -1 || axis == last);
        match &layer.config["axis"] {
            Value::Null => true,
            Value::Array(axes) => matches!(&axes[..], [axis] if is_last(axis)),
            axis => is_last(axis),
        }
    }

    /// An activation by its name; functions of one's own have names that are not known.
    fn activation(&mut self, layer: &Layer, key: &str, default: &str) -> Result<Activation, ImportError> {
        let value = &layer.config[key];
        let name = match value {
            Value::String(name) => name,
            Value::Null => default,
            // `{"class_name": "function", "config": "tanh"}`, or an activation layer.
            Value::Object(object) => match object.get("config") {
                Some(Value::String(name)) => name,
                _ => object.get("class_name").and_then(Value::as_str).unwrap_or("?"),
            },
            _ => "?",
        };
        Ok(match name {
            "linear" => Activation::Linear,
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "relu" | "ReLU" if !value.is_object() || name == "relu" => Activation::Relu,
            "softmax" => Activation::Softmax,
            "hard_sigmoid" => {
                if self.version == Version::Unknown {
                    self.source.guesses.push(format!(
                        "{}: hard sigmoid is taken for that of Keras 3, clip(x/6 + 0.5), as the file names no version",
                        layer.name
                    ));
                }
                let alpha = if self.version == Version::Two { 0.2 } else { 1.0 / 6.0 };
                Activation::HardSigmoid { alpha, beta: 0.5 }
            }
            other => {
                return Err(ImportError::unsupported(
                    format!("{}: the {key} {other:?}", layer.name),
                    "use linear, sigmoid, hard_sigmoid, tanh, relu or softmax",
                ));
            }
        })
    }
}

/// A GRU from its variables: kernel `(I, 3H)`, recurrent kernel `(H, 3H)`, and a bias of `(3H)` or `(2, 3H)`, or none. What
/// `reset_after` does not say, the bias does.
pub fn gru_of(
    name: &str,
    tensors: Vec<Tensor>,
    units: usize,
    reset_after: Option<bool>,
    gate: Activation,
    candidate: Activation,
) -> Result<Step, ImportError> {
    let found = tensors.len();
    let mut tensors = tensors.into_iter();
    let (Some(kernel), Some(recurrent)) = (tensors.next(), tensors.next()) else {
        return Err(ImportError::Missing {
            tensor: format!("kernel and recurrent_kernel of {name}"),
            found: format!("{found} variables of it"),
        });
    };
    let bias = tensors.next();
    let (inputs, _) = kernel.matrix()?;
    let columns = 3 * units;
    let (kernel, recurrent) = (kernel.shaped(&[inputs, columns])?, recurrent.shaped(&[units, columns])?);
    let after = match (reset_after, &bias) {
        (Some(after), _) => after,
        (None, Some(bias)) => bias.shape.len() == 2,
        (None, None) => {
            return Err(ImportError::Unsaid {
                what: format!("where {name}'s reset gate acts"),
                fix: "save it with a current Keras, which writes reset_after".to_owned(),
            });
        }
    };
    let shape: &[usize] = if after { &[2, columns] } else { &[columns] };
    let mut origins = vec![Origin::new(&kernel, "kernel", ""), Origin::new(&recurrent, "recurrent_kernel", "")];
    let bias = match bias {
        Some(bias) => {
            let bias = bias.shaped(shape)?;
            origins.push(Origin::new(&bias, "bias", ""));
            bias.data
        }
        None => vec![0.0; shape.iter().product()],
    };
    let gru = Gru {
        inputs,
        hidden: units,
        reset: if after { Reset::After } else { Reset::Before },
        gate,
        candidate,
        kernel: kernel.data,
        recurrent: recurrent.data,
        bias,
    };
    Ok(Step { name: name.to_owned(), op: Op::Gru(gru), tensors: origins })
}

/// A dense layer from its variables: kernel `(I, O)` and a bias of `(O)`, or none.
pub fn dense_of(
    name: &str,
    tensors: Vec<Tensor>,
    units: Option<usize>,
    activation: Activation,
) -> Result<Step, ImportError> {
    let mut tensors = tensors.into_iter();
    let Some(kernel) = tensors.next() else {
        return Err(ImportError::Missing {
            tensor: format!("kernel of {name}"),
            found: "no variables of it".to_owned(),
        });
    };
    let (inputs, outputs) = kernel.matrix()?;
    let kernel = kernel.shaped(&[inputs, units.unwrap_or(outputs)])?;
    let mut origins = vec![Origin::new(&kernel, "kernel", "")];
    let bias = match tensors.next() {
        Some(bias) => {
            let bias = bias.shaped(&[outputs])?;
            origins.push(Origin::new(&bias, "bias", ""));
            bias.data
        }
        None => vec![0.0; outputs],
    };
    let dense = Dense { inputs, outputs, activation, kernel: kernel.data, bias };
    Ok(Step { name: name.to_owned(), op: Op::Dense(dense), tensors: origins })
}

/// An embedding from its variable `(V, D)`.
pub fn embedding_of(name: &str, tensors: Vec<Tensor>) -> Result<Step, ImportError> {
    let [vectors]: [Tensor; 1] = tensors.try_into().map_err(|tensors: Vec<Tensor>| count(name, 1, &tensors))?;
    let (vocabulary, outputs) = vectors.matrix()?;
    let origins = vec![Origin::new(&vectors, "embeddings", "")];
    let op = Op::Embedding { vocabulary, outputs, vectors: vectors.data };
    Ok(Step { name: name.to_owned(), op, tensors: origins })
}

fn units(layer: &Layer) -> Result<usize, ImportError> {
    let units = layer.config["units"].as_u64().filter(|units| (1..=u64::from(u16::MAX)).contains(units));
    units.map(|units| units as usize).ok_or_else(|| ImportError::Damaged(format!("{}: it has no units", layer.name)))
}

/// A value, or what is in the array of NumPy that it is.
fn plain(value: &Value) -> &Value {
    match value["class_name"].as_str() {
        Some("__numpy__") => &value["config"]["value"],
        _ => value,
    }
}

fn numbers(list: &[Value]) -> Option<Vec<f64>> {
    let number = |value: &Value| match value {
        // Keras writes them with the axes that they are broadcast over.
        Value::Array(inner) if list.len() == 1 => numbers(inner),
        value => value.as_f64().map(|value| vec![value]),
    };
    Some(list.iter().map(number).collect::<Option<Vec<_>>>()?.concat())
}

fn count(name: &str, expected: usize, found: &[Tensor]) -> ImportError {
    ImportError::Missing {
        tensor: format!("{expected} variables of {name}"),
        found: format!("{} of them", found.len()),
    }
}

fn unknown(what: &str) -> ImportError {
    ImportError::unsupported(
        what,
        "supported are GRU, Bidirectional(GRU), Dense, TimeDistributed(Dense), Embedding, CategoryEncoding, Activation, Softmax, ReLU, \
         Normalization, BatchNormalization, Rescaling, Masking, Dropout, GlobalAveragePooling1D and GlobalMaxPooling1D; \
         docs/IMPORT.md says which of their settings",
    )
}

/// As Keras names the groups of its classes: `TimeDistributed` is `time_distributed`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let lower = |at: Option<&char>| at.is_some_and(|letter| letter.is_lowercase());
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        if letter.is_uppercase() && index > 0 && (lower(before) || lower(letters.get(index + 1))) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
