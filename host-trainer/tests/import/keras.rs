//! Files that Keras 2 and Keras 3 have written (tests/vectors/README.md).

use std::path::Path;

use grulet::spec::{LayerSpec, Output, Pooling, Reset};
use grulet_trainer::data::Npz;
use grulet_trainer::import::check::{self, Given};
use grulet_trainer::import::{ImportError, Imported, Options, import, import_bytes};
use serde_json::{Value, json};

use crate::hostile::archive;
use crate::support::{assert_gives, vector};

fn plain() -> Options {
    Options::default()
}

#[test]
fn whole_models_give_what_keras_gives() {
    for net in ["cls", "seq", "reg2"] {
        for reset in ["ra0", "ra1"] {
            for kind in ["keras", "h5"] {
                assert_gives(&format!("keras_{net}_{reset}.{kind}"), &format!("keras_{net}_{reset}_f32.npz"), &plain());
            }
        }
    }
}

#[test]
fn every_layer_gives_what_keras_3_gives() {
    let names = [
        "activation",
        "batch_norm",
        "category_encoding",
        "embedding",
        "functional",
        "hard",
        "hard_before",
        "nobias",
        "normalization",
        "pool_max",
        "pool_mean",
        "rescaling",
        "rnn_cell",
    ];
    for name in names {
        assert_gives(&format!("keras3_{name}.keras"), &format!("models/keras3_{name}.npz"), &plain());
    }
}

#[test]
fn every_layer_gives_what_keras_2_gives() {
    for name in ["batch_norm", "functional", "hard", "hard_before", "nobias", "pool_max"] {
        assert_gives(&format!("keras2_{name}.h5"), &format!("models/keras2_{name}.npz"), &plain());
    }
}

#[test]
fn both_directions_give_what_keras_gives() {
    for (keras, kind) in [("keras3", "keras"), ("keras2", "h5")] {
        for name in ["concat", "sum", "mul", "ave", "every_step"] {
            let model = format!("{keras}_bidirectional_{name}");
            assert_gives(&format!("{model}.{kind}"), &format!("models/{model}.npz"), &plain());
        }
        // One that reads from the end alone.
        assert_gives(&format!("{keras}_backwards.{kind}"), &format!("models/{keras}_backwards.npz"), &plain());
    }
}

#[test]
fn encoder_decoders_give_what_keras_gives() {
    let options = |start| Options { start: Some(start), stop: Some(3), longest: Some(5), ..Options::default() };
    for (model, start) in
        [("keras3_sequence_one_hot.keras", 0), ("keras3_sequence_tokens.keras", 1), ("keras2_sequence_tokens.h5", 1)]
    {
        let outputs = format!("models/{}.npz", model.split_once('.').unwrap().0);
        assert_gives(model, &outputs, &options(start));
    }
    let one_hot = import(&vector("models/keras3_sequence_one_hot.keras"), &options(0)).unwrap().checkpoint.card.layers;
    assert_eq!(one_hot[1], LayerSpec::OneHot { vocabulary: 4 }, "{one_hot:?}");
    let path = vector("models/keras3_sequence_tokens.keras");
    let error = import(&path, &Options { stop: None, ..options(1) }).unwrap_err().to_string();
    assert!(error.contains("the stop token") && error.ends_with("give --stop TOKEN"), "{error}");
}

