//! Two models of different shapes in one firmware, which learns their shapes as it runs: the second may have come over the
//! air.
#![no_std]
#![no_main]

use grulet::*;
use grulet_firmware::{board, entry, println};

static GAIT: &Aligned<[u8]> = include_model!("../../../tests/models/gait_phase.gru");
static POOL: &Aligned<[u8]> = include_model!("../../../tests/models/pool.gru");

// The line to edit: the largest `CAP` that `grulet inspect` prints for the models to come.
const CAP: usize = 116;

#[entry]
fn main() -> ! {
    let result = run("gait_phase", GAIT).and_then(|()| run("pool", POOL));
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn run(name: &str, blob: &Aligned<[u8]>) -> Result<(), Error> {
    let model = AnyModel::<Exact>::from_blob(blob)?;
    model.self_test::<CAP>()?;
    let mut stream = model.stream::<CAP>()?;
    let inputs = model.header().inputs();
    println!("{name}: {inputs} inputs, {} layers, capacity {}", model.header().layers.len(), model.capacity());

    let mut hash = BitHash::new();
    for t in 0..100 {
        let mut sample = [0.0; 8];
        for (i, x) in sample.iter_mut().enumerate() {
            *x = ((7 * t + 3 * i) % 17) as f32 / 8.0 - 1.0;
        }
        // A model with more inputs than this is an error that says so.
        hash.update(stream.step(sample.get(..inputs).unwrap_or(&sample))?);
    }
    println!("{name}: self-test passed, hash {:016x}", hash.finish());
    if let Err(error) = model.stream::<8>() {
        println!("{name}: {error}");
    }
    Ok(())
}
