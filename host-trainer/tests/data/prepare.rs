//! Splits do not leak, and windows are where they should be.

use std::collections::BTreeSet;

use grulet_trainer::config::Config;
use grulet_trainer::data::{self, Dataset, Prepared, Warning};
use proptest::prelude::*;
use tempfile::TempDir;

const CONFIG: &str = r#"
[data]
train = "train.csv"
[model]
output = "every_step"
layers = [{ type = "gru", units = 4 }, { type = "dense", units = 1 }]
[train]
loss = "mse"
epochs = 1
"#;

/// A table of series with the given lengths, each of a group of two; `a` tells series and step, `b` is crooked, `c` is 7.
fn table(lengths: &[usize]) -> String {
    let mut text = "series,person,t,a,b,c,label\n".to_owned();
    for (series, &steps) in lengths.iter().enumerate() {
        for t in 0..steps {
            let a = 100 * series + t;
            text += &format!("s{series},p{},{t},{a},{},7,{}\n", series / 2, (a * a) % 13, a + 1);
        }
    }
    text
}

fn prepare_in(folder: &TempDir, train: &str, sets: &[&str]) -> Result<Prepared, String> {
    std::fs::write(folder.path().join("train.csv"), train).unwrap();
    let sets = [&["data.csv.group=person"], sets].concat();
    let config = Config::parse(&folder.path().join("a.toml"), CONFIG, &sets).unwrap_or_else(|error| panic!("{error}"));
    data::prepare(&config).map_err(|error| error.to_string())
}

fn prepare(train: &str, sets: &[&str]) -> Prepared {
    prepare_in(&TempDir::new().unwrap(), train, sets).unwrap_or_else(|error| panic!("{error}"))
}

fn names(data: &Dataset) -> BTreeSet<String> {
    data.series.iter().map(|series| series.name.clone()).collect()
}

fn column(data: &Dataset, channel: usize) -> Vec<f32> {
    data.series.iter().flat_map(|series| series.x.iter().skip(channel).step_by(data.inputs())).copied().collect()
}

proptest! {
    #[test]
    fn windows_are_slices_of_their_series(
        lengths in proptest::collection::vec(1usize..20, 1..5),
        window in 1usize..8,
        stride in 1usize..10,
    ) {
        prop_assume!(lengths.iter().any(|&steps| steps >= window) && lengths.iter().sum::<usize>() > 1);
        let sets = [format!("data.window={window}"), format!("data.stride={stride}"), "data.normalize=none".to_owned()];
        let prepared = prepare(&table(&lengths), &sets.each_ref().map(String::as_str));
        let mut windows = prepared.train.series.iter();
        for (series, &steps) in lengths.iter().enumerate() {
            let count = if steps < window { 1 } else { (steps - window) / stride + 1 };
            for index in 0..count {
                let cut = windows.next().expect("another window");
                prop_assert_eq!((&cut.name, cut.start), (&format!("s{series}"), index * stride));
                let first = 100 * series + index * stride;
                let a: Vec<usize> = cut.x.iter().step_by(3).map(|&a| a as usize).collect();
                prop_assert_eq!(a, (first..first + steps.min(window)).collect::<Vec<_>>());
                let y: Vec<usize> = cut.targets.iter().map(|&y| y as usize).collect();
                prop_assert_eq!(y, (first + 1..first + 1 + steps.min(window)).collect::<Vec<_>>());
            }
        }
        prop_assert!(windows.next().is_none());
        let short = lengths.iter().filter(|&&steps| steps < window).count();
        let warned = prepared.warnings.contains(&Warning::ShortSeries { count: short, window });
        prop_assert_eq!(warned, short > 0);
    }

    #[test]
    fn a_split_by_fraction_has_every_series_on_one_side(count in 2usize..12, fraction in 0.01f64..0.99, seed in 0u64..1000) {
        let sets = [
            format!("data.validation.fraction={fraction}"),
            format!("seed={seed}"),
            "data.window=3".to_owned(),
            "data.stride=1".to_owned(),
            // Each is a group of its own.
            "data.csv.group=series".to_owned(),
            "data.csv.features=[\"a\",\"b\",\"c\"]".to_owned(),
        ];
        let prepared = prepare(&table(&vec![6; count]), &sets.each_ref().map(String::as_str));
        let (train, validation) = (names(&prepared.train), names(prepared.validation.as_ref().unwrap()));
        prop_assert!(train.is_disjoint(&validation));
        prop_assert_eq!(train.len() + validation.len(), count);
        let expected = ((fraction * count as f64).round() as usize).clamp(1, count - 1);
        prop_assert_eq!(validation.len(), expected);
    }
}

