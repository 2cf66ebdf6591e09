//! The byte-by-byte example in `docs/FORMAT.md` is what the writer writes, and means what it says.
//!
//! The example is put together here from its fields, without the writer; `GRULET_OVERWRITE=1` puts it into the page.

use grulet::blob::{Contents, LayerWeights, Names, Provenance, checksum, write};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset, Storage, fingerprint};
use grulet::{AnyModel, BitHash, Exact, Fast, Header};
use std::fmt::Write;
use std::path::Path;

const LAYERS: [LayerSpec; 2] = [
    LayerSpec::Gru { inputs: 1, hidden: 2, reset: Reset::Before, gate: Gate::Sigmoid, candidate: Candidate::Tanh },
    LayerSpec::Dense { inputs: 2, outputs: 1, activation: Activation::Linear },
];
const INPUT: f32 = 2.5;

/// The blob as the writer makes it. Weights are multiples of 1/8 that tell where they come from.
fn written() -> Vec<u8> {
    // Keras's layout: gates z, r, c with two units each along the last axis.
    let gru = LayerWeights {
        kernel: &[0.125, 0.25, 0.375, 0.5, 0.625, 0.75],
        recurrent: &[1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 2.125, 2.25, 2.375, 2.5, 2.625, 2.75],
        bias: &[-0.125, -0.25, -0.375, -0.5, -0.625, -0.75],
    };
    let dense = LayerWeights { kernel: &[3.125, 3.25], recurrent: &[], bias: &[-1.0] };
    let header = Header {
        storage: Storage::F32,
        layers: LAYERS.into_iter().collect(),
        golden: Default::default(),
        output: Output::EveryStep,
        name: "tiny",
        outputs: Names::new("y\n"),
        channels: Names::new("x\n"),
        units: Names::new("m/s²\n"),
        sample_rate: 50.0,
        window: 0,
        horizon: 300,
        provenance: Provenance { tool: "t", data: "d", seed: 7, epoch: 1, metric: "loss", value: 0.5 },
    };
    let contents = Contents {
        header,
        layers: &[gru, dense],
        mean: &[0.5],
        scale: &[2.0],
        output_scale: &[],
        output_offset: &[],
        golden: &[INPUT],
    };
    write(&contents).unwrap().as_ref().to_vec()
}

/// Bytes with what they mean.
#[derive(Default)]
struct Example {
    bytes: Vec<u8>,
    text: String,
}

impl Example {
    fn put(&mut self, bytes: &[u8], meaning: &str) {
        let mut rest = bytes;
        let mut meaning = meaning;
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(8));
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("{:04x}  {:<23}  {meaning}", self.bytes.len(), hex.join(" "));
            writeln!(self.text, "{}", text.trim_end()).unwrap();
            self.bytes.extend(line);
            (rest, meaning) = (after, "");
        }
    }

    fn title(&mut self, title: &str) {
        writeln!(self.text, "{}# {title}", if self.text.is_empty() { "" } else { "\n" }).unwrap();
    }

    fn u32(&mut self, value: u32, meaning: &str) {
        self.put(&value.to_le_bytes(), &format!("u32 {value}: {meaning}"));
    }

    fn f32(&mut self, value: f32, meaning: &str) {
        self.put(&value.to_le_bytes(), &format!("f32 {value}: {meaning}"));
    }

    fn varint(&mut self, value: u64, meaning: &str) {
        let (mut bytes, mut rest) = (Vec::new(), value);
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        self.put(&bytes, &format!("varint {value}: {meaning}"));
    }

    fn string(&mut self, value: &str, meaning: &str) {
        self.varint(value.len() as u64, &format!("bytes of the {meaning}"));
        self.put(value.as_bytes(), &format!("{value:?}"));
    }

    fn pad(&mut self) {
        let zeros = self.bytes.len().next_multiple_of(16) - self.bytes.len();
        self.put(&vec![0; zeros], "up to a multiple of 16");
    }
}

