//! A layer without units.
//~ a layer's sizes lie between 1 and 65,535
use grulet::{Gru, Layer, LayerSpec};

const SPEC: LayerSpec = <Gru<2, 0> as Layer>::SPEC;

fn main() {
    println!("{SPEC}");
}
