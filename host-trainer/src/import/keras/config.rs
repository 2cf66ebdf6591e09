//! The architecture in Keras's JSON, of Sequential and functional models, as Keras 2 and Keras 3 write it.

use serde_json::Value;

use crate::import::ImportError;

/// An output of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The layer.
    pub layer: String,
    /// Which of its outputs: 1 and up are the states of `return_state`.
    pub tensor: usize,
}

/// One layer as its configuration says.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its class, such as `GRU`.
    pub class: String,
    /// Its settings.
    pub config: Value,
    /// Its number among all layers, from 0.
    pub number: usize,
    /// Its inputs: data first, then states.
    pub inputs: Vec<Reference>,
    /// What says which of its steps are there.
    pub mask: Option<Reference>,
}

/// A model's layers.
#[derive(Clone, Debug)]
pub struct Model {
    /// The model's name.
    pub name: String,
    layers: Vec<Layer>,
    outputs: Vec<Reference>,
}

/// Layers in the order that data pass them, without the input layer itself.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    /// Shape of a series, `[steps, channels]` or `[steps]`; `None` where anything goes.
    pub shape: Option<Vec<Option<usize>>>,
    /// All layers of the model: how Keras numbers them follows from it.
    pub all: &'a [Layer],
    /// The layers.
    pub layers: Vec<&'a Layer>,
}

/// Layers that compute the masks that Keras 3 writes out for `Masking` and `mask_zero`.
const MASK_LAYERS: [&str; 2] = ["NotEqual", "Any"];

fn damaged(what: &str) -> ImportError {
    ImportError::Damaged(format!("the architecture: {what}"))
}

impl Model {
    /// From a document `{"class_name": …, "config": …}`.
    pub fn parse(document: &Value) -> Result<Self, ImportError> {
        let class = class_of(document).ok_or_else(|| damaged("there is no class_name"))?;
        let config = &document["config"];
        match &*class {
            "Sequential" => Self::sequential(config),
            "Functional" | "Model" => Self::functional(config),
            _ => Err(ImportError::unsupported(
                format!("a model of the class {class:?}"),
                "build it as a Sequential or functional model of standard layers, or import its weights with --like",
            )),
        }
    }

    fn sequential(config: &Value) -> Result<Self, ImportError> {
        // Old ones have the list itself as their configuration.
        let list = config["layers"].as_array().or_else(|| config.as_array()).ok_or_else(|| damaged("no layers"))?;
        let mut layers: Vec<Layer> = Vec::new();
        for (number, layer) in list.iter().enumerate() {
            let (mut layer, before) = (Layer::parse(layer, number)?, layers.last());
            layer.inputs.extend(before.map(|before| Reference { layer: before.name.clone(), tensor: 0 }));
            layers.push(layer);
        }
        let last = layers.last().ok_or_else(|| damaged("the model has no layers"))?;
        let outputs = vec![Reference { layer: last.name.clone(), tensor: 0 }];
        Ok(Self { name: text(config, "name"), layers, outputs })
    }

    fn functional(config: &Value) -> Result<Self, ImportError> {
        let list = config["layers"].as_array().ok_or_else(|| damaged("no layers"))?;
        let mut layers = Vec::new();
        for (number, layer) in list.iter().enumerate() {
            let mut parsed = Layer::parse(layer, number)?;
            let calls = layer["inbound_nodes"].as_array().map_or(&[][..], |nodes| nodes);
            if calls.len() > 1 {
                return Err(ImportError::unsupported(
                    format!("{}: a layer that is used {} times", parsed.name, calls.len()),
                    "use layers of their own for each place",
                ));
            }
            if calls.iter().any(|call| is_training(call, 0)) {
                return Err(ImportError::unsupported(
                    format!("{}: a layer that is called with training=True", parsed.name),
                    "build the model without it and load the same weights",
                ));
            }
            calls.iter().for_each(|call| references(call, 0, &mut parsed.inputs));
            let mut masks = Vec::new();
            calls.iter().for_each(|call| references(&call["kwargs"]["mask"], 0, &mut masks));
            parsed.mask = masks.pop();
            layers.push(parsed);
        }
        let mut outputs = Vec::new();
        references(&config["output_layers"], 0, &mut outputs);
        Ok(Self { name: text(config, "name"), layers, outputs })
    }

    fn layer(&self, name: &str) -> Result<&Layer, ImportError> {
        self.layers
            .iter()
            .find(|layer| layer.name == name)
            .ok_or_else(|| damaged(&format!("there is no layer {name:?}")))
    }

