//! The order of modules, and what else a file of tensors does not say: from `--like`, `--order`, `--answers` and
//! `--activation`, else guessed and said.

use grulet::spec::{self, Candidate, Gate, Merge, Output, Pooling, Reset};

use super::modules::{Kind, Module, embedding, linear};
use crate::config::LayerConfig;
use crate::import::chain::{Activation, Chain, Op, Step, answer_once, one_hot};
use crate::import::{ImportError, Options, description};

/// The slope of PyTorch's hard sigmoid, `clip(x/6 + 1/2, 0, 1)`:
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html>.
const HARD_SIGMOID: f64 = 1.0 / 6.0;

/// Orders that are tried, at most.
const MAX_TRIED: usize = 20_000;

/// A module in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    module: usize,
    /// A matrix without bias is taken for an embedding's.
    table: bool,
}

/// The chain of `modules`, and what was guessed of it. `ordered`: they come in the order in which they were made.
pub fn chain(modules: Vec<Module>, ordered: bool, options: &Options) -> Result<(Chain, Vec<String>), ImportError> {
    let like = options.like.as_deref().map(description::load).transpose()?;
    if let Some(Output::Sequence(_)) = like.as_ref().map(|like| like.output) {
        return Err(ImportError::unsupported(
            "an encoder-decoder of PyTorch",
            "import its encoder and its decoder as two models, or train it here",
        ));
    }
    let layers = like.as_ref().map(|like| &like.layers[..]);
    let given = given(&modules, &options.order)?;
    let has_weights = |layer: &&LayerConfig| !matches!(layer, LayerConfig::Pool { .. } | LayerConfig::OneHot { .. });
    let with_weights: Option<Vec<&LayerConfig>> = layers.map(|layers| layers.iter().filter(has_weights).collect());
    let mut search = Search {
        modules: &modules,
        given: given.as_deref(),
        like: with_weights.as_deref(),
        found: Vec::new(),
        tried: 0,
    };
    search.go(&mut Vec::new(), None, 0);
    let ends_linear = |places: &&Vec<Place>| {
        places.last().is_some_and(|place| matches!(modules[place.module].kind, Kind::Linear { .. }))
    };
    let in_order = |places: &&Vec<Place>| ordered && places.windows(2).all(|pair| pair[0].module < pair[1].module);
    // As they were made, else with a linear layer at the end, as most networks have.
    let found = &search.found;
    let best = found.iter().find(in_order).or_else(|| found.iter().find(ends_linear)).or_else(|| found.first());
    let Some(places) = best.cloned() else {
        return Err(no_order(&modules, layers.is_some(), given.is_some(), search.tried > MAX_TRIED));
    };
    let orders = |places: &Vec<Place>| places.iter().map(|place| place.module).collect::<Vec<_>>();
    let several = found.iter().any(|other| orders(other) != orders(&places));

    let mut guesses = Vec::new();
    if given.is_none() && modules.len() > 1 && (several || layers.is_none()) {
        let names: Vec<&str> = places.iter().map(|place| name(&modules[place.module])).collect();
        let other = if several { "; other orders fit too: say it with --order" } else { "" };
        guesses.push(format!("the order of the modules is {}{other}", names.join(", ")));
    }
    let mut steps = steps(&modules, &places, layers, options, &mut guesses)?;
    let output = options.output.or(like.as_ref().map(|like| like.output));
    if output.is_none() {
        guesses.push("the network answers at every step (--answers last_step for the last one only)".to_owned());
    }
    let pooled = steps.iter().any(|step| matches!(step.op, Op::Pool(_)));
    if output == Some(Output::LastStep) && !pooled {
        // Linear layers after the last GRU see the last step alone.
        answer_once(&mut steps);
    }
    let mut chain = Chain { inputs: 0, window: 0, steps };
    chain.size_one_hot();
    chain.inputs = chain.first_inputs().unwrap_or(0);
    Ok((chain, guesses))
}

/// A module's name for people.
fn name(module: &Module) -> &str {
    if module.name.is_empty() { "the only module" } else { &module.name }
}

/// The modules in the order that `--order` says, if it does.
fn given(modules: &[Module], order: &[String]) -> Result<Option<Vec<usize>>, ImportError> {
    if order.is_empty() {
        return Ok(None);
    }
    let names = || modules.iter().map(|module| &*module.name).collect::<Vec<_>>().join(",");
    let index = |name: &String| modules.iter().position(|module| module.name == *name);
    let given: Option<Vec<usize>> = order.iter().map(index).collect();
    let each = |given: &Vec<usize>| given.len() == modules.len() && (0..modules.len()).all(|m| given.contains(&m));
    match given.filter(each) {
        Some(given) => Ok(Some(given)),
        None => Err(ImportError::Description(format!(
            "--order is {}, but must name each module once; the file has {}",
            order.join(","),
            names()
        ))),
    }
}

