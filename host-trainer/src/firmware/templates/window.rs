type Net = @NET@;
const _: () = assert!(fits::<Net>(MODEL), "model.gru is of another network: `grulet inspect model.gru` prints its type");

/// Steps of the longest series@ABOUT_STEPS@.
const STEPS: usize = @STEPS@;

fn run() -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let mut window: Window<'_, Net, STEPS> = model.window()?;
    window.self_test()?;
    println!("self-test passed; model {} bytes, window {} bytes", MODEL.0.len(), size_of::<Window<Net, STEPS>>());
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

