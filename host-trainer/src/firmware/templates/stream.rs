type Net = @NET@;
const _: () = assert!(fits::<Net>(MODEL), "model.gru is of another network: `grulet inspect model.gru` prints its type");

fn run() -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    model.self_test()?;
    println!("self-test passed; model {} bytes, state {} bytes", MODEL.0.len(), size_of::<Stream<Net>>());
    let mut stream = model.stream();
    for step in 0..8_usize {
        // The line to edit: one sample of @CHANNELS@.
        let sample: [f32; @INPUTS@] = @SAMPLE@;
        println!("step {step}: {:?}", stream.step(&sample));
    }
    Ok(())
}

