//! How good a classifier is, class by class.

use serde::Serialize;

/// Classes that a confusion matrix is made of, at most.
pub const MOST: usize = 256;

/// Decisions counted, and what follows from the counts.
///
/// Whatever would divide by zero is 0, as with scikit-learn's `zero_division=0`: the recall of a class that never occurs,
/// the precision of one that is never predicted. `support` and `predicted` tell such a 0 from a bad one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassTable {
    /// Each class, in the order of the indices.
    pub classes: Vec<ClassScores>,
    /// Means over all classes, each with the same weight; those that never occur included.
    pub macro_average: Average,
    /// Counts `[actual][predicted]`; of more than 256 classes, of which most cells would be 0, there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
}

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScores {
    /// Its name.
    pub name: String,
    /// Right ones among those predicted: TP / (TP + FP).
    pub precision: f64,
    /// Right ones among those that occur: TP / (TP + FN).
    pub recall: f64,
    /// Harmonic mean of both: 2·TP / (2·TP + FP + FN).
    pub f1: f64,
    /// How often it occurs.
    pub support: u64,
    /// How often it is predicted.
    pub predicted: u64,
}

/// Means over classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Average {
    /// Of the precisions.
    pub precision: f64,
    /// Of the recalls, which is the balanced accuracy.
    pub recall: f64,
    /// Of the F1 scores.
    pub f1: f64,
}

/// How often the actual class is among the most probable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TopK {
    /// Among how many.
    pub k: usize,
    /// Fraction of answers where it is.
    pub accuracy: f64,
}

impl Average {
    fn of<'a>(classes: impl Iterator<Item = &'a ClassScores> + Clone) -> Self {
        let count = classes.clone().count() as f64;
        let mean = |value: fn(&ClassScores) -> f64| classes.clone().map(value).sum::<f64>() / count;
        Average {
            precision: mean(|class| class.precision),
            recall: mean(|class| class.recall),
            f1: mean(|class| class.f1),
        }
    }
}

impl ClassTable {
    /// Counts pairs of actual and predicted class, both indices into `names`.
    pub fn count(names: &[String], pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let side = if names.len() > MOST { 0 } else { names.len() };
        let mut confusion = vec![vec![0u64; side]; side];
        // Right decisions, occurrences and predictions of each.
        let mut counts = vec![[0u64; 3]; names.len()];
        for (actual, predicted) in pairs {
            counts[actual][0] += u64::from(actual == predicted);
            counts[actual][1] += 1;
            counts[predicted][2] += 1;
            if let Some(row) = confusion.get_mut(actual) {
                row[predicted] += 1;
            }
        }
        let of_class = |(name, &[right, support, predicted]): (&String, &[u64; 3])| ClassScores {
            name: name.clone(),
            precision: share(right, predicted),
            recall: share(right, support),
            f1: share(2 * right, support + predicted),
            support,
            predicted,
        };
        let classes: Vec<ClassScores> = names.iter().zip(&counts).map(of_class).collect();
        let macro_average = Average::of(classes.iter());
        Self { classes, macro_average, confusion }
    }

    /// The same with a macro average over all classes but one, which is none that can occur.
    pub fn averaged_without(mut self, class: usize) -> Self {
        let others = self.classes.iter().enumerate().filter(|&(index, _)| index != class);
        self.macro_average = Average::of(others.map(|(_, scores)| scores));
        self
    }
}

/// Top-k accuracies of probabilities `(N, classes)`. Among equals the lower index comes first, so that k = 1 is the accuracy.
pub fn top_k(classes: usize, probabilities: &[f32], actual: &[usize], ks: &[usize]) -> Vec<TopK> {
    let rank = |(row, &class): (&[f32], &usize)| {
        row.iter().enumerate().filter(|&(i, p)| *p > row[class] || (*p == row[class] && i < class)).count()
    };
    let ranks: Vec<usize> = probabilities.chunks_exact(classes).zip(actual).map(rank).collect();
    let within = |k: usize| ranks.iter().filter(|&&rank| rank < k).count() as u64;
    ks.iter().map(|&k| TopK { k, accuracy: share(within(k), ranks.len() as u64) }).collect()
}