/// The example, field by field. `length` is that of the header, `total` that of the blob.
fn example(length: u32, total: u32, hashes: [u64; 2]) -> Example {
    let mut e = Example::default();
    e.title("preamble");
    e.put(b"\x89grulet\n", r#"magic: 0x89, "grulet", line feed"#);
    e.u32(1, "version");
    e.u32(length, "bytes of the header");
    let print = fingerprint(Storage::F32, &LAYERS);
    e.put(&print.to_le_bytes(), &format!("u64 {print:#018x}: fingerprint of storage and layers"));
    e.u32(total, "bytes of the model");
    e.u32(0, "reserved");

    e.title("header");
    e.varint(0, "storage F32");
    e.varint(2, "layers");
    e.varint(0, "GRU");
    e.varint(1, "inputs");
    e.varint(2, "hidden units");
    e.varint(0, "reset before the matmul");
    e.varint(0, "gates sigmoid");
    e.varint(0, "candidate tanh");
    e.varint(1, "dense");
    e.varint(2, "inputs");
    e.varint(1, "outputs");
    e.varint(0, "activation linear");
    e.varint(1, "steps of the self-test");
    for (format, hash) in ["Exact", "Fast"].into_iter().zip(hashes) {
        e.varint(1, &format!("there is a hash for {format}"));
        e.varint(hash, &format!("the hash, {hash:016x}"));
    }
    e.varint(0, "an output at every step");
    e.string("tiny", "name");
    e.string("y\n", "output names");
    e.string("x\n", "channel names");
    e.string("m/s²\n", "units");
    e.f32(50.0, "sample rate");
    e.varint(0, "window: a stream without end");
    e.varint(300, "horizon");
    e.string("t", "tool");
    e.string("d", "data");
    e.varint(7, "seed");
    e.varint(1, "epoch");
    e.string("loss", "metric");
    e.f32(0.5, "its value");
    e.pad();

    e.title("scales");
    for (value, meaning) in
        [(0.5, "mean of the input"), (2.0, "its scale"), (1.0, "output scale"), (0.0, "output offset")]
    {
        e.f32(value, meaning);
        e.pad();
    }

    e.title("GRU: z and r, one block of 4 outputs");
    let block = |e: &mut Example, rows: &[(&str, &[f32])], names: &[&str]| {
        for (what, values) in rows {
            for (value, name) in values.iter().zip(names) {
                e.f32(*value, &format!("{what} of {name}"));
            }
        }
    };
    let (z_r, c) = (["z0", "z1", "r0", "r1"], ["c0", "c1"]);
    block(
        &mut e,
        &[
            ("bias", &[-0.125, -0.25, -0.375, -0.5]),
            ("weight for x", &[0.125, 0.25, 0.375, 0.5]),
            ("weight for h0", &[1.125, 1.25, 1.375, 1.5]),
            ("weight for h1", &[2.125, 2.25, 2.375, 2.5]),
        ],
        &z_r,
    );
    e.title("GRU: candidate, one block of 2 outputs");
    block(
        &mut e,
        &[
            ("bias", &[-0.625, -0.75]),
            ("weight for x", &[0.625, 0.75]),
            ("weight for r0·h0", &[1.625, 1.75]),
            ("weight for r1·h1", &[2.625, 2.75]),
        ],
        &c,
    );
    e.title("dense, one block of 1 output");
    block(&mut e, &[("bias", &[-1.0]), ("weight for h0", &[3.125]), ("weight for h1", &[3.25])], &["y"]);
    e.pad();

    e.title("self-test and checksum");
    e.f32(INPUT, "x at step 0");
    e.pad();
    let sum = checksum(&e.bytes);
    e.put(&sum.to_le_bytes(), &format!("u32 {sum:#010x}: CRC-32C of everything before it"));
    e
}

/// The hash of the model's outputs to the self-test's input.
fn hash(outputs: &[f32]) -> u64 {
    let mut hash = BitHash::new();
    hash.update(outputs);
    hash.finish()
}

#[test]
fn the_example_is_what_the_writer_writes() {
    let blob = written();
    let aligned = grulet::blob::AlignedBytes::new(&blob);
    let exact = AnyModel::<Exact>::from_blob(&aligned).unwrap();
    let fast = AnyModel::<Fast>::from_blob(&aligned).unwrap();
    let hashes = [hash(exact.heap_stream().step(&[INPUT]).unwrap()), hash(fast.heap_stream().step(&[INPUT]).unwrap())];
    let length = u32::from_le_bytes(blob[12..16].try_into().unwrap());
    let example = example(length, blob.len() as u32, hashes);
    assert_eq!(example.bytes, blob, "\n{}", example.text);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("```text\n").expect("the page has an example");
    let (shown, after) = rest.split_once("```").expect("the example ends");
    if std::env::var_os("GRULET_OVERWRITE").is_some() {
        std::fs::write(&path, format!("{before}```text\n{}```{after}", example.text)).unwrap();
        return;
    }
    assert_eq!(shown, example.text, "renew the page with GRULET_OVERWRITE=1");
}
