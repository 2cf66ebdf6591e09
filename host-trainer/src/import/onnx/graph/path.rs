//! The way from the graph's input to its output, as a chain.

use super::directions::{Merged, Taken};
use super::{Link, MAX_STEPS, Made, Notes, Reader, Value};
use crate::import::ImportError;
use crate::import::budget::Budget;
use crate::import::chain::{Activation, Chain, Dense, Op, Step, answer_once, both_directions, part_of, transpose};
use crate::import::onnx::gru::Direction;
use crate::import::onnx::tensor::MAX_ELEMENTS;

impl Reader<'_> {
    /// The chain that leads to the graph's output.
    pub(super) fn chain(mut self) -> Result<(Chain, Notes), ImportError> {
        let mut notes = Notes::default();
        let (mut found, mut states) = (Vec::new(), Vec::new());
        for output in &self.graph.output {
            match self.value(&output.name)? {
                Value::Data(data) if data.state => states.push((&*output.name, data)),
                Value::Data(data) => found.push((&*output.name, data)),
                Value::States => {
                    notes.skipped.push(format!("the output {:?}: a stream keeps its states by itself", output.name));
                }
                Value::Refused(reason) => return Err(ImportError::unsupported(&*reason.0, &*reason.1)),
                _ => notes.skipped.push(format!("the output {:?}: it does not depend on the data", output.name)),
            }
        }
        if found.is_empty() {
            // The model's output is a last state.
            found.append(&mut states);
        }
        notes
            .skipped
            .extend(states.iter().map(|(name, _)| format!("the output {name:?}: a stream keeps its states by itself")));
        let ((_, data), true) = (found.first().ok_or_else(none)?, found.len() == 1) else {
            let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
            return Err(ImportError::unsupported(
                format!("a model with the outputs {}", names.join(", ")),
                "export it with the one that the chip is to give",
            ));
        };
        let data = self.settle(data.clone())?;
        let mut path = Vec::new();
        let mut at = data.link;
        while let Some(link) = at {
            if path.len() == MAX_STEPS {
                return Err(ImportError::TooMany {
                    what: "steps of the graph".to_owned(),
                    found: self.links.len(),
                    max: MAX_STEPS,
                    fix: "use fewer layers",
                });
            }
            path.push(link);
            at = self.links[link].before;
        }
        path.reverse();
        if !path.iter().any(|&link| matches!(self.links[link].made, Made::Gru(_))) {
            return Err(ImportError::unsupported(
                "a graph without a GRU operator",
                "export it again with a real GRU operator, or import the .keras or .pt file",
            ));
        }
        let grus = || {
            path.iter().map(|&link| &self.links[link]).filter_map(|link| match &link.made {
                Made::Gru(gru) => Some((&link.name, gru)),
                _ => None,
            })
        };
        let single = self.roles.time.is_none();
        let continued = grus().any(|(_, gru)| gru.continued());
        // Such a graph forgets one state at every step and keeps another.
        if let Some((name, _)) = grus().find(|(_, gru)| single && continued && !gru.continued()) {
            return Err(ImportError::unsupported(
                format!("{name}: a single step from a state of zeros beside another GRU's that is given"),
                "give all of them an initial_h",
            ));
        }
        if let Some((name, _)) = grus().find(|(_, gru)| continued && gru.reads_from_the_end()) {
            return Err(ImportError::unsupported(
                format!("{name}: a GRU that reads a series from its end beside one whose state is given"),
                "let all of them start from zeros: each series is read as a whole",
            ));
        }
        let budget = Budget::of(MAX_ELEMENTS);
        let mut chain = Chain { inputs: 0, window: 0, steps: Vec::new() };
        for &link in &path {
            let link = &self.links[link];
            notes.skipped.extend_from_slice(&link.notes.skipped);
            notes.guesses.extend_from_slice(&link.notes.guesses);
            append(&mut chain.steps, link, &budget)?;
        }
        chain.window = self.roles.time.and_then(|time| time.size).unwrap_or(0);
        if single && !continued {
            // Each series is one step from a state of zeros: a window of its own.
            chain.window = 1;
            answer_once(&mut chain.steps);
        }
        let width = self.roles.channels.get(&data.root).map(|&(_, width)| width);
        chain.inputs = chain.first_inputs().or(width).ok_or_else(none)?;
        Ok((chain, notes))
    }
}

/// Adds a step to `steps`, or to the one before if it is its bias.
fn append(steps: &mut Vec<Step>, link: &Link, budget: &Budget) -> Result<(), ImportError> {
    let step = |op, tensors| Step { name: link.name.clone(), op, tensors };
    match &link.made {
        Made::Op(op) => steps.push(step(op.clone(), link.origins.clone())),
        Made::Gru(gru) => steps.extend(layers(&link.name, gru, budget)?),
        Made::MatMul { kernel, transposed, factor } => {
            budget.take(&kernel.shape)?;
            let mut data = kernel.reals();
            let columns = kernel.shape[kernel.shape.len() - 1];
            let rows = data.len() / columns;
            if *transposed {
                data = transpose(&data, columns);
            }
            if *factor != 1.0 {
                data.iter_mut().for_each(|weight| *weight *= factor);
            }
            let (inputs, outputs) = if *transposed { (columns, rows) } else { (rows, columns) };
            let bias = vec![0.0; outputs];
            let dense = Dense { inputs, outputs, activation: Activation::Linear, kernel: data, bias };
            steps.push(step(Op::Dense(dense), link.origins.clone()));
        }
        Made::Bias { offset } => match steps.last_mut() {
            Some(Step { op: Op::Dense(dense), tensors, .. })
                if dense.activation == Activation::Linear && tensors.iter().all(|origin| origin.part != "bias") =>
            {
                dense.bias = offset.iter().map(|&offset| offset as f32).collect();
                tensors.extend(link.origins.iter().cloned());
            }
            _ => {
                let mut origins = link.origins.clone();
                origins.iter_mut().for_each(|origin| origin.part = "");
                let op = Op::Scale { scale: vec![1.0; offset.len()], offset: offset.clone() };
                steps.push(step(op, origins));
            }
        },
    }
    Ok(())
}

/// What a GRU becomes, of one direction or of both.
fn layers(name: &str, merged: &Merged, budget: &Budget) -> Result<Vec<Step>, ImportError> {
    let mut found = Vec::new();
    for way in &merged.ways {
        let node = &way.run.node;
        budget.take(&[3, node.hidden, node.inputs.saturating_add(node.hidden)])?;
        let (gru, tensors) = node.direction(way.at);
        found.push((Step { name: name.to_owned(), op: Op::Gru(gru), tensors }, way.direction()));
    }
    let last = merged.ways.iter().any(|way| way.taken == Taken::End);
    let mut found = found.into_iter();
    let steps = match (found.next(), found.next()) {
        (Some((forward, _)), Some((backward, _))) => {
            both_directions(forward, backward, merged.merge, last).into_iter().collect()
        }
        (Some((Step { op: Op::Gru(gru), mut tensors, .. }, Direction::Reverse)), None) => {
            tensors.iter_mut().for_each(|origin| origin.part = part_of(origin.part, true));
            vec![Step { name: name.to_owned(), op: Op::backwards(gru, last), tensors }]
        }
        (forward, _) => {
            let ends = Step { name: name.to_owned(), op: Op::LastStep, tensors: Vec::new() };
            forward.map(|(step, _)| step).into_iter().chain(last.then_some(ends)).collect()
        }
    };
    Ok(steps)
}

fn none() -> ImportError {
    ImportError::unsupported("a graph whose outputs do not depend on its inputs", "export the model with its input")
}
