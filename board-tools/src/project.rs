//! A firmware project of its own: manifest, memory map, linker settings, and the sources that its board needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::{Board, qemu};

/// The manifest of the firmware that the boards are from: versions and features are taken from it.
pub const MANIFEST: &str = include_str!("../../firmware-example/Cargo.toml");
/// Its lock file, so that a project builds with the same versions, without a network too.
const LOCK: &str = include_str!("../../firmware-example/Cargo.lock");

/// Sources that a board's `board.rs` may name, as `crate::NAME`.
const MODULES: [(&str, &str); 7] = [
    ("defmt", include_str!("../../firmware-example/src/defmt.rs")),
    ("dwt", include_str!("../../firmware-example/src/dwt.rs")),
    ("minstret", include_str!("../../firmware-example/src/minstret.rs")),
    ("nrf51_timer", include_str!("../../firmware-example/src/nrf51_timer.rs")),
    ("semihosting", include_str!("../../firmware-example/src/semihosting.rs")),
    ("stack", include_str!("../../firmware-example/src/stack.rs")),
    ("systick", include_str!("../../firmware-example/src/systick.rs")),
];

/// The checkout that this was built from, if it is still there.
fn checkout() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    root.join("src/lib.rs").is_file().then(|| root.to_owned())
}

/// A firmware project.
#[derive(Debug)]
pub struct Project<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its board.
    pub board: &'a Board,
    /// What `src/main.rs` does; the modules of the board are declared before it.
    pub main: &'a str,
    /// Whether it measures: it looks at its stack by the module `stack`, and has the board's counter.
    pub measures: bool,
    /// More files, by their paths in the project.
    pub files: &'a [(&'a str, &'a [u8])],
}

