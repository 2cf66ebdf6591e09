fn bench(counter: &Counter) -> Result<(), Error> {
    let model = Net::from_blob(MODEL)?;
    let (mut encoder, mut ticks) = (model.encoder(), Ticks::NONE);
    let paint = stack::paint::<{ board::PAINT }>();
    for step in 0..@COUNT@ {
        let sample = sample(step);
        ticks.count(counter, || encoder.step(black_box(&sample)));
    }
    let (mut decoder, mut decoder_ticks) = (encoder.decoder(), Ticks::NONE);
    for step in 0..@COUNT@_usize {
        decoder_ticks.count(counter, || decoder.step(black_box((step % @TOKENS@) as u16)));
    }
    println!("stack: {}", paint.used());
    println!("state: {}", size_of_val(&encoder) + size_of_val(&decoder));
    ticks.print("encoder step");
    decoder_ticks.print("decoder step");
    Ok(())
}
