// The outputs of a bidirectional layer follow from its units.

use grulet::{Bidirectional, LayerSpec, layer::WindowLayer};

const SPEC: LayerSpec = <Bidirectional<3, 4, 4> as WindowLayer>::SPEC;

fn main() {
    println!("{SPEC}");
}

//~ has O = 2·H outputs with Concat