    /// The chain from input to output, or those of an encoder and of its decoder.
    pub fn paths(&self) -> Result<Vec<Path<'_>>, ImportError> {
        // States that a model gives besides are a stream's own here.
        let data = |output: &&Reference| output.tensor == 0;
        let outputs: Vec<&Reference> = self.outputs.iter().filter(data).collect();
        let [output] = outputs[..] else {
            if let ([], Some(state)) = (&outputs[..], self.outputs.first()) {
                return Err(second_output(state, "the model's output"));
            }
            let names: Vec<&str> = outputs.iter().map(|output| &*output.layer).collect();
            return Err(ImportError::unsupported(
                format!("a model with {} outputs ({})", names.len(), names.join(", ")),
                "make a model with one of them",
            ));
        };
        let decoder = self.path(output)?;
        let mut states = Vec::new();
        for layer in decoder.layers.iter().filter(|layer| layer.inputs.len() > 1) {
            if layer.class != "GRU" || layer.inputs.len() > 2 {
                return Err(ImportError::unsupported(
                    format!("{}: a {} of {} inputs", layer.name, layer.class, layer.inputs.len()),
                    "make a chain of layers; only a GRU may take a second input, its initial_state",
                ));
            }
            // A state that is an input of the model is what a stream keeps by itself.
            if self.layer(&layer.inputs[1].layer)?.class != "InputLayer" {
                states.push((*layer, &layer.inputs[1]));
            }
        }
        let Some((_, last)) = states.last() else {
            self.all_used(&[&decoder])?;
            return Ok(vec![decoder]);
        };
        let encoder = self.path(last)?;
        let grus = |path: &Path<'_>| -> Vec<String> {
            path.layers.iter().filter(|layer| layer.class == "GRU").map(|layer| layer.name.clone()).collect()
        };
        let from: Vec<String> = states.iter().map(|(_, state)| state.layer.clone()).collect();
        let to: Vec<String> = states.iter().map(|(layer, _)| layer.name.clone()).collect();
        if from != grus(&encoder) || to != grus(&decoder) {
            return Err(ImportError::unsupported(
                format!("states handed from {} to {}", from.join(", "), to.join(", ")),
                "hand the state of each GRU of the encoder, in order, to one of the decoder",
            ));
        }
        self.all_used(&[&encoder, &decoder])?;
        Ok(vec![encoder, decoder])
    }

    /// The layers back from `output` to an input.
    fn path(&self, output: &Reference) -> Result<Path<'_>, ImportError> {
        let mut path = Path { shape: None, all: &self.layers, layers: Vec::new() };
        let mut here = self.layer(&output.layer)?;
        loop {
            let shape = here.config.get("batch_shape").or_else(|| here.config.get("batch_input_shape"));
            if let Some(shape) = shape.and_then(Value::as_array) {
                let size = |size: &Value| size.as_u64().map(|size| size as usize);
                path.shape = Some(shape.iter().skip(1).map(size).collect());
            }
            if here.class == "InputLayer" {
                break;
            }
            path.layers.push(here);
            if path.layers.len() > self.layers.len() {
                return Err(damaged("the layers form a ring"));
            }
            let Some(before) = here.inputs.first() else { break };
            if before.tensor > 0 {
                return Err(second_output(before, &here.name));
            }
            here = self.layer(&before.layer)?;
        }
        path.layers.reverse();
        Ok(path)
    }

    /// Nothing is left out without a word. Masks are told by the layers that make them.
    fn all_used(&self, paths: &[&Path<'_>]) -> Result<(), ImportError> {
        let masks = self.mask_layers();
        let used = |name: &str| {
            masks.contains(&name) || paths.iter().any(|path| path.layers.iter().any(|layer| layer.name == name))
        };
        match self.layers.iter().find(|layer| layer.class != "InputLayer" && !used(&layer.name)) {
            Some(layer) => Err(ImportError::unsupported(
                format!("{}: a {} that is not on the way from the input to the output", layer.name, layer.class),
                "make a chain of layers",
            )),
            None => Ok(()),
        }
    }

    /// The names of those [`MASK_LAYERS`] of which nothing but masks comes.
    fn mask_layers(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let mut to_look_at: Vec<&Reference> = self.layers.iter().filter_map(|layer| layer.mask.as_ref()).collect();
        while let Some(reference) = to_look_at.pop() {
            let Ok(layer) = self.layer(&reference.layer) else { continue };
            if MASK_LAYERS.contains(&&*layer.class) && !found.contains(&&*layer.name) {
                found.push(&layer.name);
                to_look_at.extend(&layer.inputs);
            }
        }
        found
    }
}

