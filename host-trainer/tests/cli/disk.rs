//! Folders and disks that cannot be written.

use crate::support::{Bench, GRULET, Ran};

#[test]
fn a_run_folder_below_a_file_is_refused() {
    let bench = Bench::new();
    let args = ["train", "config.toml", "--set", "train.run_dir=train.csv/run"];
    bench.refuses(&args, &["train.csv/run", "cannot make the folder"]);
    let args = ["train", "config.toml", "--set", "train.run_dir=train.csv"];
    bench.refuses(&args, &["train.csv", "cannot make the folder"]);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let bench = Bench::trained();
    bench.refuses(&["export", "runs/config", "-o", "none/a.gru"], &["none/a.gru", "cannot write", "check the path"]);
    bench.refuses(&["predict", "runs/config", "-o", "runs"], &["runs", "cannot write"]);
    bench.refuses(&["predict", "runs/config", "-o", "test.csv/a.csv"], &["test.csv/a.csv", "cannot write"]);
}

/// New files are as private as the process wants them, and old ones as they were.
#[cfg(unix)]
#[test]
fn new_files_have_the_permissions_of_the_process() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::trained();
    let predict = |mask: &str| {
        let command = format!("umask {mask}; exec {GRULET} predict runs/config -o answers.csv");
        assert!(bench.command("sh", &["-c", &command]).status().unwrap().success());
        std::fs::metadata(bench.path("answers.csv")).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(predict("077"), 0o600);
    assert_eq!(predict("022"), 0o600);
    std::fs::remove_file(bench.path("answers.csv")).unwrap();
    assert_eq!(predict("022"), 0o644);
}

/// Root may write everywhere but here.
#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_folder_is_named() {
    let bench = Bench::trained();
    let args = ["train", "config.toml", "--set", "train.run_dir=/proc/run"];
    bench.refuses(&args, &["/proc/run", "cannot make the folder"]);
    bench.refuses(&["export", "runs/config", "-o", "/proc/a.gru"], &["/proc/a.gru", "cannot write"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_noticed_and_stays_a_device() {
    use std::os::unix::fs::FileTypeExt;
    let bench = Bench::trained();
    bench.refuses(&["predict", "runs/config", "-o", "/dev/full"], &["/dev/full", "cannot write", "No space"]);
    assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    for args in [&["predict", "runs/config"][..], &["inspect", "runs/config", "--json"], &["evaluate", "runs/config"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(bench.command(GRULET, args).stdout(full).output().unwrap());
        ran.failed(&["cannot write to standard output", "No space"]);
    }
}

/// A link stays a link, whether what it names is there or not.
#[cfg(unix)]
#[test]
fn a_link_to_what_is_not_there_yet_is_followed() {
    let bench = Bench::trained();
    std::os::unix::fs::symlink("answers.csv", bench.path("link.csv")).unwrap();
    bench.grulet(&["predict", "runs/config", "-o", "link.csv"]).ok();
    assert!(std::fs::symlink_metadata(bench.path("link.csv")).unwrap().is_symlink());
    assert!(bench.text("answers.csv").starts_with("series,step,"));
    std::fs::remove_file(bench.path("link.csv")).unwrap();
    std::os::unix::fs::symlink("none/answers.csv", bench.path("link.csv")).unwrap();
    let ran = bench.grulet(&["predict", "runs/config", "-o", "link.csv"]);
    ran.failed(&["link.csv: cannot write: No such file or directory (os error 2); check the path"]);
}

/// Other systems have no such names.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let folder = bench.path("").join(std::ffi::OsStr::from_bytes(b"n\xff"));
    std::fs::create_dir(&folder).unwrap();
    for name in ["train.csv", "test.csv", "config.toml"] {
        std::fs::copy(bench.path(name), folder.join(name)).unwrap();
    }
    let ran = Ran::of(bench.command(GRULET, &["train"]).arg(folder.join("config.toml")).output().unwrap());
    ran.failed(&["`data.train`", "is not UTF-8", "another name"]);
    // What a flag names is only noted.
    let init = folder.join("none.gru");
    let ran = Ran::of(bench.command(GRULET, &["train", "config.toml", "--init"]).arg(init).output().unwrap());
    ran.failed(&["none.gru"]);
}

/// A limit on the size of files is what a full disk looks like to whoever writes one.
#[cfg(unix)]
#[test]
fn where_the_disk_is_full_a_new_run_leaves_nothing_and_an_old_file_stays() {
    let bench = Bench::new();
    let limited = |blocks: usize, args: &[&str]| {
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let args = [&["-c", &limit, "sh", GRULET], args].concat();
        bench.command("sh", &args).output().map(Ran::of).unwrap()
    };
    // A block is 512 bytes, in some shells 1024: the configuration fits, a checkpoint of this network does not.
    let train = ["train", "config.toml", "--set", "model.layers.0.units=40"];
    let before = bench.contents();
    let ran = limited(4, &train);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("best.ckpt: cannot write"), "{}", ran.stderr);
    assert!(before == bench.contents(), "{}", ran.stderr);

    bench.grulet(&train).ok();
    let before = bench.contents();
    let ran = limited(4, &["export", "runs/config"]);
    ran.failed(&["model.gru: cannot write"]);
    assert!(before == bench.contents(), "the old model stays");
}
