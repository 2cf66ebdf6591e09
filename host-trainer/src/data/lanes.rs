//! Series side by side, chunk after chunk: batches for a training that keeps the state from one chunk to the next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Which chunks are in which batch of an epoch.
///
/// A lane is a row of the batches: series one after the other, each in chunks in the order of time. A lane that has come to
/// its end leaves, so that later batches have fewer rows.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    /// The series of each chunk, batch by batch.
    series: Vec<usize>,
    /// The first step of each chunk.
    from: Vec<usize>,
    /// Where each batch ends in these.
    ends: Vec<usize>,
}

impl Lanes {
    /// Deals series of so many `steps` out to `lanes` in chunks of `chunk` steps, the last of a series being shorter.
    ///
    /// The longest series is dealt out first, each to the lane with the fewest chunks so far: lanes end at about the same
    /// time, and how many batches there are does not depend on `order`, in which the series of a lane come.
    pub fn deal(steps: &[usize], order: &[usize], lanes: usize, chunk: usize) -> Self {
        let chunks = |rank: usize| steps[order[rank]].div_ceil(chunk);
        let mut longest_first: Vec<usize> = (0..order.len()).collect();
        // Stable: series of one length stay in their order.
        longest_first.sort_by_key(|&rank| Reverse(chunks(rank)));
        let mut shortest: BinaryHeap<_> = (0..lanes.min(order.len())).map(|lane| Reverse((0, lane))).collect();
        let mut ranks: Vec<Vec<usize>> = vec![Vec::new(); shortest.len()];
        for rank in longest_first {
            let Some(Reverse((load, lane))) = shortest.pop() else { break };
            ranks[lane].push(rank);
            shortest.push(Reverse((load + chunks(rank), lane)));
        }
        let mut lanes: Vec<_> = ranks
            .into_iter()
            .map(|mut ranks| {
                ranks.sort_unstable();
                let series = ranks.into_iter().map(|rank| order[rank]);
                series.flat_map(|series| (0..steps[series]).step_by(chunk).map(move |from| (series, from)))
            })
            .collect();
        let mut dealt = Self { series: Vec::new(), from: Vec::new(), ends: Vec::new() };
        loop {
            for (series, from) in lanes.iter_mut().filter_map(Iterator::next) {
                dealt.series.push(series);
                dealt.from.push(from);
            }
            if dealt.ends.last().copied().unwrap_or(0) == dealt.series.len() {
                return dealt;
            }
            dealt.ends.push(dealt.series.len());
        }
    }

    /// Batches.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    fn range(&self, batch: usize) -> Range<usize> {
        let start = batch.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[batch]
    }

    /// The series in a batch, `(B)`.
    pub fn series(&self, batch: usize) -> &[usize] {
        &self.series[self.range(batch)]
    }

    /// The first steps of their chunks, `(B)`.
    pub fn from(&self, batch: usize) -> &[usize] {
        &self.from[self.range(batch)]
    }

    /// The row of the batch before that each row goes on from, `(B)`; none where a series begins.
    pub fn before(&self, batch: usize) -> Vec<Option<usize>> {
        let before = if batch == 0 { &[] } else { self.series(batch - 1) };
        let rows = self.series(batch).iter().zip(self.from(batch)).enumerate();
        rows.map(|(row, (series, &from))| {
            // Lanes only leave: it was in this row, or one behind it.
            let found = before.get(row..)?.iter().position(|other| other == series)?;
            (from > 0).then_some(row + found)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_one_series_after_the_other() {
        // 3, 1, 2 and 1 chunks of 4 steps on two lanes.
        let lanes = Lanes::deal(&[10, 4, 8, 3], &[3, 2, 1, 0], 2, 4);
        let batches: Vec<_> = (0..lanes.count()).map(|i| (lanes.series(i), lanes.from(i), lanes.before(i))).collect();
        assert_eq!(
            batches,
            [
                // The first lane has series 1 and 0, the second 3 and 2: four chunks, and three.
                (&[1, 3][..], &[0, 0][..], vec![None, None]),
                (&[0, 2], &[0, 0], vec![None, None]),
                (&[0, 2], &[4, 4], vec![Some(0), Some(1)]),
                (&[0], &[8], vec![Some(0)]),
            ]
        );
        // The lane before has left.
        let lanes = Lanes::deal(&[2, 8], &[0, 1], 2, 2);
        assert_eq!((lanes.series(0), lanes.series(1)), (&[1, 0][..], &[1][..]));
        let lanes = Lanes::deal(&[6, 4, 5], &[0, 1, 2], 3, 2);
        assert_eq!((lanes.series(2), lanes.before(2)), (&[0, 2][..], vec![Some(0), Some(1)]));
    }

    #[test]
    fn every_step_is_there_once_and_the_order_decides_no_count() {
        let steps: Vec<usize> = (0..23).map(|i| 1 + (7 * i) % 19).collect();
        let count = |order: &[usize], lanes, chunk| {
            let dealt = Lanes::deal(&steps, order, lanes, chunk);
            let mut next = vec![0; steps.len()];
            for batch in 0..dealt.count() {
                for ((&series, &from), before) in
                    dealt.series(batch).iter().zip(dealt.from(batch)).zip(dealt.before(batch))
                {
                    assert_eq!(from, next[series], "in the order of time, without a gap");
                    assert_eq!(before.is_some(), from > 0);
                    if let Some(row) = before {
                        assert_eq!(dealt.series(batch - 1)[row], series);
                    }
                    next[series] = (from + chunk).min(steps[series]);
                }
            }
            assert_eq!(next, steps);
            dealt.count()
        };
        let (order, reversed) = ((0..23).collect::<Vec<_>>(), (0..23).rev().collect::<Vec<_>>());
        for (lanes, chunk) in [(1, 1), (1, 100), (4, 3), (5, 6), (100, 2)] {
            assert_eq!(count(&order, lanes, chunk), count(&reversed, lanes, chunk));
        }
    }
}