/// Groups of very unlike sizes: neither part takes all.
#[test]
fn a_split_by_fraction_leaves_groups_on_both_sides() {
    let rows = |series: usize| format!("s{series},{},0,{series},1,1,2\n", if series < 9 { "large" } else { "small" });
    let table = "series,person,t,a,b,c,label\n".to_owned() + &(0..10).map(rows).collect::<String>();
    for seed in 0..20 {
        let prepared =
            prepare(&table, &["data.validation.fraction=0.5", &format!("seed={seed}"), "data.normalize=none"]);
        let sizes = [prepared.train.series.len(), prepared.validation.unwrap().series.len()];
        assert!(sizes == [9, 1] || sizes == [1, 9], "seed {seed}: {sizes:?}");
    }
}

/// Label t of series 0 is t + 1.
#[test]
fn a_window_may_have_the_target_of_its_last_step() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("test.csv"), table(&[9])).unwrap();
    let sets = ["model.output=last_step", "data.window=4", "data.stride=2", "data.horizon=3", "data.test=test.csv"];
    let prepared = prepare_in(&folder, &table(&[9, 12]), &sets).unwrap();
    let targets = |data: &Dataset| data.series.iter().map(|series| series.targets.clone()).collect::<Vec<_>>();
    // The last of the steps 0 to 3 sees label 3 + 3, which is 7.
    assert_eq!(targets(&prepared.train), [[7.0], [9.0], [107.0], [109.0], [111.0]]);
    assert_eq!(targets(prepared.test.as_ref().unwrap()), [[7.0], [9.0]]);
    assert_eq!(targets(prepared.known.as_ref().unwrap()), [[4.0], [6.0]], "labels of the last steps");
    let streamed = prepare_in(&folder, &table(&[9]), &["data.horizon=3", "data.test=test.csv"]).unwrap();
    assert_eq!(targets(streamed.test.as_ref().unwrap()), [[4.0, 5.0, 6.0, 7.0, 8.0, 9.0]]);
    assert_eq!(targets(streamed.known.as_ref().unwrap()), [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]);

    // Without a horizon, one target belongs to a series.
    let error = prepare_in(&folder, &table(&[9]), &["model.output=last_step", "data.window=4"]).unwrap_err();
    assert!(error.contains("changes its label") && error.contains("`data.horizon = 0`"), "{error}");
    let now = prepare(&table(&[9]), &["model.output=last_step", "data.window=4", "data.horizon=0"]);
    assert_eq!(targets(&now.train), [[4.0], [8.0]]);
}

#[test]
fn the_training_part_may_have_a_stride_of_its_own() {
    let count = |sets: &[&str]| {
        let sets = [&["data.validation.fraction=0.5", "data.window=3"], sets].concat();
        let prepared = prepare(&table(&[9; 4]), &sets);
        (prepared.train.series.len(), prepared.validation.unwrap().series.len())
    };
    assert_eq!(count(&[]), (6, 6));
    assert_eq!(count(&["data.stride=2"]), (8, 8));
    assert_eq!(count(&["data.train_stride=1"]), (14, 6));
    assert_eq!(count(&["data.stride=2", "data.train_stride=1"]), (14, 8));
}

