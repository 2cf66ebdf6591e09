//! How well a score ranks.

/// Area under the ROC curve: the probability that a yes has a higher score than a no, a tie counting half (Hanley and McNeil
/// 1982). It is `U / (yes · no)` with the statistic of Mann and Whitney 1947, here counted in whole numbers.
///
/// Of pairs of a score and what is true; None unless both yes and no occur.
pub fn roc_auc(scores: impl Iterator<Item = (f32, bool)>) -> Option<f64> {
    let mut scores: Vec<(f32, bool)> = scores.collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut yes, mut no, mut half_wins) = (0u64, 0u64, 0u64);
    for ties in scores.chunk_by(|a, b| a.0 == b.0) {
        let yes_here = ties.iter().filter(|(_, yes)| *yes).count() as u64;
        let no_here = ties.len() as u64 - yes_here;
        half_wins += yes_here * (2 * no + no_here);
        yes += yes_here;
        no += no_here;
    }
    (yes > 0 && no > 0).then(|| half_wins as f64 / 2.0 / (yes as f64 * no as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auc(scores: &[(f32, bool)]) -> Option<f64> {
        roc_auc(scores.iter().copied())
    }

    #[test]
    fn ranks_by_hand() {
        let (yes, no) = (true, false);
        assert_eq!(auc(&[(0.9, yes), (0.1, no), (0.2, no), (0.8, yes)]), Some(1.0));
        assert_eq!(auc(&[(0.9, no), (0.1, yes)]), Some(0.0));
        // The example of scikit-learn's documentation.
        assert_eq!(auc(&[(0.1, no), (0.4, no), (0.35, yes), (0.8, yes)]), Some(0.75));
        // All equal: no knowledge. Signs of zero are no difference.
        assert_eq!(auc(&[(0.5, no), (0.5, yes), (0.5, no)]), Some(0.5));
        assert_eq!(auc(&[(0.0, no), (-0.0, yes)]), Some(0.5));
        // 0.4 wins against 0.2 and 0.3 and ties with 0.4; 0.3 wins against 0.2 and ties with 0.3.
        let ties = [(0.2, no), (0.3, no), (0.3, yes), (0.4, yes), (0.4, no)];
        assert_eq!(auc(&ties), Some((2.5 + 1.5) / 6.0));
    }

    #[test]
    fn equals_the_plain_double_loop() {
        let scores: Vec<(f32, bool)> =
            (0..300u32).map(|i| ((i * 37 % 23) as f32 / 23.0, i * 29 % 31 < 10 + i * 37 % 23 / 2)).collect();
        let of = |wanted: bool| scores.iter().filter(move |(_, yes)| *yes == wanted).map(|(score, _)| *score);
        let wins: f64 = of(true)
            .flat_map(|a| {
                of(false).map(move |b| {
                    if a > b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    }
                })
            })
            .sum();
        let expected = wins / (of(true).count() * of(false).count()) as f64;
        assert!(0.6 < expected && expected < 0.9, "{expected}");
        assert_eq!(auc(&scores), Some(expected));
    }

    #[test]
    fn one_kind_alone_cannot_be_ranked() {
        assert_eq!(auc(&[(0.3, true), (0.7, true)]), None);
        assert_eq!(auc(&[(0.3, false)]), None);
        assert_eq!(auc(&[]), None);
    }
}
