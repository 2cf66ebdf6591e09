fn run() -> Result<(), Error> {
    let model = AnyModel::<F>::from_blob(MODEL)?;
    let mut window = model.window::<CAPACITY>(LONGEST)?;
    let mut samples = samples();
    for &(steps, _) in SERIES {
        for sample in samples.by_ref().take(steps) {
            window.push(&sample)?;
        }
        answer(window.finish_observed(layer)?);
    }
    println!("done");
    Ok(())
}
