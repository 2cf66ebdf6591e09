use core::fmt::Write;

// The format, the capacity, the series, and how much is printed.
include!("settings.rs");

/// The inputs of all series one after the other, `(steps, inputs)`.
static INPUTS: &[u8] = include_bytes!("../inputs.bin");

/// The samples of all series one after the other.
fn samples() -> impl Iterator<Item = [f32; WIDTH]> {
    INPUTS.chunks_exact(4 * WIDTH).map(|bytes| {
        let mut sample = [0.0; WIDTH];
        for (x, bytes) in sample.iter_mut().zip(bytes.chunks_exact(4)) {
            *x = bytes.try_into().map_or(0.0, f32::from_le_bytes);
        }
        sample
    })
}

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

/// Prints an answer.
fn answer(outputs: &[f32]) {
    print_words("answer", outputs.iter().map(|output| output.to_bits()));
}

/// Prints what a layer gives, if that is asked for.
fn layer(_: usize, _: &[Unit], y: &[Unit]) {
    if TRACE {
        print_words("layer", y.iter().map(|&unit| bits(unit)));
    }
}

@RUN@
