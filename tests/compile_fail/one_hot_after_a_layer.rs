//! One-hot inputs that another layer computes.
//~ OneHot is the first layer of its network
use grulet::{Dense, Gru, LayerSpec, OneHot, WindowNetwork};

const SPECS: &[LayerSpec] = <(Dense<3, 1>, OneHot<Gru<5, 4>>) as WindowNetwork>::SPECS;

fn main() {
    println!("{SPECS:?}");
}
