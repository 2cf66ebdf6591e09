fn run() -> Result<(), Error> {
    let model = AnyModel::<F>::from_blob(MODEL)?;
    let mut stream = model.stream::<CAPACITY>()?;
    let mut samples = samples();
    for &(steps, _) in SERIES {
        stream.reset();
        for (step, sample) in (1..).zip(samples.by_ref().take(steps)) {
            let outputs = stream.step_observed(&sample, layer)?;
            if EVERY_STEP || step == steps {
                answer(outputs);
            }
        }
    }
    println!("done");
    Ok(())
}