fn no_order(modules: &[Module], like: bool, given: bool, cut: bool) -> ImportError {
    let sizes: Vec<String> = modules
        .iter()
        .map(|module| {
            let sizes = match &module.kind {
                Kind::Gru(levels) => {
                    let first = levels.first().map_or(0, |level| level.sizes().0);
                    format!("GRU from {first} to {}", levels.last().map_or(0, |level| level.sizes().1))
                }
                Kind::Linear { weight, .. } => format!("linear or embedding {:?}", weight.shape),
                Kind::Norm(_) => "normalisation".to_owned(),
            };
            format!("{} ({sizes})", name(module))
        })
        .collect();
    let order = match (like, given) {
        (true, _) => "no order in which the modules are the network of --like",
        (false, true) => "the sizes do not fit in the order of --order",
        (false, false) => "no order in which the modules' sizes fit",
    };
    let order = if cut { format!("{order} among the first {MAX_TRIED}") } else { order.to_owned() };
    let fix = match given {
        true => "; save the modules that follow one another alone",
        false => "; say the order with --order NAME,NAME,…, or save the modules that follow one another alone",
    };
    ImportError::Description(format!("{order}: the file has {}{fix}", sizes.join(", ")))
}

/// A search for orders in which sizes fit, by depth, in the order of the file.
struct Search<'a> {
    modules: &'a [Module],
    given: Option<&'a [usize]>,
    /// The layers of the description that have weights.
    like: Option<&'a [&'a LayerConfig]>,
    found: Vec<Vec<Place>>,
    tried: usize,
}

impl Search<'_> {
    /// Goes on behind `path`, which gives `width` channels and has used so many `layers` of the description.
    fn go(&mut self, path: &mut Vec<Place>, width: Option<usize>, layers: usize) {
        self.tried += 1;
        if self.tried > MAX_TRIED {
            return;
        }
        if path.len() == self.modules.len() {
            if self.like.is_none_or(|like| like.len() == layers) {
                self.found.push(path.clone());
            }
            return;
        }
        for (index, module) in self.modules.iter().enumerate() {
            let next = self.given.is_none_or(|given| given[path.len()] == index);
            if !next || path.iter().any(|place| place.module == index) {
                continue;
            }
            for table in [true, false] {
                let place = Place { module: index, table };
                let Some((inputs, outputs)) = sizes(module, table, path.is_empty()) else { continue };
                // A normalisation has as many outputs as inputs, and says nothing of a layer.
                if width.is_some_and(|width| width != inputs) {
                    continue;
                }
                let Some(used) = self.described(module, table, layers) else { continue };
                path.push(place);
                self.go(path, Some(outputs), layers + used);
                path.pop();
            }
        }
    }

    /// How many layers of the description, from `layers` on, the module is; None if it is another.
    fn described(&self, module: &Module, table: bool, layers: usize) -> Option<usize> {
        let Some(like) = self.like else { return Some(0) };
        let mut rest = like.get(layers..)?.iter();
        match &module.kind {
            Kind::Gru(levels) => {
                for level in levels {
                    let (outputs, both) = (level.sizes().1, level.backward.is_some());
                    let same = |layer: &LayerConfig| match *layer {
                        LayerConfig::Gru { units, .. } => !both && usize::from(units) == outputs,
                        LayerConfig::Bidirectional { units, .. } => both && 2 * usize::from(units) == outputs,
                        _ => false,
                    };
                    rest.next().filter(|layer| same(layer))?;
                }
                Some(levels.len())
            }
            Kind::Linear { weight, .. } => {
                let fits = |units: u16, found: usize| units == 0 || usize::from(units) == found;
                let same = match **rest.next()? {
                    LayerConfig::Dense { units, .. } => !table && fits(units, weight.shape[0]),
                    LayerConfig::Embedding { vocabulary, units } => {
                        table && fits(vocabulary, weight.shape[0]) && fits(units, weight.shape[1])
                    }
                    _ => false,
                };
                same.then_some(1)
            }
            Kind::Norm(_) => Some(0),
        }
    }
}

/// Inputs and outputs of a module; None if it cannot be what `table` says.
fn sizes(module: &Module, table: bool, first: bool) -> Option<(usize, usize)> {
    match &module.kind {
        Kind::Gru(levels) if !table => Some((levels.first()?.sizes().0, levels.last()?.sizes().1)),
        Kind::Linear { weight, bias } => match table {
            true => (first && bias.is_none()).then_some((1, weight.shape[1])),
            false => Some((weight.shape[1], weight.shape[0])),
        },
        Kind::Norm(Step { op: Op::Scale { scale, .. }, .. }) if !table => Some((scale.len(), scale.len())),
        _ => None,
    }
}

