//! What the directions of GRUs give, side by side until something is computed from it.
//!
//! `Y` and `Y_h` have an axis of directions, [`Id::Direction`]; exporters put the states of several layers together along
//! it. Arranged and taken apart, such data stay a list of [`Way`]s in the order of this axis, which is gone when one way is
//! left. What computes with them needs one step of the chain: a way by itself, or both directions of a series merged.

use std::rc::Rc;

use grulet::spec::Merge;

use super::{Data, Inputs, Link, Made, Notes, Reader, Value};
use crate::import::ImportError;
use crate::import::chain::merged;
use crate::import::onnx::axes::{Axis, Group, Id};
use crate::import::onnx::call::Call;
use crate::import::onnx::gru::{self, Direction};

/// Ways of the longest list.
const MAX_WAYS: usize = 64;

/// What to do in place of other parts of what directions give.
const ENDS: &str = "take the states that its directions end in (Y_h, PyTorch's h_n), or pool over the steps";

/// A `GRU` of the graph, and what it reads.
pub struct Run {
    pub node: gru::Node,
    pub before: Data,
    pub notes: Notes,
    /// Whether its state comes from outside.
    pub continued: bool,
}

/// Which steps of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// All of them, in the order of the series.
    All,
    /// The one that it reads last: the state that it ends in.
    End,
    /// The one that it reads first.
    Start,
}

/// What one direction of a `GRU` gives.
#[derive(Clone)]
pub struct Way {
    pub run: Rc<Run>,
    /// Which of its directions.
    pub at: usize,
    pub taken: Taken,
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.run, &other.run) && (self.at, self.taken) == (other.at, other.taken)
    }
}

impl Way {
    pub fn direction(&self) -> Direction {
        self.run.node.directions[self.at]
    }

    /// What is left of all steps, if it is the first or the last one of the series.
    fn step(self, last: bool) -> Self {
        let end = last == (self.direction() == Direction::Forward);
        Self { taken: if end { Taken::End } else { Taken::Start }, ..self }
    }

    fn refuse(&self, what: &str, instead: &str) -> ImportError {
        ImportError::unsupported(format!("{} (GRU): {what}", self.run.node.name), instead)
    }
}

/// A step of the chain: a way by itself, or forward and reverse over the same series, merged.
#[derive(Clone, PartialEq)]
pub struct Merged {
    /// One, or the forward one and the reverse one.
    pub ways: Vec<Way>,
    /// What becomes of two.
    pub merge: Merge,
}

/// The axis of so many directions; none if there is one.
pub fn axis(ways: usize) -> Group {
    if ways == 1 { Group::new() } else { vec![Axis { id: Id::Direction, size: Some(ways) }] }
}

/// Whether a dimension runs through directions.
pub fn runs_through(group: &Group) -> bool {
    group.iter().any(|axis| axis.id == Id::Direction)
}

impl Data {
    /// Whether they are an input of the graph, at most arranged anew.
    /// The data, if they are what went into the graph and not cut to whole numbers.
    pub(super) fn uncut(self, call: Call<'_>) -> Result<Self, ImportError> {
        if self.cut {
            return Err(call
                .refuse("real numbers that are cut to whole ones", "keep the data in float32, or let them be tokens"));
        }
        Ok(self)
    }

    pub(super) fn is_input(&self) -> bool {
        self.link.is_none() && self.ways.is_empty()
    }

    /// The first step of the series, or the last, from data that are not merged yet.
    pub(super) fn step(self, dim: usize, last: bool) -> Self {
        let (mut dims, ways) = (self.dims, self.ways.into_iter().map(|way| way.step(last)).collect());
        dims[dim] = Group::new();
        Self { dims, ways, ..self }
    }

