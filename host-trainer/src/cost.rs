//! What a step costs on the chip, before anything is flashed.

use grulet::Header;
use grulet::spec::{Activation, LayerSpec, Pooling, Reset, Storage, with_one_hot};

/// About how many instructions a step through `layers` takes on a Cortex-M4F.
///
/// A line through what QEMU counts: so many for a layer, for each of its outputs, and for each multiply-accumulate. GRUs
/// with sigmoid and tanh are within 2 % of `benches/icount.md`, other activations are cheaper; networks with a dense head are
/// within 10 % of what `cargo xtask demo` and `grulet bench` count.
pub fn instructions(layers: &[LayerSpec], storage: Storage) -> usize {
    let int8 = storage == Storage::Int8;
    // Of outputs without an exponential, with one, and with one of which all have a share.
    let of_output = |activation, [plain, curve, share]: [f64; 3]| match activation {
        Activation::Linear | Activation::Relu | Activation::HardSigmoid => plain,
        Activation::Sigmoid | Activation::Tanh => curve,
        Activation::Softmax => share,
    };
    let of_layer = |(layer, one_hot): (&LayerSpec, bool)| {
        if let Some(gru) = layer.direction() {
            let hot = LayerSpec::OneHot { vocabulary: gru.inputs() as u16 };
            return 2.0
                * if one_hot { instructions(&[hot, gru], storage) } else { instructions(&[gru], storage) } as f64;
        }
        let (each, per_output, per_mac) = match (layer, int8) {
            (LayerSpec::Gru { reset: Reset::Before, .. }, false) => (600.0, 100.0, 2.18),
            (LayerSpec::Gru { .. }, false) => (720.0, 96.5, 2.19),
            (LayerSpec::Gru { reset: Reset::Before, .. }, true) => (760.0, 63.9, 0.938),
            (LayerSpec::Gru { .. }, true) => (840.0, 74.9, 0.938),
            (LayerSpec::Embedding { .. }, _) => (50.0, 10.0, 0.0),
            // Part of the layer after it.
            (LayerSpec::OneHot { .. }, _) => (0.0, 0.0, 0.0),
            (LayerSpec::Pool { over: Pooling::Mean, .. }, false) => (0.0, 62.0, 0.0),
            (LayerSpec::Pool { .. }, false) => (0.0, 38.0, 0.0),
            (LayerSpec::Pool { over: Pooling::Mean, .. }, true) => (380.0, 28.0, 0.0),
            (LayerSpec::Pool { .. }, true) => (110.0, 7.0, 0.0),
            (LayerSpec::Dense { activation, .. }, false) => (140.0, of_output(*activation, [63.0, 75.0, 92.0]), 2.2),
            (LayerSpec::Dense { activation, .. }, true) => (40.0, of_output(*activation, [53.0, 60.0, 163.0]), 0.94),
            // There is no other layer yet.
            _ => (0.0, 0.0, 0.0),
        };
        let macs = if one_hot { layer.macs_after_one_hot() } else { layer.macs() };
        each + per_output * layer.outputs() as f64 + per_mac * macs as f64
    };
    with_one_hot(layers).map(of_layer).sum::<f64>() as usize
}

/// Steps of the window that a model with a bidirectional layer is costed for: those that it was trained on, or of its self-test
/// where that is unknown or longer. None of other models.
pub fn window_steps(header: &Header<'_>) -> Option<usize> {
    header.is_bidirectional().then(|| header.window.max(header.golden.steps) as usize)
}

/// Bytes that a typed run keeps, in units of so many bytes: the states of a stream; with a bidirectional layer the inputs and
/// all layers' outputs over a window of [`window_steps`].
pub fn state_bytes(header: &Header<'_>, unit: usize) -> usize {
    match window_steps(header) {
        Some(steps) => {
            let layers = header.layers.iter().filter(|layer| !matches!(layer, LayerSpec::OneHot { .. }));
            steps * (header.inputs() + layers.map(LayerSpec::outputs).sum::<usize>()) * unit
        }
        None => header.layers.iter().map(LayerSpec::state).sum::<usize>() * unit,
    }
}

#[cfg(test)]
mod tests {
    use grulet::spec::{Candidate, Gate};

    use super::*;

    fn gru(inputs: u16, hidden: u16, reset: Reset) -> LayerSpec {
        LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh }
    }

    #[test]
    fn the_estimate_is_near_what_was_counted() {
        let table = include_str!("../../benches/icount.md");
        let mut rows = 0;
        for line in table.lines().filter(|line| line.starts_with("| Cortex-M4F")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (inputs, hidden) = cells[2].split_once('×').unwrap();
            let reset = if cells[4] == "before" { Reset::Before } else { Reset::After };
            let storage = if cells[3] == "Int8" { Storage::Int8 } else { Storage::F32 };
            let layer = gru(inputs.parse().unwrap(), hidden.parse().unwrap(), reset);
            let (estimate, counted) = (instructions(&[layer], storage) as f64, cells[6].parse::<f64>().unwrap());
            assert!((estimate / counted - 1.0).abs() < 0.02, "{line}: {estimate}");
            rows += 1;
        }
        assert_eq!(rows, 16);
    }

    /// Counted by `grulet bench MODEL --target qemu:mps2-an386`.
    #[test]
    fn the_estimate_knows_heads_of_many_outputs() {
        for (activation, f32, int8) in [
            (Activation::Relu, 15_296.0, 10_080.0),
            (Activation::Sigmoid, 16_446.0, 10_752.0),
            (Activation::Tanh, 16_542.0, 10_655.0),
            (Activation::Softmax, 18_175.0, 20_632.0),
        ] {
            let layers = [gru(16, 16, Reset::After), LayerSpec::Dense { inputs: 16, outputs: 96, activation }];
            for (storage, counted) in [(Storage::F32, f32), (Storage::Int8, int8)] {
                let estimate = instructions(&layers, storage) as f64;
                assert!((estimate / counted - 1.0).abs() < 0.05, "{activation:?} {storage:?}: {estimate}");
            }
        }
    }

    #[test]
    fn the_estimate_is_near_the_demo() {
        let readme = include_str!("../../README.md");
        let dense = LayerSpec::Dense { inputs: 16, outputs: 2, activation: Activation::Linear };
        let layers = [gru(2, 16, Reset::Before), dense];
        for (name, storage) in [("f32  Cortex-M4F", Storage::F32), ("Int8 Cortex-M4F", Storage::Int8)] {
            let line = readme.lines().find(|line| line.starts_with(name)).unwrap();
            let counted: f64 = line.split_whitespace().rev().nth(1).unwrap().parse().unwrap();
            let estimate = instructions(&layers, storage) as f64;
            assert!((estimate / counted - 1.0).abs() < 0.1, "{line}: {estimate}");
        }
    }
}
