//! How far the steps of series are apart in time. The network takes all of them for equally far.

use super::Warning;

/// A gap is this many times as long as the mean of the series' other steps.
const GAP: f64 = 10.0;
/// Steps are as many per second as is said, within this part of it.
const RATE: f64 = 0.1;

/// The steps of one series.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    count: usize,
    sum: f64,
    largest: f64,
    /// The line after the largest.
    line: u64,
}

impl Steps {
    /// Another row, on `line`, comes so much `later` than the one before.
    pub fn add(&mut self, later: f64, line: u64) {
        self.count += 1;
        self.sum += later;
        if later > self.largest {
            (self.largest, self.line) = (later, line);
        }
    }

    /// The mean but for the largest one.
    fn usual(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.sum - self.largest) / (self.count - 1) as f64)
    }
}

/// The steps of all series of a file.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    /// Series with a gap.
    gaps: usize,
    /// Of the one whose gap is the longest beside its usual steps: its name, its steps, and whether times are stamps.
    worst: Option<(String, Steps, bool)>,
    /// Steps of series with time stamps, and the seconds that they take without the largest of each.
    stamped: (usize, f64),
}

impl Spacing {
    /// Takes a series.
    pub fn add(&mut self, series: &str, steps: &Steps, stamps: bool) {
        let Some(usual) = steps.usual() else { return };
        if stamps {
            self.stamped = (self.stamped.0 + steps.count - 1, self.stamped.1 + steps.sum - steps.largest);
        }
        let ratio = |steps: &Steps| steps.largest / steps.usual().unwrap_or(f64::INFINITY);
        if steps.largest > GAP * usual {
            self.gaps += 1;
            if self.worst.as_ref().is_none_or(|(_, worst, _)| ratio(steps) > ratio(worst)) {
                self.worst = Some((series.to_owned(), *steps, stamps));
            }
        }
    }

    /// What is odd in it, where `rate` is how many steps a second are said to have.
    pub fn warnings(self, rate: Option<f64>) -> Vec<Warning> {
        let gap = self.worst.map(|(series, steps, stamps)| Warning::Gap {
            series,
            line: steps.line,
            gap: steps.largest,
            usual: steps.usual().unwrap_or(0.0),
            stamps,
            count: self.gaps,
        });
        let (count, seconds) = self.stamped;
        let found = count as f64 / seconds;
        let other = rate.filter(|rate| count > 0 && (found / rate - 1.0).abs() > RATE);
        gap.into_iter().chain(other.map(|rate| Warning::SampleRate { rate, found })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(each: &[f64]) -> Steps {
        let mut steps = Steps::default();
        (2..).zip(each).for_each(|(line, &later)| steps.add(later, line));
        steps
    }

    #[test]
    fn the_longest_gap_is_told_and_uneven_steps_are_none() {
        let mut spacing = Spacing::default();
        spacing.add("even", &steps(&[1.0; 5]), false);
        spacing.add("uneven", &steps(&[1.0, 5.0, 1.0, 3.0]), false);
        spacing.add("short", &steps(&[100.0]), false);
        spacing.add("gap", &steps(&[2.0, 2.0, 30.0, 2.0]), false);
        spacing.add("longer", &steps(&[2.0, 2.0, 2.0, 40.0]), false);
        let warnings = spacing.warnings(Some(50.0));
        let [Warning::Gap { series, line: 5, gap, usual, stamps: false, count: 2 }] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert_eq!((&**series, *gap, *usual), ("longer", 40.0, 2.0));
        let text = warnings[0].to_string();
        assert!(text.contains("series \"longer\"") && text.contains("line 5") && text.contains("40"), "{text}");
    }

    #[test]
    fn a_rate_is_held_to_time_stamps_alone() {
        let rate = |stamps, rate| {
            let mut spacing = Spacing::default();
            spacing.add("a", &steps(&[0.02; 5]), stamps);
            spacing.warnings(rate)
        };
        assert_eq!(rate(true, Some(50.0)), []);
        assert_eq!(rate(true, None), []);
        assert_eq!(rate(false, Some(25.0)), []);
        let [Warning::SampleRate { rate: said, found }] = rate(true, Some(25.0))[..] else { panic!() };
        assert!(said == 25.0 && (found - 50.0).abs() < 1e-9);
    }
}
