type Net = @NET@;
const _: () = assert!(Net::fits(MODEL), "model.gru is of another network: `grulet inspect model.gru` prints its type");

fn run() -> Result<(), Error> {
    let model = Net::from_blob(MODEL)?;
    model.self_test()?;
    println!("self-test passed; model {} bytes", MODEL.0.len());
    let mut encoder = model.encoder();
    for step in 0..8_usize {
        // The line to edit: one sample of @CHANNELS@.
        let sample: [f32; @INPUTS@] = @SAMPLE@;
        encoder.step(&sample);
    }
    for token in encoder.decoder().take(@LONGEST@) {
        println!("token {token}");
    }
    Ok(())
}

