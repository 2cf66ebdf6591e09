//! Which axis of the data is which, and whether an operator only arranges them anew.
//!
//! Each dimension of a value is a list of the axes that it runs through, outermost first: `[T] [B] [H]`, or `[T, B] [H]`
//! when the first two have been merged. Axes of size 1 are left out, as they may be put anywhere: `(T, 1, B, H)` is
//! `[T] [] [B] [H]`. If a reshape only draws the borders between dimensions anew, then it changes no value's place.

/// What an axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// A dimension of an input of the graph.
    Input {
        /// Which input.
        input: usize,
        /// Which dimension of it.
        dim: usize,
    },
    /// The directions of a GRU, or of several.
    Direction,
    /// The outputs of a layer.
    Channel,
}

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// What it is.
    pub id: Id,
    /// Its size, where the file fixes it.
    pub size: Option<usize>,
}

/// The axes that a dimension runs through; none for a dimension of size 1.
pub type Group = Vec<Axis>;

/// A dimension of a shape that is computed in the graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Dim {
    /// A number.
    Known(i64),
    /// The product of these axes' sizes.
    Of(Group),
    /// Something else.
    Unknown,
}

impl Dim {
    /// The size of a dimension.
    pub fn of(group: &Group) -> Self {
        let size = group.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.size?));
        match size.and_then(|size| i64::try_from(size).ok()) {
            Some(size) => Dim::Known(size),
            None => Dim::Of(group.clone()),
        }
    }

    /// The product of two.
    pub fn times(&self, other: &Self) -> Self {
        match (self, other) {
            (Dim::Known(a), Dim::Known(b)) => a.checked_mul(*b).map_or(Dim::Unknown, Dim::Known),
            (Dim::Known(1), dim) | (dim, Dim::Known(1)) => dim.clone(),
            (Dim::Of(a), Dim::Of(b)) => Dim::Of([&a[..], b].concat()),
            _ => Dim::Unknown,
        }
    }
}

/// `groups` in the shape `target`, if that only draws the borders anew. -1 is what is left; 0 is the dimension as it is,
/// unless `zero` says that it is a size.
pub fn regroup(groups: &[Group], target: &[Dim], zero: bool) -> Option<Vec<Group>> {
    let copied = |(at, dim): (usize, &Dim)| match dim {
        Dim::Known(0) if !zero => groups.get(at).cloned().map(Dim::Of),
        other => Some(other.clone()),
    };
    let target = target.iter().enumerate().map(copied).collect::<Option<Vec<_>>>()?;
    let axes = groups.concat();
    let mut axes = &axes[..];
    let open = target.iter().position(|dim| *dim == Dim::Known(-1));
    let (before, after) = target.split_at(open.unwrap_or(target.len()));
    let mut found = Vec::new();
    for dim in before {
        let count = reach(axes.iter(), dim)?;
        let (taken, rest) = axes.split_at(count);
        found.push(taken.to_vec());
        axes = rest;
    }
    if open.is_none() {
        return axes.is_empty().then_some(found);
    }
    let mut last = Vec::new();
    for dim in after[1..].iter().rev() {
        let count = reach(axes.iter().rev(), dim)?;
        let (rest, taken) = axes.split_at(axes.len() - count);
        last.push(taken.to_vec());
        axes = rest;
    }
    found.push(axes.to_vec());
    found.extend(last.into_iter().rev());
    Some(found)
}

/// How many of `axes` make up `dim`.
fn reach<'a>(axes: impl Iterator<Item = &'a Axis>, dim: &Dim) -> Option<usize> {
    match dim {
        Dim::Known(size) => {
            let size = usize::try_from(*size).ok().filter(|&size| size > 0)?;
            let (mut product, mut count) = (1usize, 0);
            for axis in axes {
                if product >= size {
                    break;
                }
                product = product.checked_mul(axis.size?)?;
                count += 1;
            }
            (product == size).then_some(count)
        }
        Dim::Of(group) => {
            let found: Vec<_> = axes.take(group.len()).collect();
            // From the back they come in the other order.
            let alike = found.iter().copied().eq(group) || found.iter().rev().copied().eq(group);
            alike.then_some(group.len())
        }
        Dim::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Axis = Axis { id: Id::Input { input: 0, dim: 1 }, size: Some(6) };
    const B: Axis = Axis { id: Id::Input { input: 0, dim: 0 }, size: None };
    const H: Axis = Axis { id: Id::Channel, size: Some(8) };

    fn known(sizes: &[i64]) -> Vec<Dim> {
        sizes.iter().map(|&size| Dim::Known(size)).collect()
    }

    #[test]
    fn borders_may_be_drawn_anew() {
        let y = [vec![T], vec![B], vec![], vec![H]];
        assert_eq!(regroup(&y, &known(&[0, 0, -1]), false).unwrap(), [vec![T], vec![B], vec![H]]);
        assert_eq!(regroup(&y, &known(&[6, -1, 8]), false).unwrap(), [vec![T], vec![B], vec![H]]);
        assert_eq!(regroup(&y, &known(&[-1, 8]), false).unwrap(), [vec![T, B], vec![H]]);
        let target = [Dim::Known(1), Dim::Known(6), Dim::Of(vec![B]), Dim::Known(8)];
        assert_eq!(regroup(&y, &target, false).unwrap(), [vec![], vec![T], vec![B], vec![H]]);
        let merged = [vec![T, B], vec![H]];
        assert_eq!(regroup(&merged, &known(&[6, -1, 8]), false).unwrap(), [vec![T], vec![B], vec![H]]);
    }

    #[test]
    fn nothing_is_cut_nor_guessed() {
        let y = [vec![T], vec![B], vec![H]];
        for target in [&[-1, 4][..], &[3, -1, 8], &[6, 5, 8], &[6, -1], &[6, 8], &[-1, -1, 8], &[-2, 8], &[0, -1, 0, 8]]
        {
            let found = regroup(&y, &known(target), false);
            assert!(
                found.as_ref().is_none_or(|found| target == [6, -1] && found[1] == [B, H]),
                "{target:?}: {found:?}"
            );
        }
        assert!(regroup(&y, &known(&[0, 0, 8]), true).is_none());
        assert!(regroup(&y, &[Dim::Unknown, Dim::Known(-1), Dim::Known(8)], false).is_none());
        assert!(regroup(&y, &[Dim::Of(vec![B]), Dim::Known(-1), Dim::Known(8)], false).is_none());
    }

    #[test]
    fn sizes_are_multiplied_where_they_can_be() {
        assert_eq!(Dim::of(&vec![T, H]), Dim::Known(48));
        assert_eq!(Dim::Of(vec![B]).times(&Dim::Known(1)), Dim::Of(vec![B]));
        assert_eq!(Dim::Of(vec![B]).times(&Dim::Known(2)), Dim::Unknown);
        assert_eq!(Dim::Known(i64::MAX).times(&Dim::Known(2)), Dim::Unknown);
        assert_eq!(Dim::Of(vec![T]).times(&Dim::Of(vec![B])), Dim::Of(vec![T, B]));
    }
}
