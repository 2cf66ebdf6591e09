//! @NAME@ on the board @BOARD@: windows of samples through model.gru.
#![no_std]
#![no_main]

mod board;

use cortex_m_rt::entry;
use grulet::*;

static MODEL: &Aligned<[u8]> = include_model!("../model.gru");
type Net = @NET@;
const _: () = assert!(fits::<Net>(MODEL), "model.gru is of another network: `grulet inspect model.gru` prints its type");

macro_rules! println {
    ($($arguments:tt)*) => { board::print(format_args!("{}\n", format_args!($($arguments)*))) };
}

#[entry]
fn main() -> ! {
    let result = run();
    if let Err(error) = &result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn run() -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let mut window: Window<'_, Net, @STEPS@> = model.window()?;
    window.self_test()?;
    println!("self-test passed; model {} bytes, window {} bytes", MODEL.0.len(), size_of::<Window<Net, @STEPS@>>());
    for step in 0..8_usize {
        // The line to edit: one sample of @CHANNELS@.
        let sample: [f32; @INPUTS@] = @SAMPLE@;
        window.push(&sample)?;
    }
    for outputs in window.finish() {
        println!("{outputs:?}");
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    board::exit(Err(()))
}
