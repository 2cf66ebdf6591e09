fn bench(counter: &Counter) -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let (mut window, mut ticks): (Window<'_, Net, @STEPS@>, _) = (model.window()?, Ticks::NONE);
    let paint = stack::paint::<{ board::PAINT }>();
    for series in 0..@COUNT@ {
        let samples: [_; @STEPS@] = core::array::from_fn(|step| sample(series + step));
        ticks.count(counter, || {
            for sample in black_box(&samples) {
                let _ = window.push(sample);
            }
            window.finish().last()
        });
    }
    println!("stack: {}", paint.used());
    println!("state: {}", size_of_val(&window));
    ticks.print("window");
    Ok(())
}