#[test]
fn weights_alone_need_a_description() {
    let folder = tempfile::tempdir().unwrap();
    let like = folder.path().join("model.toml");
    let description = |reset: &str| {
        format!(
            "[model]\noutput = \"last_step\"\nlayers = [\n  {{ type = \"gru\", units = 7, reset = \"{reset}\" }},\n  \
             {{ type = \"gru\", units = 6, reset = \"{reset}\" }},\n  {{ type = \"dense\", units = 2 }},\n]\n"
        )
    };
    let options = Options { like: Some(like.clone()), ..Options::default() };
    for (file, reset) in [("keras_reg2_ra0", "before"), ("keras_reg2_ra1", "after")] {
        std::fs::write(&like, description(reset)).unwrap();
        assert_gives(&format!("{file}.weights.h5"), &format!("{file}_f32.npz"), &options);
        // A whole model may be described too.
        assert_gives(&format!("{file}.h5"), &format!("{file}_f32.npz"), &options);
    }
    // Two bidirectional layers are no GRUs of one direction.
    std::fs::write(
        &like,
        "[model]\noutput = \"last_step\"\nlayers = [\n  { type = \"gru\", units = 5, bidirectional = true },\n  \
         { type = \"gru\", units = 4, bidirectional = true, reset = \"before\" },\n  { type = \"dense\", units = 2 },\n]\n",
    )
    .unwrap();
    let name = "keras2_bidirectional_concat";
    assert_gives(&format!("{name}.h5"), &format!("models/{name}.npz"), &options);

    // An embedding has as many rows as its vocabulary.
    let path = vector("models/keras2_sequence_tokens.h5");
    let embedding = |rows: u16| {
        format!("{{ type = \"embedding\", vocabulary = {rows}, units = 3 }}, {{ type = \"gru\", units = 8 }}")
    };
    std::fs::write(&like, format!("[model]\noutput = \"every_step\"\nlayers = [{}]\n", embedding(7))).unwrap();
    // What the description has no layer for is not left out.
    let error = import(&path, &options).unwrap_err().to_string();
    assert!(error.contains("weights of embedding_1, for which the network of --like has no layer"), "{error}");
    std::fs::write(&like, format!("[model]\noutput = \"every_step\"\nlayers = [{}]\n", embedding(8))).unwrap();
    let error = import(&path, &options).unwrap_err().to_string();
    assert!(error.contains("expected the shape [8, 3], found [7, 3]"), "{error}");
    // Which of several GRUs are the encoder's, the order of the layers does not say.
    let (encoder, decoder) = (embedding(7), embedding(9));
    let gru = "{ type = \"gru\", units = 6 }";
    let pair = format!(
        "[model]\noutput = \"sequence\"\nencoder = [{encoder}, {gru}]\nlayers = [{decoder}, {gru}, {{ type = \"dense\" }}]\n"
    );
    std::fs::write(&like, pair).unwrap();
    let error = import(&path, &options).unwrap_err().to_string();
    assert!(error.contains("an encoder-decoder of several GRUs") && error.contains("without --like"), "{error}");

    std::fs::write(&like, description("after")).unwrap();
    let path = vector("models/keras_reg2_ra0.weights.h5");
    let error = import(&path, &options).unwrap_err().to_string();
    assert!(error.contains("gru/cell/vars/2: expected the shape [2, 21], found [21]"), "{error}");
    let error = import(&path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("it holds weights alone; describe it with --like CONFIG.toml"), "{error}");
    std::fs::write(&like, description("sideways")).unwrap();
    let error = import(&path, &options).unwrap_err().to_string();
    assert!(error.contains("sideways") && error.contains("docs/CONFIG.md"), "{error}");
}

#[test]
fn weights_that_are_described_may_take_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let like = folder.path().join("model.toml");
    let options = Options { like: Some(like.clone()), ..Options::default() };
    let describe = |vocabulary: u16, layers: &str| {
        let hot = format!("{{ type = \"one_hot\", vocabulary = {vocabulary} }}");
        std::fs::write(&like, format!("[model]\noutput = \"last_step\"\nlayers = [{hot}, {layers}]\n")).unwrap();
    };
    let (classes, regression) = (
        "{ type = \"gru\", units = 8 }, { type = \"dense\", units = 4, activation = \"softmax\" }",
        "{ type = \"gru\", units = 7 }, { type = \"gru\", units = 6 }, { type = \"dense\", units = 2 }",
    );
    for (file, inputs, layers) in [("keras_cls_ra1.weights.h5", 3, classes), ("torch_reg2.pt", 5, regression)] {
        let path = vector(&format!("models/{file}"));
        describe(inputs, layers);
        let imported = import(&path, &options).unwrap();
        assert_eq!(imported.checkpoint.card.layers[0], LayerSpec::OneHot { vocabulary: inputs }, "{file}");
        let blob = grulet_trainer::export::export(&imported.checkpoint).unwrap();
        let difference = grulet_trainer::import::check::against_graph(&imported, &blob, 2e-6).unwrap();
        assert!(difference.answers > 0 && difference.max <= 2e-6, "{file}: {difference:?}");
        describe(inputs + 1, layers);
        let error = import(&path, &options).unwrap_err().to_string();
        let phrase = format!("expected {} inputs, found {inputs}", inputs + 1);
        assert!(error.contains(&phrase), "{error}");
    }
}

/// Imports a `.keras` file whose architecture is changed first.
fn edited(name: &str, edit: impl FnOnce(&mut Value)) -> Result<Imported, ImportError> {
    let mut model =
        zip::ZipArchive::new(std::fs::File::open(vector(&format!("models/{name}.keras"))).unwrap()).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut model.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let mut config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    edit(&mut config);
    let bytes =
        archive(&[("config.json", config.to_string().as_bytes()), ("model.weights.h5", &read("model.weights.h5"))]);
    import_bytes(bytes, Path::new("model.keras"), &Options::default())
}

