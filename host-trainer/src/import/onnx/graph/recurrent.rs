//! The operator `GRU` among the data: which axis is which, and where its state comes from.

use std::rc::Rc;

use grulet::spec::Reset;

use super::directions::{self, Run, Taken, Way};
use super::{Data, Notes, Reader, Value};
use crate::import::ImportError;
use crate::import::onnx::axes::{Axis, Group, Id};
use crate::import::onnx::call::Call;
use crate::import::onnx::gru::{self, Direction};

impl<'a> Reader<'a> {
    pub(super) fn gru(&mut self, call: Call<'a>) -> Result<Vec<Value>, ImportError> {
        let input = |at: usize| call.node.input.get(at).map(|name| &**name).filter(|name| !name.is_empty());
        let required = |at: usize| input(at).ok_or_else(|| call.damaged("it has no X, W or R"));
        let data = match self.value(required(0)?)? {
            Value::Data(data) => self.settle(data.uncut(call)?)?,
            Value::Refused(reason) => return Ok(vec![Value::Refused(reason); 2]),
            _ => return Err(call.refuse("an X that is not the data", "let it follow an input or a layer")),
        };
        let mut weights = Vec::new();
        for at in 1..4 {
            weights.push(match input(at) {
                None => None,
                Some(name) => match self.value(name)? {
                    Value::Constant(array) => Some(array),
                    Value::Refused(reason) => return Ok(vec![Value::Refused(reason); 2]),
                    _ => {
                        return Err(call.refuse(
                            &format!("the weights {name:?} are no constants"),
                            "export the model for inference, with its weights",
                        ));
                    }
                },
            });
        }
        let bias = weights.pop().flatten();
        let (Some(recurrent), Some(kernel)) = (weights.pop().flatten(), weights.pop().flatten()) else {
            return Err(call.damaged("it has no X, W or R"));
        };
        let mut notes = Notes::default();
        let after = self.linear_before_reset(call, &mut notes)?;
        let reset = if after { Reset::After } else { Reset::Before };
        let gru = gru::Node::new(call, reset, kernel, recurrent, bias)?;
        self.lengths(call, &data, input(4), &mut notes)?;
        let continued = self.initial(call, &data, input(5), &mut notes)?;

        if data.dims.len() != 3 {
            return Err(call.damaged(&format!("X of {} dimensions, not 3", data.dims.len())));
        }
        let (time, batch) = if gru.batch_first { (1, 0) } else { (0, 1) };
        self.channels(call, &data, 2, gru.inputs)?;
        self.steps(call, &data.dims[time], &data.dims[batch])?;
        if continued && gru.directions.contains(&Direction::Reverse) {
            return Err(call.refuse(
                "a direction that reads from the end, from a state that is given",
                "let it start from zeros: each series is read as a whole",
            ));
        }
        let (hidden, channel) = Self::outputs_of(gru.hidden);
        let (steps, series) = (data.dims[time].clone(), data.dims[batch].clone());
        // Y is (T, D, B, H) or (B, T, D, H), Y_h is (D, B, H) or (B, D, H).
        let of = |first: &Group, second: &Group, third: &Group| {
            vec![first.clone(), second.clone(), third.clone(), hidden.clone()]
        };
        let directions = directions::axis(gru.directions.len());
        let all = if gru.batch_first { of(&series, &steps, &directions) } else { of(&steps, &directions, &series) };
        let state = if gru.batch_first { [series, directions] } else { [directions, series] };
        let state = [&state[..], std::slice::from_ref(&hidden)].concat();

        let (width, count) = (Some(gru.hidden), gru.directions.len());
        let run = Rc::new(Run { node: gru, before: data.clone(), notes, continued });
        let ways = |taken: Taken| (0..count).map(|at| Way { run: Rc::clone(&run), at, taken }).collect::<Vec<_>>();
        let y = Data { dims: all, channel, width, ways: ways(Taken::All), state: false, ..data.clone() };
        let y_h = Data { dims: state, channel, width, ways: ways(Taken::End), state: true, ..data };
        Ok(vec![Value::Data(y), Value::Data(y_h)])
    }

