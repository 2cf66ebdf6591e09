//! Data files that cannot be used.

use crate::npz::{Array, npz};
use crate::support::{Bench, table};

/// The table with the cells of line `line` (from 1) edited.
fn with(line: usize, edit: impl Fn(&mut Vec<&str>)) -> Vec<u8> {
    let edited = |(index, text): (usize, &str)| {
        let mut cells = text.split(',').collect();
        if index + 1 == line {
            edit(&mut cells);
        }
        cells.join(",") + "\n"
    };
    table(0, 20).lines().enumerate().map(edited).collect::<String>().into_bytes()
}

/// The table with one cell replaced.
fn cell(line: usize, column: usize, value: &str) -> Vec<u8> {
    with(line, |cells| {
        cells.remove(column);
        // Outlives the closure because it is leaked: a handful of bytes in a test.
        cells.insert(column, String::leak(value.to_owned()));
    })
}

/// The table with its first channel in a unit so large that the values are tiny.
fn with_small_a() -> Vec<u8> {
    let line = |(index, line): (usize, &str)| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if index > 0 {
            cells[3] += "e-13";
        }
        cells.join(",") + "\n"
    };
    table(0, 20).lines().enumerate().map(line).collect::<String>().into_bytes()
}

#[test]
fn tables() {
    let bench = Bench::new();
    let lines: Vec<String> = table(0, 20).lines().map(|line| line.to_owned() + "\n").collect();
    let swapped = [&lines[..3], &lines[4..5], &lines[3..4], &lines[5..]].concat().concat().into_bytes();
    let doubled = [&lines[..4], &lines[3..]].concat().concat().into_bytes();
    let headless = lines[1..].concat().replace("up", "1").replace("down", "0").into_bytes();
    let latin = cell(2, 1, "@").into_iter().map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect();
    let utf16 = table(0, 20).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let tiny = with_small_a();
    let one_class = table(0, 20).replace("down", "up").into_bytes();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("NaN", cell(3, 3, "NaN"), &["train.csv", "line 3, column \"a\", series \"0\"", "is NaN", "interpolate"]),
        ("infinity", cell(12, 4, "-inf"), &["train.csv", "line 12, column \"b\", series \"1\"", "is -inf"]),
        ("beyond f32", cell(3, 3, "1e39"), &["train.csv", "line 3, column \"a\"", "1e39"]),
        ("a word", cell(2, 3, "none"), &["train.csv:2", "column \"a\"", "\"none\"", "not a number"]),
        ("a decimal comma", cell(2, 3, "\"0,5\""), &["train.csv:2", "\"0,5\"", "decimal comma"]),
        ("an empty cell", cell(2, 3, ""), &["train.csv:2", "column \"a\"", "empty"]),
        (
            "an empty label",
            with(2, |cells| cells[1] = ""),
            &["train.csv: line 2, column \"label\"", "label is missing"],
        ),
        ("a short row", with(4, |cells| cells.truncate(4)), &["train.csv:4", "4 cells", "the header has 5"]),
        ("a long row", with(4, |cells| cells.push("1")), &["train.csv:4", "6 cells", "the header has 5"]),
        (
            "another label",
            cell(5, 1, "down"),
            &["train.csv:5", "series \"0\"", "from \"up\" to \"down\"", "every_step"],
        ),
        ("a doubled row", doubled, &["train.csv:5", "series \"0\"", "\"2\" does not come after \"2\"", "sort"]),
        ("rows out of order", swapped, &["train.csv:5", "series \"0\"", "\"2\" does not come after \"3\"", "sort"]),
        (
            "a stamp among numbers",
            cell(4, 2, "2026-01-01"),
            &["train.csv:4", "series \"0\"", "\"1\" and \"2026-01-01\"", "write all in one way"],
        ),
        ("a strange time", cell(2, 2, "noon"), &["train.csv:2", "time \"noon\""]),
        ("no header", headless, &["train.csv:1", "holds numbers"]),
        (
            "semicolons",
            lines.join("\n").replace(',', ";").into_bytes(),
            &["train.csv", "with commas between the cells"],
        ),
        ("a header alone", lines[0].clone().into_bytes(), &["train.csv", "no data"]),
        ("nothing", Vec::new(), &["train.csv", "no data"]),
        ("Latin-1", latin, &["train.csv", "line 2", "not UTF-8"]),
        ("UTF-16", utf16, &["train.csv", "not UTF-8"]),
        ("no label", cell(1, 1, "lable"), &["train.csv", "no column \"label\"", "mean \"lable\"", "`data.csv.label`"]),
        ("two columns of one name", cell(1, 4, "a"), &["train.csv", "two columns are called \"a\""]),
        ("an unnamed column", cell(1, 3, ""), &["train.csv", "column 4 has no name"]),
        ("one class", one_class, &["train.csv", "all examples are of class \"up\""]),
        ("a tiny unit", tiny, &["train.csv", "input channel \"a\"", "e-1", "another unit"]),
        ("zeros", vec![0; 4096], &["train.csv", "not UTF-8", "NUL"]),
    ];
    for (what, file, phrases) in cases {
        eprintln!("{what}");
        bench.put("train.csv", file);
        bench.refuses(&["train", "config.toml"], phrases);
    }
    bench.put("train.csv", table(0, 20).replace("down", "up"));
    let yes = ["train.loss=binary_crossentropy", "model.layers.1.activation=sigmoid", "model.layers.1.units=1"];
    let yes: Vec<&str> =
        ["train", "config.toml"].into_iter().chain(yes.iter().flat_map(|set| ["--set", set])).collect();
    bench.refuses(&yes, &["train.csv", "every label is \"up\"", "`data.classes`"]);
    bench.grulet(&[&yes[..], &["--set", "data.classes=[\"down\", \"up\"]"]].concat()).ok();
}