/// The layer of this class in the architecture.
fn layer<'a>(config: &'a mut Value, class: &str) -> &'a mut Value {
    let layers = config["config"]["layers"].as_array_mut().unwrap();
    layers.iter_mut().find(|layer| layer["class_name"] == class).unwrap()
}

#[test]
fn settings_that_make_another_network_are_refused() {
    for (model, class, key, value, phrase) in [
        (
            "keras3_category_encoding",
            "CategoryEncoding",
            "output_mode",
            json!("multi_hot"),
            "output_mode \"multi_hot\"",
        ),
        ("keras3_pool_mean", "GlobalAveragePooling1D", "data_format", json!("channels_first"), "channels_first"),
        ("keras3_pool_max", "GlobalMaxPooling1D", "data_format", json!("channels_first"), "channels_first"),
        ("keras3_normalization", "Normalization", "axis", json!([1]), "other axes than the channels"),
        ("keras3_normalization", "Normalization", "axis", json!([1, 2]), "other axes than the channels"),
        ("keras3_batch_norm", "BatchNormalization", "axis", json!(1), "another axis than the channels"),
        ("keras3_rescaling", "Rescaling", "scale", json!([[1.0], [2.0], [3.0]]), "not one for each channel"),
        ("keras3_rescaling", "Rescaling", "offset", json!([1.0, "2", 3.0]), "not one for each channel"),
    ] {
        assert!(edited(model, |_| {}).is_ok(), "{model}");
        let error =
            edited(model, |config| layer(config, class)["config"][key] = value.clone()).unwrap_err().to_string();
        assert!(error.contains(phrase), "{model}, {key} = {value}: {error}");
    }
    // A softmax in the place of the last layer.
    let softmax = |axis: Value| json!({ "class_name": "Softmax", "config": { "name": "softmax", "axis": axis } });
    let with = |axis: Value| {
        edited("keras3_pool_mean", |config| config["config"]["layers"].as_array_mut().unwrap().push(softmax(axis)))
    };
    assert!(with(json!(-1)).is_ok() && with(json!([1])).is_ok());
    for axis in [json!([1, 2]), json!(2), json!(0)] {
        let error = with(axis.clone()).unwrap_err().to_string();
        assert!(error.contains("a Softmax over axis"), "{axis}: {error}");
    }
}

#[test]
fn layers_of_users_are_not_taken_for_those_of_keras() {
    let of = |module: Value, registered: Value| {
        edited("keras3_functional", |config| {
            let dense = layer(config, "Dense");
            (dense["module"], dense["registered_name"]) = (module, registered);
        })
    };
    assert!(of(json!("keras.layers"), json!(null)).is_ok() && of(json!("keras.src.layers"), json!("Dense")).is_ok());
    for (module, registered, class) in
        [(json!(null), json!("Mine>Dense"), "Mine>Dense"), (json!("__main__"), json!("Dense"), "__main__>Dense")]
    {
        let error = of(module, registered).unwrap_err().to_string();
        assert!(error.contains(&format!("the layer {class}")), "{error}");
    }
    let error = edited("keras3_functional", |config| config["registered_name"] = json!("Mine>Functional"));
    assert!(error.unwrap_err().to_string().contains("a model of the class \"Mine>Functional\""));
}

#[test]
fn what_keras_computes_otherwise_is_refused() {
    // A layer as in training, in the forms of Keras 3 and Keras 2.
    for call in [
        json!([{ "args": [tensor("sensor", 0)], "kwargs": { "training": true } }]),
        json!([[["sensor", 0, 0, { "training": true }]]]),
    ] {
        let error = edited("keras3_functional", |config| layer(config, "GRU")["inbound_nodes"] = call.clone());
        assert!(error.unwrap_err().to_string().contains("training=True"), "{call}");
    }
    // Series of series.
    let deep = |config: &mut Value| layer(config, "InputLayer")["config"]["batch_shape"] = json!([null, 4, 9, 3]);
    let error = edited("keras3_functional", deep).unwrap_err().to_string();
    assert!(error.contains("an input of 3 dimensions"), "{error}");
    let error = edited("keras3_functional", |config| {
        let gru = layer(config, "GRU");
        let inner = json!({ "class_name": "GRU", "config": gru["config"] });
        (gru["class_name"], gru["config"]["layer"]) = (json!("TimeDistributed"), inner);
    });
    assert!(error.unwrap_err().to_string().contains("a TimeDistributed of GRU"));
}