fn second_output(reference: &Reference, taker: &str) -> ImportError {
    ImportError::unsupported(
        format!("{taker}: output {} of {}, a state,", reference.tensor, reference.layer),
        "take the layer's first output; with return_sequences=False that is the last state",
    )
}

impl Path<'_> {
    /// Whether a layer is given a state by an input of the model.
    pub fn takes_state(&self, layer: &Layer) -> bool {
        let is_input = |name: &str| self.all.iter().any(|layer| layer.name == name && layer.class == "InputLayer");
        layer.inputs.get(1).is_some_and(|state| is_input(&state.layer))
    }

    /// Whether a layer is given a mask that no `Masking` or `mask_zero` makes.
    pub fn takes_mask(&self, layer: &Layer) -> bool {
        let made = |name: &str| self.all.iter().any(|layer| layer.name == name && MASK_LAYERS.contains(&&*layer.class));
        layer.mask.as_ref().is_some_and(|mask| !made(&mask.layer))
    }
}

impl Layer {
    /// From `{"class_name": …, "config": …}`.
    pub fn parse(value: &Value, number: usize) -> Result<Self, ImportError> {
        let class = class_of(value).ok_or_else(|| damaged("a layer has no class_name"))?;
        let config = value["config"].clone();
        let name = [value, &config].into_iter().find_map(|value| value["name"].as_str());
        let name = name.map_or_else(|| format!("layer {number}"), str::to_owned);
        Ok(Self { name, class, config, number, inputs: Vec::new(), mask: None })
    }

    /// A setting that is true or false; `default` where it is not there.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.config[key].as_bool().unwrap_or(default)
    }

    /// A layer within this one, such as that of a `TimeDistributed`.
    pub fn inner(&self, key: &str) -> Result<Layer, ImportError> {
        let inner = self.config.get(key).ok_or_else(|| damaged(&format!("{} has no {key}", self.name)))?;
        let inner = Layer::parse(inner, self.number)?;
        Ok(Layer { name: self.name.clone(), ..inner })
    }
}

/// The class that a value is of, with its package where it is none of Keras's own, whatever it is called.
fn class_of(value: &Value) -> Option<String> {
    let class = value["class_name"].as_str()?;
    if let Some(registered) = value["registered_name"].as_str().filter(|name| name.contains('>')) {
        return Some(registered.to_owned());
    }
    let own = |module: &str| ["keras", "tf_keras", "tensorflow"].contains(&module.split('.').next().unwrap_or(module));
    match value["module"].as_str().filter(|module| !own(module)) {
        Some(module) => Some(format!("{module}>{class}")),
        None => Some(class.to_owned()),
    }
}

/// Whether a call, with its arguments, is one of a training.
fn is_training(call: &Value, depth: usize) -> bool {
    match call {
        Value::Array(values) => depth < 8 && values.iter().any(|value| is_training(value, depth + 1)),
        Value::Object(object) => {
            object.get("training").and_then(Value::as_bool) == Some(true)
                || object.get("kwargs").is_some_and(|kwargs| depth < 8 && is_training(kwargs, depth + 1))
        }
        _ => false,
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("").to_owned()
}

/// All outputs of layers that a value names: `["gru", 0, 0]` (Keras 2) or a `__keras_tensor__` (Keras 3).
fn references(value: &Value, depth: usize, found: &mut Vec<Reference>) {
    if depth > 32 {
        return;
    }
    match value {
        Value::Array(values) => {
            if let [Value::String(layer), Value::Number(_), Value::Number(tensor), rest @ ..] = &values[..] {
                let tensor = tensor.as_u64().unwrap_or(0) as usize;
                found.push(Reference { layer: layer.clone(), tensor });
                rest.iter().for_each(|value| references(value, depth + 1, found));
                return;
            }
            values.iter().for_each(|value| references(value, depth + 1, found));
        }
        Value::Object(object) => match object.get("class_name").and_then(Value::as_str) {
            Some("__keras_tensor__") => references(&value["config"]["keras_history"], depth + 1, found),
            _ => {
                // The arguments before the named ones, which may be a state.
                for key in ["args", "initial_state", "kwargs"] {
                    object.get(key).into_iter().for_each(|value| references(value, depth + 1, found));
                }
            }
        },
        _ => {}
    }
}