/// `part / whole`, 0 of nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn table(classes: &[&str], pairs: &[(usize, usize)]) -> ClassTable {
        ClassTable::count(&names(classes), pairs.iter().copied())
    }

    #[test]
    fn very_many_classes_have_scores_but_no_matrix() {
        let names: Vec<String> = (0..=MOST).map(|class| class.to_string()).collect();
        let table = ClassTable::count(&names, [(0, 0), (0, MOST), (MOST, MOST)].into_iter());
        assert!(table.confusion.is_empty());
        let (first, last) = (&table.classes[0], &table.classes[MOST]);
        assert_eq!((first.recall, first.support, first.predicted), (0.5, 2, 1));
        assert_eq!((last.precision, last.support, last.predicted), (0.5, 1, 2));
        assert!(!serde_json::to_string(&table).unwrap().contains("confusion"));
    }

    #[test]
    fn counts_by_hand() {
        // Actual a: 3 times a, once b. Actual b: twice b, once a, once c. Actual c: twice a.
        let pairs = [(0, 0), (0, 0), (0, 1), (0, 0), (1, 1), (1, 0), (1, 1), (1, 2), (2, 0), (2, 0)];
        let table = table(&["a", "b", "c"], &pairs);
        assert_eq!(table.confusion, [[3, 1, 0], [1, 2, 1], [2, 0, 0]]);
        let rows = table.classes.iter().map(|c| (c.precision, c.recall, c.f1, c.support, c.predicted));
        let expected =
            [(3.0 / 6.0, 3.0 / 4.0, 6.0 / 10.0, 4, 6), (2.0 / 3.0, 2.0 / 4.0, 4.0 / 7.0, 4, 3), (0.0, 0.0, 0.0, 2, 1)];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        let average = table.macro_average;
        assert!((average.precision - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-15, "{average:?}");
        assert!((average.recall - 1.25 / 3.0).abs() < 1e-15, "{average:?}");
        assert!((average.f1 - (0.6 + 4.0 / 7.0) / 3.0).abs() < 1e-15, "{average:?}");
    }

    #[test]
    fn classes_that_never_occur_or_are_never_predicted_are_0() {
        // b is predicted but never occurs; c occurs but is never predicted; d does neither.
        let table = table(&["a", "b", "c", "d"], &[(0, 0), (0, 1), (2, 0)]);
        let of = |class: usize| {
            let c = &table.classes[class];
            (c.precision, c.recall, c.f1, c.support, c.predicted)
        };
        assert_eq!(of(0), (0.5, 0.5, 0.5, 2, 2));
        assert_eq!((of(1), of(2), of(3)), ((0.0, 0.0, 0.0, 0, 1), (0.0, 0.0, 0.0, 1, 0), (0.0, 0.0, 0.0, 0, 0)));
        assert_eq!(table.macro_average, Average { precision: 0.125, recall: 0.125, f1: 0.125 });
        let json = serde_json::to_string(&table).unwrap();
        assert!(!json.contains("null") && !json.contains("NaN"), "{json}");
        // Nothing at all.
        assert_eq!(ClassTable::count(&names(&["a", "b"]), std::iter::empty()).macro_average.f1, 0.0);
    }

    #[test]
    fn a_class_that_cannot_occur_is_left_out_of_the_average() {
        let table = table(&["a", "start", "b"], &[(0, 0), (2, 0)]).averaged_without(1);
        assert_eq!(table.classes.len(), 3);
        assert_eq!(table.macro_average, Average { precision: 0.25, recall: 0.5, f1: 1.0 / 3.0 });
    }

    #[test]
    fn data_of_one_class() {
        let right = table(&["a", "b"], &[(1, 1); 5]);
        assert_eq!((right.classes[1].f1, right.classes[0].f1, right.macro_average.f1), (1.0, 0.0, 0.5));
        let wrong = table(&["a", "b"], &[(1, 0); 5]);
        assert_eq!(wrong.macro_average, Average { precision: 0.0, recall: 0.0, f1: 0.0 });
    }

    #[test]
    fn top_k_looks_at_the_most_probable() {
        let probabilities = [0.5, 0.3, 0.15, 0.05, 0.4, 0.1, 0.3, 0.2, 0.25, 0.25, 0.25, 0.25, 0.1, 0.2, 0.3, 0.4];
        // Ranks 1, 3, 2 (the third of equals) and 0.
        let top = top_k(4, &probabilities, &[1, 1, 2, 3], &[1, 2, 3, 4]);
        assert_eq!(top.iter().map(|top| top.accuracy).collect::<Vec<_>>(), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(top.iter().map(|top| top.k).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(top_k(4, &[], &[], &[2]), [TopK { k: 2, accuracy: 0.0 }]);
    }
}