    /// The `places` of a dimension that runs through directions: whole directions alone.
    pub(super) fn take(mut self, call: Call<'_>, dim: usize, places: &[usize]) -> Result<Self, ImportError> {
        let partial = || call.refuse("some outputs of a direction", "take all outputs of a direction, or of both");
        let [Axis { id: Id::Direction, .. }, rest @ ..] = &self.dims[dim][..] else { return Err(partial()) };
        let size = rest.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.size?));
        let fits = |&size: &usize| size > 0 && !places.is_empty() && places.len().div_ceil(size) <= MAX_WAYS;
        let size = size.filter(fits).ok_or_else(partial)?;
        let mut ways = Vec::new();
        for some in places.chunks(size) {
            let start = some[0];
            let whole = start.is_multiple_of(size) && some.iter().copied().eq(start..start.saturating_add(size));
            ways.push(self.ways.get(start / size).filter(|_| whole).ok_or_else(partial)?.clone());
        }
        self.dims[dim] = [&axis(ways.len())[..], rest].concat();
        Ok(Self { ways, ..self })
    }
}

impl<'a> Reader<'a> {
    /// Operators that put directions together or merge them; nothing if it is none of those.
    pub(super) fn directions(&mut self, call: Call<'a>, inputs: &Inputs) -> Result<Option<Vec<Value>>, ImportError> {
        let data: Option<Vec<Data>> = (0..inputs.values.len()).map(|at| inputs.data(at)).collect();
        let data = data.filter(|data| data.iter().all(|data| !data.ways.is_empty())).unwrap_or_default();
        let merge = match call.op() {
            "Concat" if data.len() > 1 => {
                let found = stacked(&data, call.axis(call.int("axis", 0), data[0].dims.len())?);
                return Ok(found.map(|data| vec![Value::Data(data)]));
            }
            "Add" | "Sum" | "ReduceSum" => Merge::Sum,
            "Mul" | "ReduceProd" => Merge::Mul,
            "Mean" | "ReduceMean" => Merge::Ave,
            _ => return Ok(None),
        };
        let both = if call.op().starts_with("Reduce") { reduced(call, inputs)? } else { pair(&data) };
        let Some(mut both) = both else { return Ok(None) };
        let ways = std::mem::take(&mut both.ways);
        Ok(Some(vec![Value::Data(self.merge(ways, merge, both)?)]))
    }

    /// The data as the output of one step.
    ///
    /// # Errors
    /// If they are neither one way nor the two of a series, as outputs side by side.
    pub(super) fn settle(&mut self, mut data: Data) -> Result<Data, ImportError> {
        let ways = std::mem::take(&mut data.ways);
        let [first, others @ ..] = &ways[..] else { return Ok(data) };
        if !others.is_empty() {
            let width = data.width.unwrap_or(0);
            let channel: Group = if width == 1 { Group::new() } else { Self::outputs_of(width).0 };
            let side = [&axis(ways.len())[..], &channel].concat();
            let places = data.dims.iter().enumerate().flat_map(|(dim, group)| {
                let at = group.windows(side.len()).position(|axes| axes == side);
                at.map(|at| (dim, at))
            });
            let Some((dim, at)) = places.last() else {
                return Err(first.refuse(
                    "directions that are neither merged nor outputs side by side",
                    "let outputs of one direction follow those of the other, as (…, 2·hidden), or add them",
                ));
            };
            let (group, channel) = Self::outputs_of(merged(width, Merge::Concat));
            data.dims[dim].splice(at..at + side.len(), group);
            (data.channel, data.width) = (channel, Some(merged(width, Merge::Concat)));
        }
        self.merge(ways, Merge::Concat, data)
    }

    /// One way, or two merged, as a step whose outputs are `like` these data.
    fn merge(&mut self, mut ways: Vec<Way>, merge: Merge, like: Data) -> Result<Data, ImportError> {
        for way in &ways {
            match (way.taken, way.direction()) {
                (Taken::Start, Direction::Reverse) => {
                    return Err(
                        way.refuse("the last step of the reverse direction, at which it has read one step,", ENDS)
                    );
                }
                (Taken::Start, Direction::Forward) => {
                    return Err(way.refuse("the first step of the forward direction", ENDS));
                }
                _ => {}
            }
        }
        if let [first, second] = &mut ways[..] {
            let (before, other) = (&first.run.before, &second.run.before);
            let alike = (before.link, before.root, first.taken) == (other.link, other.root, second.taken);
            let instead = "merge a forward and a reverse GRU over the same series, or build a chain of layers";
            if !alike || first.direction() == second.direction() {
                return Err(first.refuse(&format!("outputs that meet those of {}", second.run.node.name), instead));
            }
            if first.direction() == Direction::Reverse {
                if merge == Merge::Concat {
                    return Err(
                        first.refuse("outputs of the reverse direction before the forward one's", "put forward first")
                    );
                }
                std::mem::swap(first, second);
            }
        } else if let [first, _, ..] = &ways[..] {
            return Err(first.refuse("states of several layers side by side", "take the last layer's alone"));
        }
        let (before, name) =
            ways.first().map_or((None, String::new()), |way| (way.run.before.link, way.run.node.name.clone()));
        let found = Merged { ways, merge };
        // The same data are the same step, whoever uses them.
        let same = |link: &Link| matches!(&link.made, Made::Gru(other) if *other == found);
        let link = match self.links.iter().position(same) {
            Some(link) => link,
            None => {
                let (made, notes) = (Made::Gru(found.clone()), found.notes());
                self.links.push(Link { before, name, made, origins: Vec::new(), notes });
                self.links.len() - 1
            }
        };
        Ok(Data { link: Some(link), ways: Vec::new(), ..like })
    }
}

