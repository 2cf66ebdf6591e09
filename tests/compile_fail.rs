//! Wrong programs do not compile, and the compiler says what to change.
//!
//! Each program in `compile_fail/` states in `//~` lines what must stand in the compiler's message; the rest of the
//! wording belongs to the compiler and changes with it.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn wrong_programs_do_not_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    let mut names: Vec<String> = fs::read_dir(root.join("tests/compile_fail"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 5, "{names:?}");

    // A package of its own, with the versions that this one is locked to.
    let bins: String = names
        .iter()
        .map(|name| {
            format!(
                "[[bin]]\nname = {name:?}\npath = {:?}\n",
                root.join("tests/compile_fail").join(name.to_owned() + ".rs")
            )
        })
        .collect();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"programs\"\nedition = \"2024\"\n[dependencies]\ngrulet = {{ path = {root:?}, features = [\"micromath\"] }}\n{bins}"
    );
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let _ = fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"));

    for name in names {
        let source = fs::read_to_string(root.join("tests/compile_fail").join(name.clone() + ".rs")).unwrap();
        let expected: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
        let output = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--bin", &name])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected.is_empty(), "{name}:\n{message}");
        for part in expected {
            assert!(message.contains(part), "{name}: `{part}` is not in\n{message}");
        }
    }
}
