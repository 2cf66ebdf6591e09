//! Tells the sources which instructions the target has where stable Rust cannot.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(grulet_dsp)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Every ARMv7E-M core has the DSP extension; an ARMv8-M core may have it, and the feature says so.
    let may = target.starts_with("thumbv8m.main") && std::env::var_os("CARGO_FEATURE_DSP").is_some();
    if target.starts_with("thumbv7em") || may {
        println!("cargo:rustc-cfg=grulet_dsp");
    }
}
