//! What a file's tensors may take.

use std::cell::Cell;

use super::ImportError;

/// Elements of all tensors of a file together, at most: 16 MiB as `f32`.
pub const MAX_ELEMENTS: usize = 4 << 20;
/// Dimensions of a tensor, at most.
const MAX_RANK: usize = 8;

/// Counts the elements of tensors, before memory is taken for them.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    left: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_ELEMENTS)
    }
}

impl Budget {
    /// One of so many elements.
    pub fn of(limit: usize) -> Self {
        Self { limit, left: Cell::new(limit) }
    }

    /// The elements of `shape`, which are taken from what is left.
    ///
    /// # Errors
    /// If they are more than that, or have too many dimensions.
    pub fn take(&self, shape: &[usize]) -> Result<usize, ImportError> {
        if shape.len() > MAX_RANK {
            return Err(ImportError::Damaged(format!("a tensor of {} dimensions", shape.len())));
        }
        // A dimension of 0 must not hide another one without bounds.
        let cost = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
        let taken = cost.filter(|&cost| cost <= self.left.get()).ok_or_else(|| ImportError::TooLarge {
            what: format!("a tensor of the shape {shape:?}, with all the others,"),
            bytes: cost.map_or(u64::MAX, |cost| {
                let all = cost.saturating_add(self.limit - self.left.get());
                (all as u64).saturating_mul(4)
            }),
            limit: 4 * self.limit as u64,
        })?;
        self.left.set(self.left.get() - taken);
        Ok(shape.iter().product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tensors_of_a_file_have_a_common_limit() {
        let budget = Budget::of(8 << 20);
        assert_eq!(budget.take(&[1024, 1024, 7]).unwrap(), 7 << 20);
        let message = budget.take(&[1024, 1024, 2]).unwrap_err().to_string();
        assert!(message.contains("[1024, 1024, 2]") && message.contains("37748736"), "{message}");
        for shape in [&[usize::MAX, 3][..], &[0, usize::MAX, usize::MAX], &[1; 9]] {
            assert!(budget.take(shape).is_err(), "{shape:?}");
        }
        assert_eq!(budget.take(&[1024, 1024]).unwrap(), 1 << 20);
        assert!(budget.take(&[]).is_err());
        assert!(Budget::default().take(&[MAX_ELEMENTS + 1]).is_err());
    }
}