/// Lines are counted as an editor counts them.
#[test]
fn the_line_of_a_fault_is_the_true_one() {
    let bench = Bench::new();
    for (what, end, empty) in
        [("LF", "\n", ""), ("CRLF", "\r\n", ""), ("CR", "\r", ""), ("empty lines", "\r\n", "\r\n\r\n")]
    {
        eprintln!("{what}");
        let line = |line: usize| if empty.is_empty() { line } else { line + 2 };
        let file = |bytes: Vec<u8>| {
            let text: Vec<u8> = bytes.split(|&byte| byte == b'\n').collect::<Vec<_>>().join(end.as_bytes());
            let header = "series,label,t,a,b".len() + end.len();
            [&text[..header], empty.as_bytes(), &text[header..]].concat()
        };
        let latin = cell(9, 1, "@").into_iter().map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect();
        for (fault, at) in [
            (cell(33, 3, "none"), format!("train.csv:{}: column \"a\"", line(33))),
            (cell(12, 4, "-inf"), format!("line {}, column \"b\"", line(12))),
            (with(4, |cells| cells.truncate(4)), format!("train.csv:{}: the row has", line(4))),
            (latin, format!("line {}: not UTF-8", line(9))),
        ] {
            bench.put("train.csv", file(fault));
            bench.refuses(&["train", "config.toml"], &[&at]);
        }
    }
}

/// What a quote that is never closed swallows is not read as one cell, in whatever column.
#[test]
fn a_quote_that_is_never_closed() {
    let bench = Bench::new();
    let good = bench.text("train.csv");
    for (from, to) in [("\n3,down,0", "\n\"3,down,0"), (",up,3,", ",\"up,3,"), ("series,", "\"series,")] {
        bench.put("train.csv", good.replacen(from, to, 1));
        let line = good.split(from).next().unwrap().lines().count().max(1) + usize::from(from.starts_with('\n'));
        let place = format!("train.csv:{line}: a quote that opens in this row is never closed");
        bench.refuses(&["train", "config.toml", "--dry-run"], &[&place]);
    }
    // Closed quotes are none of these, nor is one at the very end.
    bench.put("train.csv", good.replace(",up,", ",\"up\",").trim_end());
    bench.grulet(&["train", "config.toml", "--dry-run"]).ok();
    for text in ["", "\n", "series,label,t,a,b"] {
        bench.put("train.csv", text);
        bench.refuses(&["train", "config.toml", "--dry-run"], &["train.csv: ", "no data"]);
    }
}