#[test]
fn numbers_of_numpy_are_numbers() {
    let plain = edited("keras3_rescaling", |_| {}).unwrap();
    let wrapped = edited("keras3_rescaling", |config| {
        let rescaling = &mut layer(config, "Rescaling")["config"];
        for key in ["scale", "offset"] {
            rescaling[key] =
                json!({ "class_name": "__numpy__", "config": { "value": rescaling[key], "dtype": "float32" } });
        }
    });
    assert_eq!(wrapped.unwrap().checkpoint.params, plain.checkpoint.params);
}

#[test]
fn outputs_that_are_no_numbers_are_no_reason_to_pass() {
    let imported = import(&vector("models/keras_seq_ra1.keras"), &plain()).unwrap();
    let blob = grulet_trainer::export::export(&imported.checkpoint).unwrap();
    let mut npz = Npz::open(&vector("keras_seq_ra1_f32.npz")).unwrap();
    let (x, y) = (npz.array("x", "").unwrap(), npz.array("out", "").unwrap());
    let (steps, mut values) = (y.shape().to_vec(), y.map_numbers(0..y.len(), |value| value as f32));
    let compare = |values: &[f32]| {
        let array = crate::npz::Array::f32("out", &steps, values.iter().copied());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.npz");
        std::fs::write(&path, crate::npz::npz(&[array])).unwrap();
        let y = Npz::open(&path).unwrap().array("out", "").unwrap();
        check::against_outputs(&blob, Given { x: &x, tokens: None, y: &y, time_major: false }, 1e-5).unwrap()
    };
    assert!(compare(&values).first.is_none());
    values[3] = f32::INFINITY;
    let difference = compare(&values);
    assert_eq!(difference.first.map(|first| (first.series, first.expected)), Some((0, f64::INFINITY)));
    assert!(difference.largest.is_finite());
}

/// A `__keras_tensor__`.
fn tensor(layer: &str, output: usize) -> Value {
    json!({ "class_name": "__keras_tensor__", "config": { "keras_history": [layer, 0, output] } })
}

