//! What an encoder-decoder writes.

use grulet::format::Format;
use grulet::{AnySeq2Seq, Error};

use crate::data::Dataset;

/// The widest beam.
pub const MAX_BEAM: usize = 8;

/// A sequence of tokens that a decoder has written, without start and stop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The tokens.
    pub tokens: Vec<u16>,
    /// The logarithm of its probability: of all its tokens, and of the stop token if the model ended it.
    pub log_probability: f64,
    /// Whether the model ended it; else it is cut at the longest that the model was trained on.
    pub stopped: bool,
}

/// What `model` writes to each series of `data`: the best of the `beam` sequences that are followed side by side (beam
/// search; Sutskever et al. 2014). With a beam of 1 that is greedy decoding, as on the chip.
///
/// # Errors
/// If the data have other channels than the encoder's inputs.
pub fn write_sequences<F: Format>(
    model: &AnySeq2Seq<'_, F>,
    data: &Dataset,
    beam: usize,
) -> Result<Vec<Written>, Error> {
    let mut encoder = model.heap_encoder();
    let of_series = |series: &crate::data::Series| {
        encoder.reset();
        for sample in series.x.chunks_exact(data.inputs()) {
            encoder.step(sample)?;
        }
        let decoder = model.heap_decoder(&encoder)?;
        let decoding = model.decoding();
        // Sequences that go on, each with the decoder after all but its last token; and those that have ended.
        let mut open = vec![(Written::default(), decoder, decoding.start)];
        let mut ended: Vec<(f64, Written)> = Vec::new();
        for step in 0..=usize::from(decoding.longest) {
            let mut next = Vec::new();
            for (index, (written, decoder, token)) in open.iter_mut().enumerate() {
                let scores = decoder.step(*token)?;
                for (token, &score) in (0u16..).zip(scores) {
                    // A probability of 0 is one that is too small for the format.
                    let log = f64::from(score).max(f64::from(f32::MIN_POSITIVE)).ln();
                    next.push((written.log_probability + log, index, token));
                }
            }
            // Stable: of equals the first, as greedy decoding takes it.
            next.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut follow = Vec::new();
            for (log_probability, index, token) in next.into_iter().take(beam) {
                let (written, decoder, _) = &open[index];
                let mut written = Written { log_probability, ..written.clone() };
                if token == decoding.stop {
                    written.stopped = true;
                    ended.push((log_probability, written));
                } else if step < decoding.longest.into() {
                    written.tokens.push(token);
                    follow.push((written, decoder.clone(), token));
                } else {
                    // No room is left but for the stop token: it competes with what comes, but that is not written.
                    written.log_probability = open[index].0.log_probability;
                    ended.push((log_probability, written));
                }
            }
            open = follow;
            let best = ended.iter().map(|(log_probability, _)| *log_probability).fold(f64::NEG_INFINITY, f64::max);
            // What goes on only becomes less probable.
            if open.iter().all(|(written, ..)| written.log_probability <= best) {
                break;
            }
        }
        let mut best = (f64::NEG_INFINITY, Written::default());
        for (log_probability, written) in ended {
            if log_probability > best.0 {
                best = (log_probability, written);
            }
        }
        Ok(best.1)
    };
    data.series.iter().map(of_series).collect()
}

/// The fraction of sequences that are right from start to stop.
pub fn sequence_accuracy(written: &[Written], data: &Dataset) -> f64 {
    let right = written.iter().zip(&data.series).filter(|(written, series)| {
        let (_, targets) = series.targets.split_last().unwrap_or((&0.0, &[]));
        written.stopped && written.tokens.iter().map(|&token| f32::from(token)).eq(targets.iter().copied())
    });
    right.count() as f64 / data.series.len().max(1) as f64
}