#[test]
fn targets_that_are_too_large_for_a_loss() {
    let bench = Bench::new();
    let large = |line: &str| if line.ends_with('b') { line.to_owned() + "\n" } else { line.to_owned() + "e30\n" };
    bench.put("train.csv", table(0, 20).lines().map(large).collect::<String>());
    let sets = [
        "data.csv.label=b",
        "data.csv.features=[\"a\"]",
        "data.units=[\"m\"]",
        "model.output=every_step",
        "model.layers.1.units=1",
        "model.layers.1.activation=linear",
        "train.loss=mse",
    ];
    let args: Vec<&str> =
        ["train", "config.toml"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
    let refused = |phrases: [&str; 4]| {
        let ran = bench.grulet(&args);
        assert!(ran.code == 1 && phrases.iter().all(|phrase| ran.stderr.contains(phrase)), "{}", ran.stderr);
        assert!(!bench.path("runs").exists());
    };
    refused(["epoch 1, batch 1", "is inf", "before the first step", "in other units"]);
    let config = bench.text("config.toml").replace("fraction = 0.2", "file = \"large.csv\"");
    bench.put("large.csv", bench.text("train.csv"));
    bench.put("train.csv", table(0, 20));
    bench.put("config.toml", config);
    refused(["epoch 1: ", "the loss of the validation part is inf", "too large", "in other units"]);
}

#[test]
fn columns_and_files_that_are_not_there() {
    let bench = Bench::new();
    bench.put("other.csv", table(0, 20).replace("label,t,a,b", "label,t,b,c"));
    bench.put("table.txt", table(0, 20));
    for (setting, phrases) in [
        ("data.train=none.csv", &["none.csv", "cannot read", "check the path"][..]),
        ("data.train=runs.npz", &["runs.npz", "cannot read"]),
        ("data.train=table.txt", &["table.txt", "give a .npz or a .csv"]),
        ("data.test=none.csv", &["none.csv", "cannot read"]),
        ("data.test=other.csv", &["other.csv", "no column \"a\""]),
        ("data.csv.label=lable", &["train.csv", "no column \"lable\"", "mean \"label\"", "`data.csv.label`"]),
        ("data.csv.features=[\"a\",\"B\"]", &["train.csv", "no column \"B\"", "mean \"b\"", "`data.csv.features`"]),
        ("data.csv.series=person", &["train.csv", "no column \"person\"", "`data.csv.series`"]),
        ("data.csv.time=time", &["train.csv", "no column \"time\"", "`data.csv.time`"]),
        ("data.csv.group=person", &["train.csv", "no column \"person\"", "`data.csv.group`"]),
        ("data.classes=[\"up\",\"down\",\"left\"]", &["train.csv", "\"left\" has no example", "`data.classes`"]),
        ("data.channels=names", &["train.csv", "`data.channels`", "only a .npz"]),
    ] {
        bench.refuses(&["train", "config.toml", "--set", setting], phrases);
    }
    bench.put("config.toml", bench.text("config.toml").replace("fraction = 0.2", "groups = [3]"));
    bench.refuses(&["train", "config.toml"], &["config.toml", "`data.csv.group`"]);
    let groups = &["train", "config.toml", "--set", "data.csv.group=series"];
    bench.grulet(groups).ok();
    let args = [&groups[..], &["--overwrite", "--set", "data.validation.groups=[77]"]].concat();
    bench.refuses(&args, &["train.csv", "no series is of group \"77\"", "`data.validation.groups`"]);
}

/// Neither an empty cell nor what pandas writes for it is a class or a group.
#[test]
fn missing_labels_and_groups() {
    let bench = Bench::new();
    // All steps of the last series.
    let label = |word: &str| table(0, 20).replace("\n19,down,", &format!("\n19,{word},"));
    let every = "model.output=every_step";
    for (word, found) in [("", "is missing"), ("\" \"", "is missing"), ("nan", "\"nan\""), ("NaN", "\"NaN\"")] {
        bench.put("train.csv", label(word));
        for setting in ["seed=1", every, "train.loss=categorical_crossentropy"] {
            let phrases = ["train.csv: line 154, column \"label\"", found, "remove", "`data.classes`"];
            bench.refuses(&["train", "config.toml", "--set", setting], &phrases);
        }
    }
    for (word, found) in [("", "is missing"), ("nan", "\"nan\"")] {
        bench.put("train.csv", table(0, 20).replacen("\n19,down,4,", &format!("\n{word},down,4,"), 1));
        bench.refuses(&["train", "config.toml"], &["train.csv: line 158, column \"series\"", "the series is", found]);
    }
    bench.put("train.csv", table(0, 20).replace("down", "\"do\nwn\""));
    bench.refuses(&["train", "config.toml"], &["train.csv", "\"do\\nwn\" has a line feed"]);
    // Neither where labels are numbers.
    bench.put("train.csv", label("nan").replace(",up,", ",1,").replace(",down,", ",0,"));
    bench.refuses(&["train", "config.toml"], &["train.csv: line 154, column \"label\"", "\"nan\""]);

    let classes = ["--set", "data.classes=[\"down\", \"nan\", \"up\"]"];
    bench.put("train.csv", label("nan").replace("\n18,up,", "\n18,nan,").replace("\n17,down,", "\n17,nan,"));
    let units = ["--set", "model.layers.1.units=3", "--set", "data.test=train.csv", "--set", "train.epochs=1"];
    let test = bench.text("train.csv");
    bench.put("test.csv", test);
    bench.grulet(&[&["train", "config.toml"], &classes[..], &units[..2], &units[4..]].concat()).ok();
    std::fs::remove_dir_all(bench.path("runs")).unwrap();
    let other = label("NA").replace("\n18,up,", "\n18,NA,").replace("\n17,down,", "\n17,NA,");
    bench.put("train.csv", &other);
    bench.put("test.csv", other);
    bench.grulet(&[&["train", "config.toml"], &units[..2], &units[4..]].concat()).ok();
    std::fs::remove_dir_all(bench.path("runs")).unwrap();

    let group = |word: &str| {
        let row = |row: &str| match row.split(',').next().unwrap() {
            "series" => format!("{row},who\n"),
            "7" => format!("{row},{word}\n"),
            _ => format!("{row},p\n"),
        };
        table(0, 20).lines().map(row).collect::<String>()
    };
    for word in ["", "nan"] {
        bench.put("train.csv", group(word));
        let phrases = ["train.csv: line 58, column \"who\"", "group is", "remove"];
        bench.refuses(&["train", "config.toml", "--set", "data.csv.group=who"], &phrases);
    }
}

/// An array of words of up to 3 characters.
fn words(name: &'static str, words: &[&str]) -> Array {
    let unit = |word: &str, at: usize| word.chars().nth(at).map_or(0, u32::from).to_le_bytes();
    let bytes = words.iter().flat_map(|word| (0..3).flat_map(move |at| unit(word, at))).collect();
    Array { descr: "<U3", bytes, ..Array::i32(name, &vec![0; words.len()]) }
}

#[test]
fn missing_labels_and_groups_of_archives() {
    let bench = Bench::new();
    let train = ["train", "config.toml", "--set", "data.train=train.npz", "--set", "data.test=train.npz"];
    let test = ["--set", "data.npz_test.y=y2"];
    for word in ["", "nan", "NaN"] {
        let y = words("y", &["a", "b", "a", word, "a", "b"]);
        bench.put("train.npz", npz(&[arrays().remove(0), y]));
        let phrases = ["train.npz: series 3 (array \"y\")", "the label is", "`data.classes`"];
        bench.refuses(&[&train[..], &test].concat(), &phrases);
        let who = words("who", &["a", "b", "a", word, "a", "b"]);
        bench.put("train.npz", npz(&[arrays().remove(0), arrays().remove(1), who]));
        let phrases = ["train.npz: series 3 (array \"who\")", "the group is"];
        bench.refuses(&[&train[..], &test, &["--set", "data.npz.group=who"]].concat(), &phrases);
    }
    // The setting that is told is the one that counts for the part.
    bench.put("train.npz", npz(&arrays()));
    bench.refuses(&[&train[..], &test].concat(), &["no array \"y2\"", "set `data.npz_test.y`"]);
}

/// Arrays of 6 series of 3 steps, `x (6, 3, 2)` and `y (6)`.
fn arrays() -> Vec<Array> {
    let x = (0..36).map(|i| (i * i % 7) as f32);
    vec![Array::f32("x", &[6, 3, 2], x), Array::i32("y", &[0, 1, 0, 1, 0, 1])]
}

fn archive(edit: impl Fn(&mut Vec<Array>)) -> Vec<u8> {
    let mut arrays = arrays();
    edit(&mut arrays);
    npz(&arrays)
}

/// The rows concatenated, with lengths.
fn flat(lengths: Array) -> Vec<u8> {
    archive(|arrays| {
        arrays[0].shape = vec![18, 2];
        arrays.push(Array { name: "n", bytes: lengths.bytes.clone(), shape: lengths.shape.clone(), ..lengths });
    })
}

/// What is wrong, the archive, further arguments, and what the error says.
type ArchiveCase<'a> = (&'a str, Vec<u8>, &'a [&'a str], &'a [&'a str]);

