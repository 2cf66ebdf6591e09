fn bench(counter: &Counter) -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let (mut stream, mut ticks) = (model.stream(), Ticks::NONE);
    let paint = stack::paint::<{ board::PAINT }>();
    for step in 0..@COUNT@ {
        let sample = sample(step);
        ticks.count(counter, || stream.step(black_box(&sample)));
    }
    println!("stack: {}", paint.used());
    println!("state: {}", size_of_val(&stream));
    ticks.print("step");
    Ok(())
}
