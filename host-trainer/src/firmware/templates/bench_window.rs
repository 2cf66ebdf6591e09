fn bench(counter: &mut Counter) -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let mut window: Window<'_, Net, @STEPS@> = model.window()?;
    let mut ticks = Ticks::NONE;
    let paint = stack::paint::<{ board::PAINT }>();
    for series in 0..=@COUNT@ {
        let samples: [_; @STEPS@] = core::array::from_fn(|step| sample(series + step));
        let mut work = || {
            for sample in black_box(&samples) {
                let _ = window.push(sample);
            }
            window.finish().last()
        };
        // The first shows how deep the stack goes: in what is not counted, the counter's interrupt does not come.
        if series == 0 {
            black_box(work());
            println!("stack: {}", paint.used().unwrap_or(0));
        } else {
            ticks.count(counter, work);
        }
    }
    println!("state: {}", size_of_val(&window));
    ticks.print("window");
    Ok(())
}
