//! A folder to work in, data to put there, and the real binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with `train.csv`, `test.csv` and `config.toml`, in which `grulet` runs.
pub struct Bench {
    folder: TempDir,
}

/// What a run of the binary gave.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Series of 8 steps that go up or down in channel `a`, while `b` swings about 2 with another period in each. Series
/// `first..first + count`.
pub fn table(first: usize, count: usize) -> String {
    let mut text = "series,label,t,a,b\n".to_owned();
    for series in first..first + count {
        let (label, slope) = if series.is_multiple_of(2) { ("up", 0.1) } else { ("down", -0.1) };
        for t in 0..8 {
            let phase = (t * (series % 5 + 1)) as f64;
            let a = slope * t as f64 + 0.05 * (1.7 * phase).sin();
            text += &format!("{series},{label},{t},{a:.4},{:.4}\n", 2.0 + (0.9 * phase).cos());
        }
    }
    text
}

pub const CONFIG: &str = r#"
[data]
train = "train.csv"
test = "test.csv"
sample_rate = 25.0
units = ["m", ""]
[data.validation]
fraction = 0.2
[model]
output = "last_step"
layers = [
  { type = "gru", units = 4, reset = "before" },
  { type = "dense", units = 2, activation = "softmax" },
]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 3
batch_size = 8
learning_rate = 0.02
"#;

impl Bench {
    pub fn new() -> Self {
        let bench = Bench { folder: TempDir::new().unwrap() };
        bench.put("train.csv", table(0, 20));
        bench.put("test.csv", table(20, 6));
        bench.put("config.toml", CONFIG);
        bench
    }

    /// With a run in `runs/config` already.
    pub fn trained() -> Self {
        let bench = Bench::new();
        bench.grulet(&["train", "config.toml"]).ok();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    /// The program with its arguments, in the folder.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path());
        command
    }

    pub fn grulet(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(GRULET, args).output().unwrap())
    }

    /// All files and folders, and the bytes of the files.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
                found.push((path.clone(), bytes));
                if path.is_dir() {
                    walk(&path, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found.sort();
        found
    }

    /// Runs `grulet`, which must fail with one line on standard error that contains every phrase, and leave the folder as
    /// it was.
    #[track_caller]
    pub fn refuses(&self, args: &[&str], phrases: &[&str]) {
        let before = self.contents();
        let ran = self.grulet(args);
        ran.failed(phrases);
        assert!(before == self.contents(), "{args:?}: something was left or changed: {}", ran.stderr);
    }
}

pub const GRULET: &str = env!("CARGO_BIN_EXE_grulet");

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        // None where a signal ended the process.
        Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == 0, "exit code {}\n{}\n{}", self.code, self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }

    #[track_caller]
    pub fn failed(&self, phrases: &[&str]) {
        assert!(self.code == 1, "exit code {}, not 1\n{}\n{}", self.code, self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "nothing on standard output");
        assert!(self.stderr.starts_with("error: ") && self.stderr.trim_end().lines().count() == 1, "{}", self.stderr);
        assert!(self.stderr.matches("(os error").count() <= 1, "told twice: {}", self.stderr);
        for phrase in phrases {
            assert!(self.stderr.contains(phrase), "no {phrase:?} in: {}", self.stderr);
        }
    }

    #[track_caller]
    pub fn wrong_usage(&self, phrase: &str) {
        assert!(self.code == 2, "exit code {}, not 2\n{}\n{}", self.code, self.stdout, self.stderr);
        assert!(self.stderr.contains(phrase) && self.stdout.is_empty(), "no {phrase:?} in: {}", self.stderr);
    }
}
