//! Two processes and one folder.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::support::{Bench, GRULET};

/// Too long a training to come to its end here.
const LONG: &str = "train.epochs=3000";

/// A run that has got to its second epoch and goes on.
struct Running(Child);

impl Running {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let mut child = bench.command(GRULET, args).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut epochs = out.lines().map_while(Result::ok).filter(|line| line.starts_with("Epoch 2/"));
        assert!(epochs.next().is_some(), "it ended");
        // The pipe is closed now; a training goes on without it.
        Running(child)
    }

    fn kill(self) {
        drop(self);
    }
}

/// A test that fails leaves no process.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_second_process_is_refused_and_changes_nothing_and_a_killed_one_locks_nothing() {
    let bench = Bench::new();
    let running = Running::start(&bench, &["train", "config.toml", "--set", LONG]);
    for args in
        [&["train", "config.toml"][..], &["train", "config.toml", "--overwrite"], &["train", "--resume", "runs/config"]]
    {
        bench.grulet(args).failed(&["runs/config: another process is training into it", "`train.run_dir`"]);
    }
    bench.grulet(&["train", "config.toml", "--set", "train.run_dir=runs/other"]).ok();
    // It has not been disturbed: its epochs are all there, and another one comes.
    let rows = || bench.text("runs/config/log.csv").lines().count();
    let before = rows();
    while rows() == before {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    running.kill();
    let log = bench.text("runs/config/log.csv");
    let epochs: Vec<usize> = log.lines().skip(1).map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(epochs, (1..=epochs.len()).collect::<Vec<_>>());
    assert!(bench.path("runs/config/.lock").exists());
    bench.grulet(&["train", "config.toml", "--overwrite"]).ok();
    assert!(!bench.path("runs/config/.lock").exists());
}

#[test]
fn folds_and_sweeps_have_their_folder_to_themselves() {
    let bench = Bench::new();
    bench.put("folds.toml", bench.text("config.toml").replace("[data.validation]\nfraction = 0.2\n", ""));
    for args in [
        &["train", "folds.toml", "--folds", "2", "--set", LONG][..],
        &["sweep", "config.toml", "--vary", "train.learning_rate=[0.01]", "--set", LONG],
    ] {
        let lock = if args[0] == "train" { "runs/folds/.folds.lock" } else { "runs/config/.sweep.lock" };
        let child = bench.command(GRULET, args).stdout(Stdio::null()).spawn().unwrap();
        let running = Running(child);
        while !bench.path(lock).exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let again: Vec<&str> = args.iter().map(|arg| if *arg == LONG { "train.epochs=1" } else { arg }).collect();
        bench.grulet(&again).failed(&["another process is training into it"]);
        // An ordinary run writes other files.
        bench.grulet(&["train", args[1], "--set", "train.epochs=1", "--overwrite"]).ok();
        running.kill();
        bench.grulet(&[&again[..], &["--overwrite"]].concat()).ok();
        assert!(!bench.path(lock).exists());
    }
}