    /// That the first dimension of `X` is the steps, the second the series.
    fn steps(&mut self, call: Call<'a>, time: &Group, batch: &Group) -> Result<(), ImportError> {
        let swapped = |what: &str| {
            call.refuse(what, "transpose the data so that the GRU's steps are the same axis everywhere; see its layout")
        };
        match &time[..] {
            [] => {}
            [axis] => match self.roles.time {
                None if !self.second => self.roles.time = Some(*axis),
                Some(known) if known.id == axis.id => {}
                _ => return Err(swapped("its steps are another axis than those of the GRU before it")),
            },
            _ => return Err(swapped("its steps are several axes of the data")),
        }
        let channel = |axis: &Axis| axis.id == Id::Channel;
        if batch.iter().any(|axis| channel(axis) || self.roles.time.is_some_and(|time| time.id == axis.id)) {
            return Err(swapped("its series are the steps or channels of the data"));
        }
        Ok(())
    }

    fn linear_before_reset(&self, call: Call<'a>, notes: &mut Notes) -> Result<bool, ImportError> {
        let said = call.attribute("linear_before_reset").map(|attribute| attribute.i);
        let own = match said {
            None | Some(0) => false,
            Some(1) => true,
            Some(other) => return Err(call.damaged(&format!("linear_before_reset = {other}"))),
        };
        match (self.linear_before_reset, self.pytorch) {
            (Some(told), _) if told != own => notes.skipped.push(format!(
                "{}: linear_before_reset = {} of the file, as --linear-before-reset {} says otherwise",
                call.name(),
                u8::from(own),
                u8::from(told)
            )),
            (None, Some(version)) if !own => notes.guesses.push(format!(
                "{}: linear_before_reset = 0, as the file has it; but every GRU of PyTorch computes with 1, and files of \
                 torch 2.10 with onnxscript 0.6.2 lack it by mistake (this one is of torch {version}): the right option is \
                 almost certainly --linear-before-reset 1",
                call.name()
            )),
            _ => {}
        }
        Ok(self.linear_before_reset.unwrap_or(own))
    }

    fn lengths(
        &mut self,
        call: Call<'a>,
        data: &Data,
        name: Option<&'a str>,
        notes: &mut Notes,
    ) -> Result<(), ImportError> {
        let Some(name) = name else { return Ok(()) };
        let value = self.value(name)?;
        let input = self.fed.get(name).is_some_and(|&input| input != data.root);
        if !(input || matches!(value, Value::Constant(_) | Value::Fill(_) | Value::Dims { .. })) {
            return Err(call.refuse("sequence_lens that are computed", "let them be an input, or leave them out"));
        }
        // Fixed ones are those of whole series, or another network.
        let steps = data.dims.first().and_then(|time| match time[..] {
            [] => Some(1),
            [axis] => axis.size,
            _ => None,
        });
        let fixed = match &value {
            Value::Constant(array) => Some(array.uniform()),
            Value::Fill(value) => Some(Some(*value)),
            _ => None,
        };
        if fixed.is_some_and(|fixed| fixed.is_none() || fixed != steps.map(|steps| steps as f32)) {
            return Err(call.refuse(
                "sequence_lens that are fixed and not the number of steps",
                "let them be an input, or leave them out",
            ));
        }
        notes.skipped.push(format!("{}: sequence_lens {name:?}: a series ends where its samples end", call.name()));
        Ok(())
    }

    /// Whether its state comes from outside, where it is not zero.
    fn initial(
        &mut self,
        call: Call<'a>,
        data: &Data,
        name: Option<&'a str>,
        notes: &mut Notes,
    ) -> Result<bool, ImportError> {
        let Some(name) = name else { return Ok(false) };
        let value = self.value(name)?;
        if let Value::Fill(0.0) = value {
            return Ok(false);
        }
        if let Value::Constant(array) = &value
            && array.uniform() == Some(0.0)
        {
            return Ok(false);
        }
        if self.fed.get(name).is_some_and(|&input| input != data.root) {
            notes.skipped.push(format!("{}: initial_h {name:?}: a stream keeps its state by itself", call.name()));
            return Ok(true);
        }
        Err(match value {
            Value::Data(data) if !data.is_input() => call.refuse(
                "it starts from a state that is computed",
                "an encoder-decoder is imported from its .keras file; a stream's state can be set by hand",
            ),
            _ => call.refuse(
                "it starts from a state that is not zero",
                "let it start from zeros or from an input of the graph, and set the stream's state by hand",
            ),
        })
    }
}
