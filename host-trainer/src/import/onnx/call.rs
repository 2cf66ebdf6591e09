//! One operator of the graph: its name, its attributes, and arguments that are an attribute or an input by version.

use super::proto;
use crate::import::ImportError;

/// An operator.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// As it is in the file.
    pub node: &'a proto::Node,
}

impl<'a> Call<'a> {
    /// The operator's kind.
    pub fn op(&self) -> &'a str {
        &self.node.op_type
    }

    /// The operator's own name, else what it computes.
    pub fn name(&self) -> String {
        match (&*self.node.name, self.node.output.iter().find(|output| !output.is_empty())) {
            ("", Some(output)) => output.clone(),
            ("", None) => self.op().to_owned(),
            (name, _) => name.to_owned(),
        }
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&'a proto::Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// A whole number.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// A float.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    /// Whole numbers.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| &attribute.ints[..])
    }

    /// Not supported: this operator in some respect.
    pub fn refuse(&self, what: &str, instead: &str) -> ImportError {
        ImportError::unsupported(format!("{} ({}): {what}", self.name(), self.op()), instead)
    }

    /// Not allowed by the format.
    pub fn damaged(&self, what: &str) -> ImportError {
        ImportError::Damaged(format!("{} ({}): {what}", self.name(), self.op()))
    }

    /// A dimension of `rank`, where negative ones count from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let wrapped = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let found = wrapped.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
        found.ok_or_else(|| self.damaged(&format!("the axis {axis} of {rank} dimensions")))
    }

    /// Several of those, sorted, each once.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, ImportError> {
        if axes.len() > rank {
            return Err(self.damaged("more axes than dimensions"));
        }
        let mut found = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        if found.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(self.damaged("the same axis twice"));
        }
        Ok(found)
    }

    /// The order of a `Transpose`; reversed unless given.
    pub fn permutation(&self, rank: usize) -> Result<Vec<usize>, ImportError> {
        let Some(order) = self.ints("perm") else { return Ok((0..rank).rev().collect()) };
        let order = order.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted.into_iter().eq(0..rank) { Ok(order) } else { Err(self.damaged("an order that is none")) }
    }
}

/// A slice of one dimension as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Which dimension.
    pub axis: usize,
    /// The first place; negative ones count from the end.
    pub start: i64,
    /// The place after the last.
    pub end: i64,
    /// From each to the next.
    pub step: i64,
}

impl Cut {
    /// The places of `size` that it takes.
    pub fn places(&self, size: usize) -> Vec<usize> {
        let size = size as i64;
        let wrap = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
        let (low, high) = if self.step < 0 { (-1, size - 1) } else { (0, size) };
        let (start, end) = (wrap(self.start).clamp(low, high), wrap(self.end).clamp(low, high));
        let mut places = Vec::new();
        let mut place = start;
        while if self.step < 0 { place > end } else { place < end } {
            places.push(place as usize);
            place = place.saturating_add(self.step);
        }
        places
    }
}
