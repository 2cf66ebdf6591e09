//! Tells the sources what stable Rust does not: whether an Arm target has the DSP extension, and whether a target has no FPU.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(grulet_dsp, grulet_soft_float)");
    let of_target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let soft_float = match &*of_target("ARCH") {
        "arm" => of_target("ABI") == "eabi",
        "riscv32" => !of_target("FEATURE").split(',').any(|feature| feature == "f"),
        _ => false,
    };
    if soft_float && of_target("OS") == "none" {
        println!("cargo:rustc-cfg=grulet_soft_float");
    }
    let target = std::env::var("TARGET").unwrap_or_default();
    // Every ARMv7E-M core has it; an ARMv8-M core may, and then the feature says so. The assembler wants a core's name.
    let cpu = if target.starts_with("thumbv7em") {
        "cortex-m4"
    } else if target.starts_with("thumbv8m.main") && std::env::var_os("CARGO_FEATURE_DSP").is_some() {
        "cortex-m33"
    } else {
        return;
    };
    println!("cargo:rustc-cfg=grulet_dsp");
    println!("cargo:rustc-env=GRULET_DSP_CPU={cpu}");
}