impl Project<'_> {
    /// Writes the project into `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut board = self.board.file("board.rs").to_owned();
        if !self.measures {
            // A counter may take an interrupt, which is the user's.
            board =
                board.lines().filter(|line| !line.ends_with("::Counter;")).map(|line| format!("{line}\n")).collect();
        }
        let mut modules: Vec<(&str, &str)> =
            MODULES.into_iter().filter(|(name, _)| board.contains(&format!("crate::{name}"))).collect();
        modules.extend(MODULES.into_iter().filter(|(name, _)| self.measures && *name == "stack"));

        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        files.insert("Cargo.toml".into(), self.manifest()?.into());
        files.insert("Cargo.lock".into(), self.lock().into());
        files.insert("build.rs".into(), self.build_script().into());
        files.insert("memory.x".into(), self.board.file("memory.x").into());
        files.insert(".cargo/config.toml".into(), self.config().into());
        files.insert(".gitignore".into(), b"/target\n".to_vec());
        files.insert("src/main.rs".into(), self.main(&modules).into());
        files.insert("src/board.rs".into(), board.into());
        for (name, text) in &modules {
            files.insert(format!("src/{name}.rs"), (*text).into());
        }
        for (name, contents) in self.files {
            files.insert((*name).to_owned(), contents.to_vec());
        }
        for (name, contents) in files {
            let path = folder.join(&name);
            // What is the same stays untouched, so that it is not built again.
            if fs::read(&path).is_ok_and(|old| old == contents) {
                continue;
            }
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).with_context(|| format!("cannot make the folder {}", parent.display()))?;
            fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn manifest(&self) -> Result<String> {
        let own: Table = MANIFEST.parse().context("the manifest of the firmware")?;
        let table = |value: Option<&Value>| value.and_then(Value::as_table).cloned().unwrap_or_default();
        let features = table(own.get("features"));
        let mut enabled: Vec<String> = Vec::new();
        let mut waiting = vec![self.board.name.clone()];
        while let Some(feature) = waiting.pop() {
            let list = features.get(&feature).and_then(Value::as_array);
            let more = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            waiting.extend(more.filter(|more| !enabled.contains(more)).collect::<Vec<_>>());
            enabled.push(feature);
        }

        let mut dependencies = table(own.get("dependencies"));
        dependencies.remove("oorandom");
        dependencies.retain(|name, value| {
            let optional = value.get("optional").and_then(Value::as_bool).unwrap_or(false);
            !optional || enabled.contains(&format!("dep:{name}"))
        });
        for value in dependencies.iter_mut().filter_map(|(_, value)| value.as_table_mut()) {
            value.remove("optional");
        }
        let mut grulet = Table::new();
        match checkout() {
            Some(root) => grulet.insert("path".into(), root.to_string_lossy().into_owned().into()),
            None => grulet.insert("version".into(), env!("CARGO_PKG_VERSION").into()),
        };
        let asked: Vec<Value> =
            enabled.iter().filter_map(|feature| feature.strip_prefix("grulet/")).map(Value::from).collect();
        if !asked.is_empty() {
            grulet.insert("features".into(), asked.into());
        }
        dependencies.insert("grulet".into(), grulet.into());
        let core = if self.board.is_riscv() { "cfg(target_arch = \"riscv32\")" } else { "cfg(target_arch = \"arm\")" };
        dependencies.extend(table(own.get("target").and_then(|target| target.get(core)?.get("dependencies"))));

        let mut package = Table::new();
        package.insert("name".into(), self.name.into());
        package.insert("version".into(), "0.1.0".into());
        package.insert("edition".into(), own["package"]["edition"].clone());
        package.insert("rust-version".into(), own["package"]["rust-version"].clone());
        package.insert("publish".into(), false.into());

        let mut manifest = Table::new();
        manifest.insert("package".into(), package.into());
        manifest.insert("dependencies".into(), dependencies.into());
        manifest.insert("profile".into(), own["profile"].clone());
        manifest.insert("workspace".into(), Table::new().into());
        toml::to_string(&manifest).context("the manifest")
    }

    /// The lock file under this project's name; cargo takes out what is not needed.
    fn lock(&self) -> String {
        LOCK.replace("name = \"grulet-firmware\"", &format!("name = \"{}\"", self.name))
    }

    fn build_script(&self) -> String {
        let mut arguments = vec!["-Tlink.x"];
        if self.board.is_riscv() {
            // The linker script of Cortex-M includes it, that of RISC-V does not.
            arguments.insert(0, "-Tmemory.x");
        }
        if self.board.file("board.rs").contains("crate::defmt") {
            arguments.push("-Tdefmt.x");
        }
        arguments.push("--nmagic");
        let lines: String = arguments
            .iter()
            .map(|argument| format!("    println!(\"cargo:rustc-link-arg-bins={argument}\");\n"))
            .collect();
        format!(
            "//! Puts the board's memory map where the linker finds it.\n\n\
             fn main() {{\n    \
                 println!(\"cargo:rustc-link-search={{}}\", env!(\"CARGO_MANIFEST_DIR\"));\n    \
                 println!(\"cargo:rerun-if-changed=memory.x\");\n\
             {lines}}}\n"
        )
    }

    fn config(&self) -> String {
        let target = &self.board.target;
        let runner = match &self.board.chip {
            Some(chip) => format!("probe-rs run --chip {chip}"),
            None => qemu::arguments(self.board).unwrap_or_default().join(" "),
        };
        format!("[build]\ntarget = \"{target}\"\n\n[target.{target}]\nrunner = \"{runner}\"\n")
    }

    fn main(&self, modules: &[(&str, &str)]) -> String {
        let entry = if self.board.is_riscv() { "riscv_rt" } else { "cortex_m_rt" };
        let allowed = "#[allow(dead_code, unused_imports, reason = \"not every program needs all of it\")]\n";
        let names = std::iter::once("board").chain(modules.iter().map(|(name, _)| *name));
        let declared: String = names.map(|name| format!("{allowed}mod {name};\n")).collect();
        self.main.replace("mod board;\n", &declared).replace("cortex_m_rt::entry", &format!("{entry}::entry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "mod board;\nuse cortex_m_rt::entry;\n";

    fn project<'a>(board: &'a Board) -> Project<'a> {
        Project { name: "mine", board, main: MAIN, measures: false, files: &[("model.gru", b"x")] }
    }

    #[test]
    fn a_project_has_what_its_board_needs_and_no_more() {
        for board in Board::all().unwrap() {
            let project = project(&board);
            let manifest: Table = project.manifest().unwrap().parse().unwrap();
            let dependencies = manifest["dependencies"].as_table().unwrap();
            assert_eq!(dependencies.contains_key("defmt"), board.chip.is_some(), "{}", board.name);
            assert_eq!(dependencies.contains_key("riscv-rt"), board.is_riscv(), "{}", board.name);
            assert_eq!(dependencies.contains_key("cortex-m-rt"), !board.is_riscv(), "{}", board.name);
            assert_eq!(dependencies.contains_key("rp2040-boot2"), board.name == "pico");
            let dsp = dependencies["grulet"].get("features").is_some();
            assert_eq!(dsp, board.target.starts_with("thumbv8m"), "{}", board.name);
            assert!(dependencies.values().all(|value| value.get("optional").is_none()));

            let folder = tempfile::tempdir().unwrap();
            project.write(folder.path()).unwrap();
            let main = fs::read_to_string(folder.path().join("src/main.rs")).unwrap();
            for name in main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')) {
                assert!(folder.path().join(format!("src/{name}.rs")).is_file(), "{}: {name}", board.name);
            }
            assert!(main.contains(if board.is_riscv() { "riscv_rt" } else { "cortex_m_rt" }), "{main}");
            // No counter, which may take an interrupt, but where something is measured.
            let counter = |folder: &Path| fs::read_to_string(folder.join("src/board.rs")).unwrap().contains("Counter");
            assert!(!counter(folder.path()) && !folder.path().join("src/systick.rs").exists(), "{}", board.name);
            let measuring = tempfile::tempdir().unwrap();
            Project { measures: true, ..project }.write(measuring.path()).unwrap();
            assert!(counter(measuring.path()) && measuring.path().join("src/stack.rs").exists(), "{}", board.name);
            let config = fs::read_to_string(folder.path().join(".cargo/config.toml")).unwrap();
            let runner = board.chip.as_ref().map_or("qemu-system-".to_owned(), |chip| format!("run --chip {chip}"));
            assert!(config.contains(&runner) && config.contains(&board.target), "{config}");
        }
    }

    #[test]
    fn files_that_are_the_same_are_left_alone() {
        let board = Board::named("mps2-an386").unwrap();
        let folder = tempfile::tempdir().unwrap();
        project(&board).write(folder.path()).unwrap();
        let time = |name: &str| fs::metadata(folder.path().join(name)).unwrap().modified().unwrap();
        let before = time("src/main.rs");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let again = Project { files: &[("model.gru", b"y")], ..project(&board) };
        again.write(folder.path()).unwrap();
        assert_eq!(time("src/main.rs"), before);
        assert_eq!(fs::read(folder.path().join("model.gru")).unwrap(), b"y");
    }
}
