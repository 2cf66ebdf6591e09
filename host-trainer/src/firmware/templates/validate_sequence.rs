fn run() -> Result<(), Error> {
    let model = AnySeq2Seq::<F>::from_blob(MODEL)?;
    let mut encoder = model.encoder::<CAPACITY>()?;
    let mut samples = samples();
    for &(steps, tokens) in SERIES {
        encoder.reset();
        for sample in samples.by_ref().take(steps) {
            encoder.step_observed(&sample, layer)?;
        }
        let mut decoder = model.decoder::<CAPACITY>(&encoder)?;
        for &token in tokens {
            answer(decoder.step_observed(token, layer)?);
        }
    }
    println!("done");
    Ok(())
}
