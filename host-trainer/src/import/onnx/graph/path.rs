//! The way from the graph's input to its output, as a chain.

use super::{Link, MAX_STEPS, Made, Notes, Reader, Value};
use crate::import::ImportError;
use crate::import::chain::{Activation, Chain, Dense, Op, Step, transpose};
use crate::import::onnx::tensor::Budget;

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
        let grus = || path.iter().map(|&link| &self.links[link]).filter(|link| matches!(link.made, Made::Gru(_)));
        let single = self.roles.time.is_none();
        let continued = grus().any(|link| link.continued);
        // Such a graph forgets one state at every step and keeps another.
        if let Some(link) = grus().find(|link| single && continued && !link.continued) {
            return Err(ImportError::unsupported(
                format!("{}: a single step from a state of zeros beside another GRU's that is given", link.name),
                "give all of them an initial_h",
            ));
        }
        let budget = Budget::default();
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
            let name = "the only step".to_owned();
            chain.steps.push(Step { name, op: Op::LastStep, tensors: Vec::new() });
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
        Made::Gru(node) => {
            budget.take(&[3, node.hidden, node.inputs.saturating_add(node.hidden)])?;
            let (gru, origins) = node.layer()?;
            steps.push(step(Op::Gru(gru), origins));
        }
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

fn none() -> ImportError {
    ImportError::unsupported("a graph whose outputs do not depend on its inputs", "export the model with its input")
}
