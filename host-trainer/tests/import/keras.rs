//! Files that Keras 2 and Keras 3 have written (tests/vectors/README.md).

use grulet::spec::{LayerSpec, Output, Pooling, Reset};
use grulet_trainer::import::{Options, import};

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

#[test]
fn a_category_encoding_of_another_kind_is_refused() {
    let mut model =
        zip::ZipArchive::new(std::fs::File::open(vector("models/keras3_category_encoding.keras")).unwrap()).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut model.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let (config, weights) = (String::from_utf8(read("config.json")).unwrap(), read("model.weights.h5"));
    let config = config.replace("\"one_hot\"", "\"multi_hot\"");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.keras");
    std::fs::write(&path, archive(&[("config.json", config.as_bytes()), ("model.weights.h5", &weights)])).unwrap();
    let error = import(&path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("output_mode \"multi_hot\"") && error.contains("use output_mode"), "{error}");
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
