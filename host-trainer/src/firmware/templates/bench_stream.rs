/// Steps that show how deep the stack goes. They are not counted, so that the counter's interrupt does not come in them.
const DEEP: usize = 16;

fn bench(counter: &mut Counter) -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let (mut stream, mut ticks) = (model.stream(), Ticks::NONE);
    let paint = stack::paint::<{ board::PAINT }>();
    for step in 0..DEEP {
        black_box(stream.step(black_box(&sample(step))));
    }
    println!("stack: {}", paint.used().unwrap_or(0));
    for step in 0..@COUNT@ {
        let sample = sample(step);
        ticks.count(counter, || stream.step(black_box(&sample)));
    }
    println!("state: {}", size_of_val(&stream));
    ticks.print("step");
    Ok(())
}
