use core::hint::black_box;

use board::Counter;

type Net = @NET@;

/// Ticks of the counter: the fewest and the most of a call, and those of all.
struct Ticks(u64, u64, u64);

impl Ticks {
    const NONE: Self = Self(u64::MAX, 0, 0);

    /// Calls `work`, and counts what it takes.
    #[inline(always)]
    fn count<T>(&mut self, counter: &mut Counter, work: impl FnOnce() -> T) {
        let start = counter.begin();
        black_box(work());
        let ticks = u64::from(counter.since(start));
        *self = Self(self.0.min(ticks), self.1.max(ticks), self.2 + ticks);
    }

    fn print(&self, name: &str) {
        println!("ticks of {name}: {} {} {}", self.0, self.1, self.2);
    }
}

/// A sample of that step.
fn sample(step: usize) -> [f32; @INPUTS@] {
    @SAMPLE@
}

fn run() -> Result<(), Error> {
    let mut counter = Counter::start().expect("this core has the counter that its board.rs names");
    println!("per1000: {}", board::TICKS_PER_1000);
    println!("unit: {}", board::UNIT);
    bench(&mut counter)
}

@BENCH@