impl Merged {
    /// Whether a GRU's state comes from outside.
    pub fn continued(&self) -> bool {
        self.ways.iter().any(|way| way.run.continued)
    }

    /// Whether one reads from the end.
    pub fn reads_from_the_end(&self) -> bool {
        self.ways.iter().any(|way| way.direction() == Direction::Reverse)
    }

    /// What is to be said of its GRUs, once of each.
    fn notes(&self) -> Notes {
        let mut notes = Notes::default();
        for (at, way) in self.ways.iter().enumerate() {
            if !self.ways[..at].iter().any(|other| Rc::ptr_eq(&other.run, &way.run)) {
                notes.skipped.extend_from_slice(&way.run.notes.skipped);
                notes.guesses.extend_from_slice(&way.run.notes.guesses);
            }
        }
        notes
    }
}

/// Two ways of the same shape, as the dimensions of what becomes of them.
fn pair(data: &[Data]) -> Option<Data> {
    let [first, second] = data else { return None };
    let fits = first.dims == second.dims && (first.ways.len(), second.ways.len()) == (1, 1);
    fits.then(|| Data { ways: [&first.ways[..], &second.ways].concat(), ..first.clone() })
}

/// The two ways of data that are reduced over their directions alone, as the dimensions of what becomes of them.
fn reduced(call: Call<'_>, inputs: &Inputs) -> Result<Option<Data>, ImportError> {
    let Some(mut data) = inputs.data(0).filter(|data| data.ways.len() == 2) else { return Ok(None) };
    let axes = inputs.ints(1).or_else(|| call.ints("axes").map(<[i64]>::to_vec)).unwrap_or_default();
    let &[at] = &axes[..] else { return Ok(None) };
    let at = call.axis(at, data.dims.len())?;
    if data.dims[at] != axis(2) {
        return Ok(None);
    }
    data.dims.splice(at..=at, (call.int("keepdims", 1) != 0).then(Group::new));
    Ok(Some(data))
}

/// Data put together along `dim`, of which each may run through directions and then through channels.
fn stacked(data: &[Data], dim: usize) -> Option<Data> {
    let first = data.first()?;
    let rest =
        |data: &Data| -> Group { data.dims[dim].iter().skip_while(|axis| axis.id == Id::Direction).copied().collect() };
    for one in data {
        let others = |data: &Data| [&data.dims[..dim], &data.dims[dim + 1..]].concat();
        let fits = one.dims.len() == first.dims.len()
            && one.width == first.width
            && others(one) == others(first)
            && !others(one).iter().any(runs_through)
            && rest(one) == rest(first);
        if !fits {
            return None;
        }
    }
    let ways: Vec<Way> = data.iter().flat_map(|data| data.ways.iter().cloned()).collect();
    let known = match &rest(first)[..] {
        [] => true,
        [axis] => axis.id == Id::Channel,
        _ => false,
    };
    if !known || ways.len() > MAX_WAYS {
        return None;
    }
    let mut found = first.clone();
    found.dims[dim] = [axis(ways.len()), rest(first)].concat();
    found.state = data.iter().all(|data| data.state);
    Some(Data { ways, ..found })
}

#[cfg(test)]
mod tests;
