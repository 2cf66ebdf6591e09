/// Steps that show how deep the stack goes. They are not counted, so that the counter's interrupt does not come in them.
const DEEP: usize = 16;

fn bench(counter: &mut Counter) -> Result<(), Error> {
    let model = Net::from_blob(MODEL)?;
    let (mut encoder, mut ticks) = (model.encoder(), Ticks::NONE);
    let paint = stack::paint::<{ board::PAINT }>();
    for step in 0..DEEP {
        black_box(encoder.step(black_box(&sample(step))));
    }
    let mut decoder = encoder.decoder();
    for step in 0..DEEP {
        black_box(decoder.step(black_box((step % @TOKENS@) as u16)));
    }
    println!("stack: {}", paint.used().unwrap_or(0));
    for step in 0..@COUNT@ {
        let sample = sample(step);
        ticks.count(counter, || encoder.step(black_box(&sample)));
    }
    let mut decoder_ticks = Ticks::NONE;
    for step in 0..@COUNT@_usize {
        decoder_ticks.count(counter, || decoder.step(black_box((step % @TOKENS@) as u16)));
    }
    println!("state: {}", size_of_val(&encoder) + size_of_val(&decoder));
    ticks.print("encoder step");
    decoder_ticks.print("decoder step");
    Ok(())
}
