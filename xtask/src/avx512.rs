//! Trainings in two emulated x86-64, one with AVX2 and one with AVX-512, which must end in the same weights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use wait_timeout::ChildExt;

use crate::sh;

/// Arguments of `cargo xtask avx512`.
#[derive(Args, Default)]
pub struct Avx512 {
    /// A Linux kernel to boot; Debian's for virtual machines, from its registry, unless given.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

/// A processor of Bochs, and what Linux calls the widest vectors that the trainer uses on it.
const PROCESSORS: [(&str, &str); 2] = [("corei7_haswell_4770", "avx2"), ("corei7_skylake_x", "avx512bw")];

/// Examples and what is set in them: all kinds of layers and sizes that fill no vector, both resets, several optimisers and
/// threads.
const RUNS: [(&str, &[&str]); 6] = [
    ("tutorial", &["train.threads=2"]),
    ("watch_exercises", &[]),
    ("addition", &["data.train=\"addition_test.csv\"", "data.test=\"addition_train.csv\""]),
    ("gait_phase", &["model.layers.0.units=37"]),
    ("digits_rows", &[BOTH_DIRECTIONS, "train.optimizer=\"adamw\""]),
    ("digits_rows", &["model.layers.0.reset=\"before\"", "train.optimizer=\"rmsprop\""]),
];

const BOTH_DIRECTIONS: &str = "model.layers=[\
    {type=\"dense\",units=9,activation=\"tanh\"},\
    {type=\"gru\",units=19,bidirectional=true},\
    {type=\"gru\",units=7},\
    {type=\"dense\",units=10,activation=\"softmax\"}]";

/// Debian's packages of what is needed.
const PACKAGES: [&str; 10] = [
    "binutils",
    "bochs",
    "bochs-term",
    "bochsbios",
    "busybox-static",
    "cpio",
    "isolinux",
    "syslinux-common",
    "vgabios",
    "xorriso",
];
const KERNEL: &str = "linux-image-cloud-amd64";

/// An emulation that runs for longer hangs.
const PATIENCE: Duration = Duration::from_secs(900);

impl Avx512 {
    /// Whether this machine's programs run in the emulated ones.
    pub const POSSIBLE: bool = cfg!(all(target_arch = "x86_64", target_os = "linux"));

    /// Installs what it needs, where that is not there.
    pub fn ensure() -> Result<()> {
        if PACKAGES.iter().any(|package| !sh::succeeds(Command::new("dpkg").args(["--status", package]))) {
            sh::apt_install(&PACKAGES)?;
        }
        Ok(())
    }

    /// Runs the command.
    pub fn run(self) -> Result<()> {
        ensure!(Self::POSSIBLE, "the emulated machines run this machine's programs: it must be an x86-64 with Linux");
        let folder = sh::root().join("target/avx512");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder.join("disc"))?;
        Self::ensure()?;
        let kernel = match self.kernel {
            Some(kernel) => kernel,
            None => download_kernel(&folder)?,
        };
        disc(&folder, &kernel)?;
        let [narrow, wide] = PROCESSORS;
        let (narrow, wide) = rayon::join(|| trained_on(&folder, narrow), || trained_on(&folder, wide));
        let (narrow, wide) = (narrow?, wide?);
        let mut differing = 0;
        for (((name, settings), narrow), wide) in RUNS.iter().zip(narrow).zip(wide) {
            differing += usize::from(narrow != wide);
            println!("{name} {}: {narrow} with AVX2, {wide} with AVX-512", settings.join(" "));
        }
        ensure!(differing == 0, "{differing} of {} trainings depend on the width of vectors", RUNS.len());
        Ok(())
    }
}