#[test]
fn archives() {
    let bench = Bench::new();
    let value = |index: usize, value: f32| {
        archive(move |arrays| arrays[0].bytes[4 * index..][..4].copy_from_slice(&value.to_le_bytes()))
    };
    let good = archive(|_| {});
    let flipped =
        |at: usize| good.iter().enumerate().map(|(i, &byte)| if i == at { byte ^ 0x10 } else { byte }).collect();
    // Behind the 30 bytes of the first entry's own header and its name of 5.
    let deflated: Vec<u8> = flipped(30 + 5 + 40);
    let lengths = |lengths: &[i32]| flat(Array::i32("n", lengths));
    let huge = |shape: &[usize]| archive(|arrays| arrays[0].shape = shape.to_vec());
    let keys = &["--set", "data.npz.lengths=n"][..];
    let none = &[][..];
    let cases: Vec<ArchiveCase> = vec![
        ("NaN", value(2 * 3 * 2 + 5, f32::NAN), none, &["array \"x\", series 2, step 2, channel 1", "is NaN"]),
        ("infinity", value(0, f32::INFINITY), none, &["array \"x\", series 0, step 0, channel 0", "is inf"]),
        ("no such key", good.clone(), &["--set", "data.npz.x=X"], &["no array \"X\"", "mean \"x\"", "`data.npz.x`"]),
        ("no targets", npz(&arrays()[..1]), none, &["no array \"y\"", "\"x\"", "`data.npz.y`"]),
        (
            "too few targets",
            archive(|a| a[1] = Array::i32("y", &[0, 1])),
            none,
            &["array \"y\"", "shape [2]", "6 series"],
        ),
        (
            "a class that is none",
            archive(|a| a[1] = Array::i32("y", &[0, 1, 0, -1, 0, 1])),
            none,
            &["series 3", "is -1"],
        ),
        (
            "a class without example",
            archive(|a| a[1] = Array::i32("y", &[0, 2, 0, 2, 0, 2])),
            none,
            &["class \"1\"", "no example"],
        ),
        (
            "an axis missing",
            archive(|a| a[0].shape = vec![18, 2]),
            none,
            &["array \"x\"", "shape [18, 2]", "`data.npz.lengths`"],
        ),
        (
            "an axis too many",
            archive(|a| a[0].shape = vec![6, 3, 2, 1]),
            none,
            &["array \"x\"", "(series, steps, channels)"],
        ),
        (
            "no channels",
            archive(|a| a[0] = Array::f32("x", &[6, 3, 0], [])),
            none,
            &["array \"x\"", "at least one channel"],
        ),
        ("no series", archive(|a| a[0] = Array::f32("x", &[0, 3, 2], [])), none, &["no data"]),
        ("no steps", archive(|a| a[0] = Array::f32("x", &[6, 0, 2], [])), none, &["series \"0\" has no steps"]),
        ("a length of zero", lengths(&[3, 3, 0, 6, 3, 3]), keys, &["series \"2\" has no steps"]),
        ("lengths too short", lengths(&[3, 3, 3, 3, 3, 2]), keys, &["array \"n\"", "add up to 17", "18 rows"]),
        ("a negative length", lengths(&[3, 3, 3, 3, 9, -3]), keys, &["array \"n\"", "series 5", "-3"]),
        (
            "half a length",
            flat(Array::f32("n", &[6], [3.0, 2.5, 3.5, 3.0, 3.0, 3.0])),
            keys,
            &["array \"n\"", "series 1", "2.5"],
        ),
        ("cut off", good[..good.len() / 2].to_vec(), none, &["damaged or of another format"]),
        ("one bit in the data", deflated, none, &["array \"x\"", "damaged or of another format"]),
        ("a table", table(0, 3).into_bytes(), none, &["damaged or of another format"]),
        ("nothing", Vec::new(), none, &["no data"]),
        (
            "a promise of 8 TB",
            huge(&[1_000_000, 1_000_000, 2]),
            none,
            &["array \"x\"", "needs 8000000000000 bytes, 144 are there"],
        ),
        ("a promise beyond 64 bits", huge(&[1 << 40, 1 << 40, 2]), none, &["array \"x\"", "impossible shape"]),
        ("objects", archive(|a| a[0].descr = "|O"), none, &["array \"x\"", "Python objects", ".astype(str)"]),
        ("words as inputs", archive(|a| a[0].descr = "<U1"), none, &["array \"x\"", "strings", "inputs are numbers"]),
    ];
    for (what, file, args, phrases) in cases {
        eprintln!("{what}");
        bench.put("train.npz", file);
        bench.put("test.npz", &good);
        let test = ["train", "config.toml", "--set", "data.train=train.npz", "--set", "data.test=test.npz"];
        bench.refuses(&[&test[..], args].concat(), &[&["train.npz"], phrases].concat());
    }
}

#[test]
fn any_single_byte_of_an_archive_may_be_wrong() {
    let bench = Bench::new();
    let good = archive(|_| {});
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        bench.put("train.npz", bad);
        let ran =
            bench.grulet(&["train", "config.toml", "--set", "data.train=train.npz", "--set", "data.test=none.npz"]);
        // A date in the archive may be any.
        let told = ran.stderr.contains("train.npz") || ran.stderr.contains("none.npz");
        assert!(ran.code == 1 && told && ran.stderr.lines().count() == 1, "byte {at}: {} {}", ran.code, ran.stderr);
    }
}