/// The steps of the modules in their places, with the pools of the description.
fn steps(
    modules: &[Module],
    places: &[Place],
    layers: Option<&[LayerConfig]>,
    options: &Options,
    guesses: &mut Vec<String>,
) -> Result<Vec<Step>, ImportError> {
    let mut rest = layers.unwrap_or(&[]);
    let mut steps = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let module = &modules[place.module];
        match &module.kind {
            Kind::Norm(step) => {
                if let [LayerConfig::Pool { over: Pooling::Max }, ..] = rest {
                    guesses.push(format!("{} comes before the maximum over time", name(module)));
                }
                let mut after = take_activation(&mut steps);
                if after.is_some() {
                    guesses.push(format!("{} comes before the activation of the linear layer before it", name(module)));
                }
                if number + 1 == places.len() {
                    let last = options.activation.map(|activation| Activation::described(activation, HARD_SIGMOID));
                    after = last.or(after);
                }
                steps.push(step.clone());
                let activation =
                    |activation| Step { op: Op::Activation(activation), tensors: Vec::new(), ..step.clone() };
                steps.extend(after.map(activation));
            }
            Kind::Gru(levels) => {
                for level in levels {
                    if let Some(layer) = next_layer(&mut rest, &mut steps) {
                        same_variant(module, layer)?;
                    }
                    steps.push(level.step()?);
                }
            }
            Kind::Linear { weight, bias } => {
                let described = next_layer(&mut rest, &mut steps);
                if place.table {
                    if described.is_none() {
                        guesses.push(format!("{} is an embedding: it has no bias and fits as the first", name(module)));
                    }
                    steps.push(embedding(&module.name, weight)?);
                    continue;
                }
                let last = number + 1 == places.len();
                let activation = match (options.activation.filter(|_| last), described) {
                    (Some(activation), _) => activation,
                    (None, Some(LayerConfig::Dense { activation, .. })) => *activation,
                    _ => {
                        let fix =
                            if last { " (--activation NAME for another one)" } else { " (--like for another one)" };
                        guesses.push(format!("{} has no activation{fix}", name(module)));
                        spec::Activation::Linear
                    }
                };
                steps.push(linear(
                    &module.name,
                    weight,
                    bias.as_ref(),
                    Activation::described(activation, HARD_SIGMOID),
                )?);
            }
        }
    }
    next_layer(&mut rest, &mut steps);
    if options.activation.is_some() && !matches!(steps.last(), Some(Step { op: Op::Dense(_) | Op::Activation(_), .. }))
    {
        return Err(ImportError::Description(
            "--activation is that of a linear layer at the end, but there is none; leave it out".to_owned(),
        ));
    }
    Ok(steps)
}

/// The activation of a linear layer at the end of `steps`, which a normalisation behind it comes before, as in most networks.
fn take_activation(steps: &mut [Step]) -> Option<Activation> {
    let Some(Step { op: Op::Dense(dense), .. }) = steps.last_mut() else { return None };
    let activation = std::mem::replace(&mut dense.activation, Activation::Linear);
    (activation != Activation::Linear).then_some(activation)
}

/// The next layer of the description that has weights, if any; pools and one-hot layers before it become steps.
fn next_layer<'a>(rest: &mut &'a [LayerConfig], steps: &mut Vec<Step>) -> Option<&'a LayerConfig> {
    while let Some((layer, after)) = rest.split_first() {
        *rest = after;
        match layer {
            LayerConfig::Pool { over } => {
                steps.push(Step { name: "pool".to_owned(), op: Op::Pool(*over), tensors: Vec::new() });
            }
            LayerConfig::OneHot { vocabulary } => steps.push(one_hot(*vocabulary)),
            _ => return Some(layer),
        }
    }
    None
}

/// Whether the description's GRU is PyTorch's, of both directions or one.
fn same_variant(module: &Module, layer: &LayerConfig) -> Result<(), ImportError> {
    use {Candidate::Tanh, Gate::Sigmoid, Merge::Concat, Reset::After};
    match layer {
        LayerConfig::Gru { reset: After, gate: Sigmoid, candidate: Tanh, .. }
        | LayerConfig::Bidirectional { reset: After, gate: Sigmoid, candidate: Tanh, merge: Concat, .. } => Ok(()),
        _ => Err(ImportError::Description(format!(
            "{}: PyTorch's GRU has its reset gate after the matmul, sigmoid gates and tanh, and both directions side by side, \
             but --like says otherwise; leave reset, gate, candidate and merge out",
            name(module)
        ))),
    }
}