/// The newest kernel that Debian has, taken out of its package.
fn download_kernel(folder: &Path) -> Result<PathBuf> {
    let by_hand = "if Debian's kernel is not to be had, give another one: --kernel FILE";
    let package = match download(folder) {
        // An old list of packages names one that is no longer there.
        Err(_) if sh::succeeds(sh::command("apt-get").arg("update")) => download(folder),
        result => result,
    };
    let package = package.context(by_hand)?;
    let mut files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = files.find(|path| path.extension().is_some_and(|end| end == "deb")).context(by_hand)?;
    sh::run(sh::command("dpkg-deb").arg("--extract").arg(archive).arg(folder.join("kernel")))?;
    let mut files = fs::read_dir(folder.join("kernel/boot"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_kernel = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
    files.find(is_kernel).with_context(|| format!("{package} holds no kernel; {by_hand}"))
}

/// Downloads the package of the newest kernel into a folder; returns its name.
fn download(folder: &Path) -> Result<String> {
    let depends = sh::output(sh::command("apt-cache").args(["depends", KERNEL]))?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = package.with_context(|| format!("there is no package {KERNEL}"))?;
    sh::say(&format!("downloading {package}"));
    sh::output(sh::command("apt-get").args(["download", package]).current_dir(folder))?;
    Ok(package.to_owned())
}

/// Writes a disc that boots `kernel`, trains and switches the machine off.
fn disc(folder: &Path, kernel: &Path) -> Result<()> {
    let (root, disc) = (folder.join("root"), folder.join("disc"));
    for name in ["bin", "dev", "proc", "examples"] {
        fs::create_dir_all(root.join(name))?;
    }
    let grulet = sh::tested_grulet()?;
    sh::run(sh::command("strip").arg("-o").arg(root.join("bin/grulet")).arg(&grulet))?;
    copy(Path::new("/bin/busybox"), &root.join("bin/busybox"))?;
    // Lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x0000)`; the loader's has no arrow.
    for word in sh::output(sh::command("ldd").arg(&grulet))?.split_whitespace() {
        if let Some(inside) = word.strip_prefix('/') {
            copy(Path::new(word), &root.join(inside))?;
        }
    }
    for entry in fs::read_dir(sh::root().join("examples"))? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            copy(&path, &root.join("examples").join(name))?;
        }
    }
    fs::write(root.join("init"), init())?;
    sh::run(sh::command("chmod").arg("+x").arg(root.join("init")))?;
    sh::run(
        sh::command("sh")
            .args(["-c", "find . | cpio --quiet -o -H newc | gzip -1 > ../disc/root.gz"])
            .current_dir(root),
    )?;

    copy(kernel, &disc.join("vmlinuz"))?;
    copy(Path::new("/usr/lib/ISOLINUX/isolinux.bin"), &disc.join("isolinux.bin"))?;
    copy(Path::new("/usr/lib/syslinux/modules/bios/ldlinux.c32"), &disc.join("ldlinux.c32"))?;
    // Bochs gives the compacted layout of the registers (bits 321 and 323) another size than Linux computes, which would
    // then use none of them.
    let options = "quiet console=ttyS0 clearcpuid=321,323 mitigations=off tsc=reliable cryptomgr.notests";
    let entry = format!("default linux\nlabel linux\nkernel /vmlinuz\ninitrd /root.gz\nappend {options}\n");
    fs::write(disc.join("isolinux.cfg"), entry)?;
    let mut image = sh::command("xorriso");
    image.args(["-as", "mkisofs", "-quiet", "-o", "disc.iso", "-b", "isolinux.bin", "-c", "boot.cat"]);
    image.args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "disc"]).current_dir(folder);
    sh::output(&mut image)?;
    Ok(())
}

/// What the emulated machine does: says what it is, trains, and switches itself off.
fn init() -> String {
    let mut text = "#!/bin/busybox sh\n\
        /bin/busybox --install -s /bin\n\
        export PATH=/bin\n\
        mount -t proc proc /proc\n\
        mount -t devtmpfs dev /dev\n\
        exec >/dev/ttyS0 2>&1\n\
        grep -m 1 flags /proc/cpuinfo\n\
        cd /examples\n"
        .to_owned();
    for (name, settings) in RUNS {
        text += &format!("grulet train {name}.toml --overfit 8 --set train.epochs=2 --overwrite");
        settings.iter().for_each(|setting| text += &format!(" --set '{setting}'"));
        text += " 2>/log | grep -o 'weights [0-9a-f]*' || cat /log\n";
    }
    // The last line takes a while through the serial port.
    text + "echo everything ran\nsleep 1\npoweroff -f\n"
}

/// The hashes of the weights after each of the runs.
fn trained_on(folder: &Path, (processor, vectors): (&str, &str)) -> Result<Vec<String>> {
    sh::say(&format!("{} trainings in an emulated {processor}: a minute or two", RUNS.len()));
    let [printed, log, config, debugger] =
        ["out", "log", "bochsrc", "debugger"].map(|end| folder.join(format!("{processor}.{end}")));
    let settings = [
        "config_interface: textconfig".to_owned(),
        // A screen over the network that nobody waits for: Debian's build has none without a window.
        "display_library: rfb, options=\"timeout=0\"".to_owned(),
        "romimage: file=/usr/share/bochs/BIOS-bochs-latest".to_owned(),
        "vgaromimage: file=/usr/share/vgabios/vgabios.bin".to_owned(),
        format!("cpu: model={processor}, ips=50000000"),
        "memory: guest=512, host=512".to_owned(),
        "ata0-master: type=cdrom, path=disc.iso, status=inserted".to_owned(),
        "boot: cdrom".to_owned(),
        format!("com1: enabled=1, mode=file, dev={}", printed.display()),
        format!("log: {}", log.display()),
        // As which it takes that the machine has been switched off.
        "panic: action=fatal".to_owned(),
    ];
    fs::write(&config, settings.join("\n") + "\n")?;
    // Debian's build stops in the debugger first.
    fs::write(&debugger, "continue\n")?;
    let mut bochs = sh::command("bochs");
    bochs.arg("-q").arg("-f").arg(&config).arg("-rc").arg(&debugger).current_dir(folder);
    bochs.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = bochs.spawn().context("cannot start bochs")?;
    if child.wait_timeout(PATIENCE)?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let printed = String::from_utf8_lossy(&fs::read(&printed).unwrap_or_default()).replace('\r', "");
    let whole = printed.lines().any(|line| line == "everything ran");
    ensure!(whole, "{processor} did not come to its end ({} says why); it printed:\n{printed}", log.display());
    ensure!(printed.split_whitespace().any(|word| word == vectors), "{processor} has no {vectors}:\n{printed}");
    let hashes: Vec<String> =
        printed.lines().filter_map(|line| line.strip_prefix("weights ").map(str::to_owned)).collect();
    ensure!(hashes.len() == RUNS.len(), "not all trainings ended on {processor}:\n{printed}");
    Ok(hashes)
}

/// Copies a file, into a new folder if need be.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