#[test]
fn a_state_is_not_taken_for_the_output() {
    let error = edited("keras3_functional", |config| {
        let after = config["config"]["layers"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|layer| layer["inbound_nodes"].to_string().contains("[\"first\",0,0]"));
        after.unwrap()["inbound_nodes"] = json!([{ "args": [tensor("first", 1)], "kwargs": {} }]);
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("output 1 of first, a state,") && error.contains("return_sequences=False"), "{error}");
    let error = edited("keras3_functional", |config| config["config"]["output_layers"] = json!([["first", 0, 1]]));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the model's output: output 1 of first"), "{error}");
    // One that the model is given is what a stream keeps, and is told.
    let imported = edited("keras3_functional", |config| {
        let layers = config["config"]["layers"].as_array_mut().unwrap();
        layers.push(json!({ "class_name": "InputLayer", "config": { "name": "state", "batch_shape": [null, 6] }, "inbound_nodes": [] }));
        layer(config, "GRU")["inbound_nodes"][0]["kwargs"]["initial_state"] = tensor("state", 0);
    });
    let skipped = imported.unwrap().skipped;
    assert!(skipped.iter().any(|note| note.contains("first: initial_state")), "{skipped:?}");
}

/// Keras 3 writes the layers that compute a mask.
#[test]
fn layers_of_masks_are_left_out() {
    let masked = |config: &mut Value, mask: &str| {
        let layers = config["config"]["layers"].as_array_mut().unwrap();
        for (class, name, from) in [("NotEqual", "not_equal", "sensor"), ("Any", "any", "not_equal")] {
            let call = json!([{ "args": [tensor(from, 0)], "kwargs": {} }]);
            layers
                .push(json!({ "class_name": class, "name": name, "config": { "name": name }, "inbound_nodes": call }));
        }
        layer(config, "GRU")["inbound_nodes"][0]["kwargs"]["mask"] = tensor(mask, 0);
    };
    let plain = edited("keras3_functional", |_| {}).unwrap();
    let imported = edited("keras3_functional", |config| masked(config, "any")).unwrap();
    assert_eq!(imported.checkpoint.params, plain.checkpoint.params);
    assert_eq!(imported.skipped, plain.skipped, "Masking and mask_zero tell themselves");
    // What data pass through is no mask; and one that no layer makes is told.
    let error = edited("keras3_functional", |config| {
        masked(config, "any");
        layer(config, "Dense")["inbound_nodes"][0]["args"] = json!([tensor("any", 0)]);
    });
    assert!(error.unwrap_err().to_string().contains("is not supported"));
    let given = edited("keras3_functional", |config| {
        let layers = config["config"]["layers"].as_array_mut().unwrap();
        layers.push(json!({ "class_name": "InputLayer", "config": { "name": "mask" }, "inbound_nodes": [] }));
        layer(config, "GRU")["inbound_nodes"][0]["kwargs"]["mask"] = tensor("mask", 0);
    });
    let skipped = given.unwrap().skipped;
    assert!(skipped.iter().any(|note| note.contains("first: mask")), "{skipped:?}");
}

#[test]
fn tokens_that_a_decoder_has_not_are_refused() {
    let path = vector("models/keras3_sequence_tokens.keras");
    let with = |start, stop, longest| {
        let options = Options { start: Some(start), stop: Some(stop), longest: Some(longest), ..Options::default() };
        import(&path, &options)
    };
    assert!(with(1, 3, 5).is_ok());
    for (start, stop, longest, phrase) in [
        (999, 3, 5, "--start 999: the decoder takes tokens below"),
        (1, 999, 5, "--stop 999: the decoder takes tokens below"),
        (3, 3, 5, "--start and --stop are both 3"),
        (1, 3, 0, "--longest 0"),
    ] {
        let error = with(start, stop, longest).unwrap_err().to_string();
        assert!(error.contains(phrase), "{error}");
    }
}

#[test]
fn options_that_a_file_has_no_use_for_are_refused() {
    for file in ["keras_seq_ra1.keras", "keras_seq_ra1.h5", "onnx_seq_lbr1.onnx", "torch_v_legacy.pt"] {
        let refused = |options: Options, phrase: &str| {
            let error = import(&vector(&format!("models/{file}")), &options).unwrap_err().to_string();
            assert!(error.contains(phrase) && error.contains("leave"), "{file}: {error}");
        };
        for options in [
            Options { start: Some(1), ..plain() },
            Options { stop: Some(1), ..plain() },
            Options { longest: Some(1), ..plain() },
        ] {
            refused(options, "--start, --stop or --longest");
        }
        if !file.ends_with(".onnx") {
            refused(Options { linear_before_reset: Some(true), ..plain() }, "--linear-before-reset");
        }
    }
}

#[test]
fn what_has_no_layer_is_folded() {
    let of = |name: &str| import(&vector(&format!("models/{name}")), &Options::default()).unwrap();
    let normalized = of("keras3_normalization.keras");
    let card = &normalized.checkpoint.card;
    assert_eq!((card.layers.len(), card.mean.len(), card.std.len()), (2, 3, 3), "the inputs' own scale");
    assert!(normalized.rows[0].target.contains("scale of inputs"), "{:?}", normalized.rows[0]);
    let scaled = of("keras3_rescaling.keras").checkpoint.card;
    assert!(scaled.layers.len() == 2 && scaled.target_std.is_empty(), "the last scale becomes part of the dense layer");
    // (x·0.5 + 1): the mean is -2 and the deviation 2.
    assert_eq!((scaled.mean, scaled.std), (vec![-2.0; 3], vec![2.0; 3]));
    // Four normalisations: into the inputs' scale, the GRU after it, the dense layers after and before it.
    assert_eq!(of("keras3_batch_norm.keras").checkpoint.card.layers.len(), 4);
    let pooled = of("keras3_pool_max.keras").checkpoint.card;
    assert!(matches!(pooled.layers[..], [_, .., LayerSpec::Pool { over: Pooling::Max, .. }, _]), "{:?}", pooled.layers);
    assert_eq!(pooled.output, Output::LastStep);
}

#[test]
fn what_a_file_says_is_kept() {
    let imported = import(&vector("models/keras_reg2_ra0.keras"), &Options::default()).unwrap();
    let card = &imported.checkpoint.card;
    assert_eq!((card.name.as_str(), card.window, card.output), ("reg2", 9, Output::LastStep));
    assert!(matches!(card.layers[0], LayerSpec::Gru { inputs: 5, hidden: 7, reset: Reset::Before, .. }));
    assert_eq!(imported.format, "Keras archive, Keras 3.15.1");
    let row = &imported.rows[1];
    assert_eq!((row.origin.source.as_str(), row.target.as_str()), ("gru/cell/vars/1", "gru.recurrent_kernel"));
    let skipped = import(&vector("models/keras3_pool_mean.keras"), &Options::default()).unwrap().skipped;
    assert!(skipped.iter().any(|note| note.contains("Dropout")), "{skipped:?}");
    let named = Options { name: Some("mine".to_owned()), ..Options::default() };
    assert_eq!(import(&vector("models/keras_reg2_ra0.h5"), &named).unwrap().checkpoint.card.name, "mine");
}