#[test]
fn another_seed_splits_otherwise() {
    let split = |seed: &str| {
        names(prepare(&table(&[4; 40]), &["data.validation.fraction=0.3", seed]).validation.as_ref().unwrap())
    };
    assert_eq!(split("seed=3"), split("seed=3"));
    assert_ne!(split("seed=3"), split("seed=4"));
}

#[test]
fn a_split_by_groups_takes_whole_groups() {
    let sets = ["data.validation.groups=[\"p1\", \"p3\"]", "data.window=2", "data.stride=1"];
    let prepared = prepare(&table(&[4; 8]), &sets);
    let validation = names(prepared.validation.as_ref().unwrap());
    assert_eq!(validation.iter().collect::<Vec<_>>(), ["s2", "s3", "s6", "s7"]);
    assert_eq!(names(&prepared.train).len(), 4);
    assert!(names(&prepared.train).is_disjoint(&validation));

    let folder = TempDir::new().unwrap();
    let all = "data.validation.groups=[\"p0\", \"p1\"]";
    let error = prepare_in(&folder, &table(&[4; 4]), &[all]).unwrap_err();
    assert!(error.contains("every series is of a group for validation"), "{error}");
}

#[test]
fn one_series_is_split_in_time_and_no_target_reaches_over_the_cut() {
    let sets = ["data.validation.fraction=0.3", "data.horizon=2", "data.normalize=none"];
    let prepared = prepare(&table(&[20]), &sets);
    let validation = prepared.validation.unwrap();
    // Steps 0 to 13 and 14 to 19; the last two of each have no target.
    assert_eq!(column(&prepared.train, 0), (0..12).map(|a| a as f32).collect::<Vec<_>>());
    assert_eq!(column(&validation, 0), (14..18).map(|a| a as f32).collect::<Vec<_>>());
    assert_eq!(prepared.train.series[0].targets.last(), Some(&14.0), "the label of step 13");
    assert_eq!((validation.series[0].targets[0], validation.series[0].start), (17.0, 14));
}

#[test]
fn a_validation_file_is_read_like_the_training_file() {
    let folder = TempDir::new().unwrap();
    let swapped = "label,c,b,a,t,series,person\n5,7,1,3,0,x,p\n6,7,2,4,1,x,p\n";
    std::fs::write(folder.path().join("other.csv"), swapped).unwrap();
    let sets = ["data.validation.file=other.csv", "data.normalize=none"];
    let prepared = prepare_in(&folder, &table(&[5, 5]), &sets).unwrap();
    let validation = prepared.validation.unwrap();
    assert_eq!(validation.series[0].x, [3.0, 1.0, 7.0, 4.0, 2.0, 7.0]);
    assert_eq!(prepared.train.series.len(), 2);
}

/// Mean 0 and deviation 1 on the training part, from the training part alone.
#[test]
fn normalisation_knows_the_training_part_alone() {
    let folder = TempDir::new().unwrap();
    let sets = ["data.validation.groups=[\"p2\"]", "data.test=test.csv", "data.normalize_targets=true"];
    let run = |shift: f32| {
        // Only series 4 and 5, which are of p2, and the test file are shifted.
        let shifted = |text: String, from: usize| -> String {
            let shift = |line: &str| {
                let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
                let series: Option<usize> = cells[0][1..].parse().ok();
                if series.is_some_and(|series| series >= from) {
                    for cell in [3, 4, 6] {
                        cells[cell] = (cells[cell].parse::<f32>().unwrap() + shift).to_string();
                    }
                }
                cells.join(",") + "\n"
            };
            text.lines().map(shift).collect()
        };
        std::fs::write(folder.path().join("test.csv"), shifted(table(&[5]), 0)).unwrap();
        prepare_in(&folder, &shifted(table(&[9; 6]), 4), &sets).unwrap()
    };
    let (plain, shifted) = (run(0.0), run(1000.0));
    assert_eq!(plain.train, shifted.train);
    assert_eq!((&plain.inputs, &plain.targets), (&shifted.inputs, &shifted.targets));
    assert_ne!(plain.validation, shifted.validation);
    assert_eq!(shifted.test.as_ref().unwrap().series[0].x[..3], [1000.0, 1000.0, 7.0], "the test stays in raw units");
    assert_eq!(shifted.test.as_ref().unwrap().series[0].targets[0], 1001.0);

    for channel in 0..2 {
        let values: Vec<f64> = column(&plain.train, channel).into_iter().map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "channel {channel}: {mean} {variance}");
    }
    // The validation part is normalised by the same numbers.
    let inputs = plain.inputs.unwrap();
    let first = plain.validation.unwrap().series[0].x[0];
    assert!((first - (400.0 - inputs.mean[0]) / inputs.std[0]).abs() < 1e-6);
}

