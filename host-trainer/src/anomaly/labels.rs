//! What a detector is worth, where it is known which steps are anomalous.

use serde::Serialize;

use super::{AnomalyError, Detector, series_steps};
use crate::data::Dataset;
use crate::evaluate::{ClassTable, roc_auc};

/// Detections against labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelScores {
    /// Steps that are labelled as anomalous.
    pub steps: usize,
    /// Flagged steps that are anomalous / flagged steps; 0 where none is flagged.
    pub precision: f64,
    /// Anomalous steps that are flagged / anomalous steps; 0 where there are none.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Area under the ROC curve of the score; none where all steps are alike.
    pub roc_auc: Option<f64>,
    /// Events: steps in a row with one label that is not the normal one.
    pub events: usize,
    /// Events with at least one flagged step.
    pub events_found: usize,
    /// Each label but the normal one, in the order of the words.
    pub kinds: Vec<Kind>,
}

/// One kind of anomaly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kind {
    /// Its label.
    pub label: String,
    /// Steps that have it.
    pub steps: usize,
    /// Flagged ones among them.
    pub flagged: usize,
    /// Events of this kind.
    pub events: usize,
    /// Events with at least one flagged step.
    pub events_found: usize,
}

impl LabelScores {
    /// Of `sums`, one per step, and `labels`, whose targets are indices into its classes, for the same steps. `normal` is the
    /// label of steps without an anomaly.
    ///
    /// # Errors
    /// If no step has the normal label: it is called otherwise.
    pub fn of(detector: &Detector, sums: &[f32], labels: &Dataset, normal: &str) -> Result<Self, AnomalyError> {
        let Some(normal) = labels.classes.iter().position(|class| class == normal) else {
            let found = labels.classes.iter().take(8).map(|class| format!("{class:?}")).collect::<Vec<_>>().join(", ");
            return Err(AnomalyError::NoNormal { normal: normal.to_owned(), found });
        };
        let classes: Vec<usize> =
            labels.series.iter().flat_map(|series| &series.targets).map(|&class| class as usize).collect();
        let kind = |label: &String| Kind { label: label.clone(), steps: 0, flagged: 0, events: 0, events_found: 0 };
        let mut kinds: Vec<Kind> = labels.classes.iter().map(kind).collect();
        for (_, steps) in series_steps(labels) {
            let mut start = steps.start;
            for event in classes[steps].chunk_by(|a, b| a == b) {
                let flagged = sums[start..start + event.len()].iter().filter(|&&sum| detector.is_anomaly(sum)).count();
                let kind = &mut kinds[event[0]];
                kind.steps += event.len();
                kind.flagged += flagged;
                kind.events += 1;
                kind.events_found += usize::from(flagged > 0);
                start += event.len();
            }
        }
        kinds.remove(normal);
        // A class that a list of numbers leaves out has no steps.
        kinds.retain(|kind| kind.steps > 0);
        let anomalous = || classes.iter().map(|&class| class != normal);
        let flagged = sums.iter().map(|&sum| usize::from(detector.is_anomaly(sum)));
        let names = ["normal", "anomalous"].map(str::to_owned);
        let table = ClassTable::count(&names, anomalous().map(usize::from).zip(flagged));
        let found = &table.classes[1];
        Ok(Self {
            steps: found.support as usize,
            precision: found.precision,
            recall: found.recall,
            f1: found.f1,
            roc_auc: roc_auc(sums.iter().copied().zip(anomalous())),
            events: kinds.iter().map(|kind| kind.events).sum(),
            events_found: kinds.iter().map(|kind| kind.events_found).sum(),
            kinds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{data, detector};
    use super::*;

    #[test]
    fn steps_and_events_are_counted_by_hand() {
        let detector = detector(1.0);
        // 0 is a leak, 1 normal, 2 a spike. The leak at the end of the first series and that at the start of the second are two.
        let labels = [&[1.0, 2.0, 0.0, 0.0][..], &[0.0, 1.0, 1.0, 2.0]];
        let mut labels = data(1, &labels);
        labels.classes = ["leak", "normal", "spike"].map(str::to_owned).to_vec();
        let sums = [0.0, 9.0, 0.5, 2.0, 0.2, 3.0, 0.0, 0.1];
        let scores = LabelScores::of(&detector, &sums, &labels, "normal").unwrap();
        assert_eq!((scores.steps, scores.events, scores.events_found), (5, 4, 2));
        assert_eq!((scores.precision, scores.recall, scores.f1), (2.0 / 3.0, 2.0 / 5.0, 0.5));
        // 9 and 2 beat two each and 2 loses to 3; 0.5, 0.2 and 0.1 beat two: 3 + 5·2 - … of 15, by hand.
        let wins = 3.0 + 2.0 + 2.0 + 2.0 + 2.0;
        assert_eq!(scores.roc_auc, Some(wins / 15.0));
        let kind = |label: &str, steps, flagged, events, events_found| Kind {
            label: label.to_owned(),
            steps,
            flagged,
            events,
            events_found,
        };
        assert_eq!(scores.kinds, [kind("leak", 3, 1, 2, 1), kind("spike", 2, 1, 2, 1)]);
    }

    #[test]
    fn labels_without_the_normal_word_ask_for_it() {
        let detector = detector(1.0);
        let mut labels = data(1, &[&[0.0, 1.0]]);
        labels.classes = ["leak", "none"].map(str::to_owned).to_vec();
        let error = LabelScores::of(&detector, &[0.0, 0.0], &labels, "0").unwrap_err().to_string();
        assert!(error.contains("\"0\"") && error.contains("--normal: \"leak\", \"none\""), "{error}");
    }
}
