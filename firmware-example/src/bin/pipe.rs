//! Samples in, predictions out: to each line of numbers from the host, a line of the model's outputs. An empty line begins a
//! new series. `cargo xtask pipe` feeds it.
#![no_std]
#![no_main]

use grulet::spec::Storage;
use grulet::*;
use grulet_firmware::lines::{Fault, Lines};
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));

/// What a stream of the model needs, as `grulet inspect` prints it: chosen by the build.
const CAPACITY: usize = match usize::from_str_radix(env!("GRULET_CAPACITY"), 10) {
    Ok(capacity) => capacity,
    Err(_) => panic!("GRULET_CAPACITY is a number"),
};

#[entry]
fn main() -> ! {
    let result = match Blob::parse(MODEL.as_ref()).map(|blob| blob.header().storage) {
        Ok(Storage::Int8) => answer::<Int8>(),
        _ => answer::<Exact>(),
    };
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(if result == Ok(true) { Ok(()) } else { Err(()) })
}

/// Whether every line was answered.
fn answer<F: Format>() -> Result<bool, Error> {
    let model = AnyModel::<F>::from_blob(MODEL)?;
    let inputs = model.header().inputs();
    let mut stream = model.stream::<CAPACITY>()?;
    let (mut lines, mut answered) = (Lines::open(), true);
    for number in 1_u32.. {
        // A model has more words than inputs.
        let Some(line) = lines.next_numbers::<CAPACITY>() else { break };
        answered &= line.as_ref().is_ok_and(|sample| sample.is_empty() || sample.len() == inputs);
        match line {
            Ok(sample) if sample.is_empty() => {
                stream.reset();
                println!("");
            }
            Ok(sample) if sample.len() == inputs => {
                for (index, output) in stream.step(&sample)?.iter().enumerate() {
                    board::print(format_args!("{}{output}", if index == 0 { "" } else { "," }));
                }
                println!("");
            }
            Ok(sample) => println!("error: line {number}: {} numbers, but a sample has {inputs}", sample.len()),
            Err(Fault::TooMany) => println!("error: line {number}: over {CAPACITY} numbers, but a sample has {inputs}"),
            Err(Fault::Word(word)) => {
                println!("error: line {number}: {word:?} is no number; a sample has {inputs} of them")
            }
        }
    }
    Ok(answered)
}