#[test]
fn a_constant_channel_is_centred_and_reported() {
    let prepared = prepare(&table(&[9, 9]), &[]);
    assert!(column(&prepared.train, 2).iter().all(|&c| c == 0.0));
    let inputs = prepared.inputs.unwrap();
    assert_eq!((inputs.mean[2], inputs.std[2]), (7.0, 1.0));
    assert_eq!(prepared.warnings, [Warning::ConstantChannel { channel: "c".into(), value: 7.0 }]);
}

#[test]
fn numbers_far_from_zero_are_told() {
    let far = |offset: f64, scale: f64| {
        let rows = (0..40).map(|t| format!("s0,p0,{t},{},{}\n", offset + scale * f64::from(t % 5), t % 7));
        "series,person,t,a,label\n".to_owned() + &rows.collect::<String>()
    };
    let warnings = |table: &str| prepare(table, &[]).warnings.iter().map(Warning::to_string).collect::<Vec<_>>();
    let coarse = warnings(&far(1e7, 1.0));
    assert!(coarse.len() == 1 && coarse[0].contains("channel \"a\" varies by 1.4"), "{coarse:?}");
    assert!(coarse[0].contains("around 10000002, where f32 has steps of 1.000e0: subtract an offset"), "{coarse:?}");
    let constant = warnings(&far(1.7e9, 1.0));
    assert!(constant[0].contains("throughout") && constant[0].contains("below 128, the step of f32"), "{constant:?}");
    assert_eq!(warnings(&far(20.0, 0.01)), [""; 0]);
    // Targets alike.
    let targets = far(0.0, 1.0).replace(",1\n", ",1e8\n").replace(",2\n", ",1.0000001e8\n");
    let targets: String =
        targets.lines().filter(|line| line.contains('e')).map(|line| line.to_owned() + "\n").collect();
    let warned = prepare(&targets, &["data.normalize_targets=true"]).warnings;
    assert!(matches!(&warned[..], [Warning::Coarse { what, .. }] if what == "target 1"), "{warned:?}");
}

#[test]
fn angles_become_sine_and_cosine_after_the_horizon() {
    let sets = ["data.target_transform=sin_cos", "data.horizon=1", "model.layers.1.units=2"];
    let prepared = prepare(&table(&[4]), &sets);
    // Labels 1, 2, 3, 4: the first is nobody's.
    let expected: Vec<f32> =
        [2f64, 3.0, 4.0].iter().flat_map(|angle| [angle.sin() as f32, angle.cos() as f32]).collect();
    let close = prepared.train.series[0].targets.iter().zip(&expected).all(|(y, e)| (y - e).abs() < 1e-6);
    assert!(close && prepared.train.series[0].targets.len() == 6, "{:?}", prepared.train.series[0].targets);
}

#[test]
fn a_series_as_long_as_the_horizon_is_an_error() {
    let folder = TempDir::new().unwrap();
    let error = prepare_in(&folder, &table(&[4, 3]), &["data.horizon=3"]).unwrap_err();
    assert!(error.contains("series \"s1\" has 3 steps"), "{error}");
}
