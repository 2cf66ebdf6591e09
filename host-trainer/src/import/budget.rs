//! What a file's tensors may take.

use std::cell::Cell;

use super::ImportError;

/// Elements of all tensors of a file together, at most: 16 MiB as `f32`.
pub const MAX_ELEMENTS: usize = 4 << 20;

/// Counts the elements of tensors, before memory is taken for them.
#[derive(Default)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// Takes the elements of `shape`.
    ///
    /// # Errors
    /// If they are more than are left.
    pub fn take(&self, shape: &[usize]) -> Result<usize, ImportError> {
        let elements = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        let taken = self.0.get().saturating_add(elements.unwrap_or(usize::MAX));
        self.0.set(taken);
        match elements {
            Some(elements) if taken <= MAX_ELEMENTS => Ok(elements),
            _ => Err(ImportError::TooLarge {
                what: "the network".to_owned(),
                bytes: (taken as u64).saturating_mul(4),
                limit: 4 * MAX_ELEMENTS as u64,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tensors_of_a_file_have_a_common_limit() {
        let budget = Budget::default();
        assert_eq!(budget.take(&[3, MAX_ELEMENTS / 4]).unwrap(), 3 * (MAX_ELEMENTS / 4));
        assert_eq!(budget.take(&[]).unwrap(), 1);
        assert!(budget.take(&[MAX_ELEMENTS / 4]).unwrap_err().to_string().contains("the network"));
        assert!(Budget::default().take(&[usize::MAX, 2]).is_err());
    }
}
