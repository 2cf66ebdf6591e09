// A bidirectional layer has no answer at each step.

use grulet::{Bidirectional, Dense, Model};

fn main() {
    let bytes = [0u8; 0];
    let model = Model::<(Bidirectional<3, 4, 8>, Dense<8, 2>)>::from_blob(&bytes).unwrap();
    let _ = model.stream();
}

//~ the method `stream` exists for struct `Model
//~ Bidirectional<3, 4, 8>
