use core::fmt::Write;

// The format, the capacity, the series, and how much is printed.
include!("settings.rs");

/// The inputs of all series one after the other, `(steps, inputs)`.
static INPUTS: &[u8] = include_bytes!("../inputs.bin");

/// Prints words in hexadecimal, with a mark before each line.
fn print_words(mark: &str, words: impl Iterator<Item = u32>) {
    let mut line = heapless::String::<256>::new();
    for word in words {
        if line.len() > 200 {
            println!("{mark}{line}");
            line.clear();
        }
        let _ = write!(line, " {word:x}");
    }
    println!("{mark}{line}");
}

fn run() -> Result<(), Error> {
    let model = AnyModel::<F>::from_blob(MODEL)?;
    let mut stream = model.stream::<CAPACITY>()?;
    let mut samples = INPUTS.chunks_exact(4 * WIDTH);
    for &length in LENGTHS {
        stream.reset();
        for step in 0..length {
            let mut sample = [0.0; WIDTH];
            for (x, bytes) in sample.iter_mut().zip(samples.next().unwrap_or(&[]).chunks_exact(4)) {
                *x = bytes.try_into().map_or(0.0, f32::from_le_bytes);
            }
            let outputs = stream.step_observed(&sample, |_, _, y| {
                if TRACE {
                    print_words("layer", y.iter().map(|&unit| bits(unit)));
                }
            })?;
            if EVERY_STEP || step + 1 == length {
                print_words("answer", outputs.iter().map(|output| output.to_bits()));
            }
        }
    }
    println!("done");
    Ok(())
}

