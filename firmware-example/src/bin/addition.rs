//! Sums of numbers, read and written character by character: an encoder-decoder in `f32` and in integers. The model is that
//! of `examples/addition.toml`.
#![no_std]
#![no_main]

use grulet::heapless::String;
use grulet::layer::Frame;
use grulet::*;
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!("../../../tests/models/addition.gru");
static MODEL_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/addition_int8.gru");

type Encoder<F> = (Embedding<13, 16, F>, Gru<16, 64, F, ResetAfter>);
type Decoder<F> = (Embedding<13, 16, F>, Gru<16, 64, F, ResetAfter>, Dense<64, 13, Softmax, F>);
const _: () = assert!(Seq2Seq::<Encoder<Exact>, Decoder<Exact>>::fits(MODEL), "addition.gru is another network's");

const QUESTIONS: [&str; 4] = ["76+941", "0+7", "999+999", "508+493"];

#[entry]
fn main() -> ! {
    let result = answer::<Exact, Encoder<Exact>, Decoder<Exact>>("f32", MODEL)
        .and_then(|()| answer::<Int8, Encoder<Int8>, Decoder<Int8>>("Int8", MODEL_INT8));
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn answer<F, E, D>(name: &str, blob: &'static Aligned<[u8]>) -> Result<(), Error>
where
    F: Format,
    E: Network<Format = F, Input: Frame<F, Real = [f32; 1]>>,
    D: Network<Format = F>,
{
    let model = Seq2Seq::<E, D>::from_blob(blob)?;
    model.self_test()?;
    let names = model.header()?.outputs;
    for question in QUESTIONS {
        let mut encoder = model.encoder();
        for character in question.chars() {
            let token = names.iter().position(|name| name.chars().eq([character]));
            encoder.step(&[token.unwrap_or(0) as f32]);
        }
        let mut text = String::<8>::new();
        for token in encoder.decoder() {
            // A sum has at most four digits.
            _ = text.push_str(names.get(token.into()).unwrap_or("?"));
        }
        println!("{name}: {question} = {text}");
    }
    Ok(())
}
