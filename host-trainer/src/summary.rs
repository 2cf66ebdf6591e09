//! A network as a table, like Keras's `summary()`.

use std::fmt::Write;

use grulet::Header;
use grulet::spec::{LayerSpec, Output, Pooling, Reset, Storage, with_one_hot};

use crate::nn::first_head_layer;

/// Layers, output shapes and parameters; and the type that a firmware names the network by, in `f32`.
pub fn summary(name: &str, layers: &[LayerSpec], output: Output) -> String {
    summary_in(Storage::F32, name, layers, output)
}

/// [`summary`] of a model as it is stored.
pub fn summary_of(header: &Header<'_>) -> String {
    summary_in(header.storage, header.name, &header.layers, header.output)
}

fn summary_in(storage: Storage, name: &str, layers: &[LayerSpec], output: Output) -> String {
    let mut rows = vec![["Layer (type)".to_owned(), "Output shape".to_owned(), "Param #".to_owned()]];
    for (index, layer) in layers.iter().enumerate() {
        let what = match layer {
            LayerSpec::Gru { reset: Reset::Before, .. } => "GRU, reset before",
            LayerSpec::Gru { reset: Reset::After, .. } => "GRU, reset after",
            LayerSpec::Embedding { .. } => "Embedding",
            LayerSpec::OneHot { .. } => "One-hot",
            LayerSpec::Bidirectional { reset: Reset::Before, .. } => "Bidirectional GRU, reset before",
            LayerSpec::Bidirectional { .. } => "Bidirectional GRU, reset after",
            LayerSpec::Pool { over: Pooling::Mean, .. } => "Mean over time",
            LayerSpec::Pool { over: Pooling::Max, .. } => "Max over time",
            _ => "Dense",
        };
        // From the last GRU or pool on, as in Keras, where it would have `return_sequences=False`.
        let last_only = output == Output::LastStep && index + 1 >= first_head_layer(layers, output);
        let steps = if last_only { "" } else { "None, " };
        let part = match output.encoder() {
            0 => "",
            encoder if index < encoder => "encoder ",
            _ => "decoder ",
        };
        rows.push([
            format!("{part}{index} ({what})"),
            format!("(None, {steps}{})", layer.outputs()),
            thousands(layer.parameters()),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |c: &str| c.repeat(widths.iter().sum::<usize>() + 6);
    let mut text = format!("Model: {name:?}\n{}\n", line("━"));
    for (index, [layer, shape, parameters]) in rows.iter().enumerate() {
        let [a, b, c] = widths;
        // Writing to a string cannot fail.
        let _ = writeln!(text, " {layer:<a$}  {shape:<b$}  {parameters:>c$} ");
        if index == 0 {
            let _ = writeln!(text, "{}", line("─"));
        }
    }
    let total: usize = layers.iter().map(LayerSpec::parameters).sum();
    let size = match storage {
        // With the multipliers and paddings of the kernels' layout.
        Storage::Int8 => layers.iter().map(|layer| 16 * layer.lines(storage)).sum::<u64>() as usize,
        _ => 4 * total,
    };
    let _ = writeln!(text, "{}\nTotal params: {} ({})", line("━"), thousands(total), bytes(size));
    let _ = write!(text, "type Net = {};", net_type_in(storage, layers, output.encoder()));
    text
}

/// The network of a model, as it is stored, as the Rust type that a firmware names it by, with `use grulet::*` in scope.
pub fn net_type_of(header: &Header<'_>) -> String {
    net_type_in(header.storage, &header.layers, header.output.encoder())
}

/// Names of the outputs: those of the model, else `y0`, `y1`, ….
pub fn output_names(header: &Header<'_>) -> Vec<String> {
    if header.outputs.is_empty() {
        (0..header.outputs()).map(|i| format!("y{i}")).collect()
    } else {
        header.outputs.iter().map(str::to_owned).collect()
    }
}

/// A type's arguments with the defaults left out, which they are from the right.
fn arguments(mut types: Vec<String>, defaults: &[&str]) -> String {
    for default in defaults {
        if types.last().is_some_and(|last| last == default) {
            types.pop();
        } else {
            break;
        }
    }
    types.iter().map(|name| format!(", {name}")).collect()
}

fn net_type_in(storage: Storage, layers: &[LayerSpec], encoder: usize) -> String {
    if encoder > 0 {
        let of = |layers| net_type_in(storage, layers, 0);
        return format!("Seq2Seq<'static, {}, {}>", of(&layers[..encoder]), of(&layers[encoder..]));
    }
    let format = || if storage == Storage::Int8 { "Int8" } else { "Exact" }.to_owned();
    let name = |layer: &LayerSpec| match *layer {
        LayerSpec::Gru { inputs, hidden, reset, gate, candidate } => {
            let types = vec![format(), format!("Reset{reset:?}"), format!("{gate:?}"), format!("{candidate:?}")];
            let types = arguments(types, &["Tanh", "Sigmoid", "ResetBefore", "Exact"]);
            format!("Gru<{inputs}, {hidden}{types}>")
        }
        LayerSpec::Dense { inputs, outputs, activation } => {
            let types = arguments(vec![format!("{activation:?}"), format()], &["Exact", "Linear"]);
            format!("Dense<{inputs}, {outputs}{types}>")
        }
        LayerSpec::Embedding { vocabulary, outputs } => {
            let types = arguments(vec![format()], &["Exact"]);
            format!("Embedding<{vocabulary}, {outputs}{types}>")
        }
        LayerSpec::Pool { inputs, over } => {
            let types = arguments(vec![format()], &["Exact"]);
            format!("Pool<{inputs}, {over:?}{types}>")
        }
        LayerSpec::Bidirectional { inputs, hidden, reset, gate, candidate, merge } => {
            let types = vec![
                format!("{merge:?}"),
                format(),
                format!("Reset{reset:?}"),
                format!("{gate:?}"),
                format!("{candidate:?}"),
            ];
            let types = arguments(types, &["Tanh", "Sigmoid", "ResetBefore", "Exact", "Concat"]);
            format!("Bidirectional<{inputs}, {hidden}, {}{types}>", layer.outputs())
        }
        // Kinds that this crate does not know cannot come out of its own reader.
        _ => unreachable!("a kind of layer without a type"),
    };
    // A one-hot layer is part of the type of the one after it.
    let layers = with_one_hot(layers).filter(|(layer, _)| !matches!(layer, LayerSpec::OneHot { .. }));
    let names: Vec<String> =
        layers.map(|(layer, one_hot)| if one_hot { format!("OneHot<{}>", name(layer)) } else { name(layer) }).collect();
    format!("({}{})", names.join(", "), if names.len() == 1 { "," } else { "" })
}

/// `50049` as `50,049`.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

/// Bytes in the unit that suits them.
pub fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..0x10_0000 => format!("{:.2} KB", n as f64 / 1024.0),
        _ => format!("{:.2} MB", n as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use grulet::spec::{Activation, Candidate, Decoding, Gate, Merge};

    use super::*;

    #[test]
    fn the_tutorials_model_has_its_50_049_parameters() {
        let gru = |reset, candidate| LayerSpec::Gru { inputs: 1, hidden: 128, reset, gate: Gate::Sigmoid, candidate };
        let dense = LayerSpec::Dense { inputs: 128, outputs: 1, activation: Activation::Sigmoid };
        let text = summary("tutorial", &[gru(Reset::Before, Candidate::Tanh), dense], Output::EveryStep);
        for part in ["49,920", "129", "Total params: 50,049 (195.50 KB)", "(None, None, 128)", "(None, None, 1)"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.ends_with("type Net = (Gru<1, 128>, Dense<128, 1, Sigmoid>);"), "{text}");
        let f32 = |layers: &[LayerSpec]| net_type_in(Storage::F32, layers, 0);
        let int8 = |layers: &[LayerSpec]| net_type_in(Storage::Int8, layers, 0);
        assert_eq!(
            int8(&[gru(Reset::Before, Candidate::Tanh), dense]),
            "(Gru<1, 128, Int8>, Dense<128, 1, Sigmoid, Int8>)"
        );
        assert_eq!(int8(&[gru(Reset::After, Candidate::Tanh)]), "(Gru<1, 128, Int8, ResetAfter>,)");
        let linear = LayerSpec::Dense { inputs: 2, outputs: 3, activation: Activation::Linear };
        assert_eq!((int8(&[linear]), f32(&[linear])), ("(Dense<2, 3, Linear, Int8>,)".into(), "(Dense<2, 3>,)".into()));
        assert_eq!(f32(&[gru(Reset::After, Candidate::Tanh)]), "(Gru<1, 128, Exact, ResetAfter>,)");
        assert_eq!(f32(&[gru(Reset::Before, Candidate::Relu)]), "(Gru<1, 128, Exact, ResetBefore, Sigmoid, Relu>,)");
    }

    #[test]
    fn an_answer_at_the_last_step_begins_at_the_last_gru() {
        let gru = |inputs| LayerSpec::Gru {
            inputs,
            hidden: 4,
            reset: Reset::After,
            gate: Gate::Sigmoid,
            candidate: Candidate::Tanh,
        };
        let dense = LayerSpec::Dense { inputs: 4, outputs: 2, activation: Activation::Softmax };
        let text = summary("a", &[gru(3), gru(4), dense], Output::LastStep);
        let shapes: Vec<&str> = text.lines().filter_map(|line| Some(&line[line.find("(None")?..])).collect();
        let shapes: Vec<&str> = shapes.iter().map(|rest| &rest[..=rest.find(')').unwrap()]).collect();
        assert_eq!(shapes, ["(None, None, 4)", "(None, 4)", "(None, 2)"]);
    }

    #[test]
    fn an_encoder_decoder_is_shown_in_its_two_parts() {
        let embedding = LayerSpec::Embedding { vocabulary: 9, outputs: 3 };
        let gru = LayerSpec::Gru {
            inputs: 3,
            hidden: 4,
            reset: Reset::Before,
            gate: Gate::Sigmoid,
            candidate: Candidate::Tanh,
        };
        let dense = LayerSpec::Dense { inputs: 4, outputs: 9, activation: Activation::Softmax };
        let output = Output::Sequence(Decoding { encoder: 2, start: 7, stop: 8, longest: 5 });
        let text = summary("a", &[embedding, gru, embedding, gru, dense], output);
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.trim().split_once(')')).map(|(row, _)| row).collect();
        assert_eq!(
            lines[1..6],
            [
                "encoder 0 (Embedding",
                "encoder 1 (GRU, reset before",
                "decoder 2 (Embedding",
                "decoder 3 (GRU, reset before",
                "decoder 4 (Dense"
            ]
        );
        let (encoder, decoder) = ("(Embedding<9, 3>, Gru<3, 4>)", "(Embedding<9, 3>, Gru<3, 4>, Dense<4, 9, Softmax>)");
        assert!(text.ends_with(&format!("type Net = Seq2Seq<'static, {encoder}, {decoder}>;")), "{text}");
    }

    #[test]
    fn a_pool_answers_at_the_last_step_and_has_no_parameters() {
        let dense = |inputs, outputs| LayerSpec::Dense { inputs, outputs, activation: Activation::Relu };
        let pool = |over| LayerSpec::Pool { inputs: 3, over };
        let layers = [dense(2, 3), pool(Pooling::Mean), pool(Pooling::Max), dense(3, 1)];
        let text = summary("a", &layers, Output::LastStep);
        for part in ["1 (Mean over time)  (None, None, 3)        0", "2 (Max over time)   (None, 3)              0"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.ends_with("(Dense<2, 3, Relu>, Pool<3, Mean>, Pool<3, Max>, Dense<3, 1, Relu>);"), "{text}");
        assert_eq!(net_type_in(Storage::Int8, &layers[1..2], 0), "(Pool<3, Mean, Int8>,)");
    }

    #[test]
    fn a_bidirectional_layer_has_the_parameters_of_two_grus() {
        let layer = |reset, merge| LayerSpec::Bidirectional {
            inputs: 3,
            hidden: 4,
            reset,
            gate: Gate::Sigmoid,
            candidate: Candidate::Tanh,
            merge,
        };
        let layers = [layer(Reset::Before, Merge::Concat)];
        let text = summary("a", &layers, Output::LastStep);
        for part in ["0 (Bidirectional GRU, reset before)  (None, 8)", "192", "(Bidirectional<3, 4, 8>,);"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let after = [layer(Reset::After, Merge::Sum)];
        assert_eq!(net_type_in(Storage::F32, &after, 0), "(Bidirectional<3, 4, 4, Sum, Exact, ResetAfter>,)");
        assert_eq!(net_type_in(Storage::Int8, &layers, 0), "(Bidirectional<3, 4, 8, Concat, Int8>,)");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12, 1536, 3 << 20].map(bytes), ["12 B", "1.50 KB", "3.00 MB"]);
    }
}
