use core::hint::black_box;

use board::Counter;

type Net = @NET@;

fn run() -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let counter = Counter::start().expect("this core has the counter that its board.rs names");
    let mut stream = model.stream();
    let (mut least, mut most, mut all) = (u64::MAX, 0_u64, 0_u64);
    let paint = stack::paint::<{ board::PAINT }>();
    for step in 0..@STEPS@_usize {
        let sample: [f32; @INPUTS@] = @SAMPLE@;
        let start = counter.now();
        black_box(stream.step(black_box(&sample)));
        let ticks = u64::from(counter.since(start));
        (least, most, all) = (least.min(ticks), most.max(ticks), all + ticks);
    }
    println!("stack: {}", paint.used());
    println!("state: {}", size_of::<Stream<Net>>());
    println!("ticks: {least} {most} {all}");
    println!("per1000: {}", board::TICKS_PER_1000);
    println!("unit: {}", board::UNIT);
    Ok(())
}

