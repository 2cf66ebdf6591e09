//! A network: a tuple of layer types whose sizes fit, each running on the outputs of the one before.

use crate::cast::Line;
use crate::format::Format;
use crate::layer::{Frame, Layer, State, WindowLayer, sealed::Sealed, take};
use crate::spec::{LayerSpec, fingerprint, is_bidirectional, last_with_state};

/// A tuple of 1 to 8 layers of one format that can run over a [window](crate::Window), in which each layer takes what the one
/// before it gives: every [`Network`], and those with [`Bidirectional`](crate::Bidirectional) layers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a network",
    note = "a network is a tuple of 1 to 8 layers, such as `(Gru<6, 32>, Dense<32, 4, Softmax>)`; a single layer is `(Gru<6, 32>,)`",
    note = "all its layers have one format, and each takes as many inputs as the one before it gives outputs"
)]
pub trait WindowNetwork: Sealed + 'static {
    /// The numbers that all its layers compute in.
    type Format: Format;
    /// The first layer's inputs.
    type Input: Frame<Self::Format>;
    /// The last layer's outputs.
    type Output: Frame<Self::Format>;
    /// Room for the outputs of all layers at `W` steps, a tuple with one array for each layer.
    type Frames<const W: usize>: Copy;
    /// The layers as data.
    const SPECS: &'static [LayerSpec];
    /// The 16-byte lines that the layers' tensors take.
    const LINES: usize;
    /// Bytes on the stack that a step takes for operands and sums, in the layer that takes most.
    const SCRATCH: usize;
    /// What a blob for this network carries in its preamble.
    const FINGERPRINT: u64 = fingerprint(Self::Format::STORAGE, Self::SPECS);
    /// Whether it has a bidirectional layer, and so no answer at each step.
    const BIDIRECTIONAL: bool = is_bidirectional(Self::SPECS);

    /// Room that holds zeros.
    fn frames<const W: usize>() -> Self::Frames<W>;

    /// Runs the series `xs` through all layers, and returns the outputs: of every step, or of the whole series alone.
    fn run<'f, const W: usize>(
        tensors: &[Line],
        only_last: bool,
        xs: &[Self::Input],
        frames: &'f mut Self::Frames<W>,
    ) -> &'f [Self::Output];
}

/// A tuple of 1 to 8 [layers](Layer) of one format that answers at each step: what a [`Stream`](crate::Stream) runs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a network that answers at each step",
    note = "a network is a tuple of 1 to 8 layers, such as `(Gru<6, 32>, Dense<32, 4, Softmax>)`; a single layer is `(Gru<6, 32>,)`",
    note = "all its layers have one format, and each takes as many inputs as the one before it gives outputs",
    note = "a network with a `Bidirectional` layer answers when a series is complete: use `Model::window`"
)]
pub trait Network: WindowNetwork {
    /// All layers' states, a tuple with one element for each layer: all the RAM that a stream needs.
    type State: State<Self::Format>;

    /// One step through all layers. `tensors` holds the layers' lines one after the other.
    fn step(tensors: &[Line], state: &mut Self::State, x: &Self::Input) -> Self::Output;
}

/// One step in real units.
pub(crate) type RealInput<N> = <<N as WindowNetwork>::Input as Frame<<N as WindowNetwork>::Format>>::Real;
/// One step's outputs in real units.
pub(crate) type RealOutput<N> = <<N as WindowNetwork>::Output as Frame<<N as WindowNetwork>::Format>>::Real;

const fn largest(sizes: &[usize]) -> usize {
    let (mut largest, mut i) = (0, 0);
    while i < sizes.len() {
        if sizes[i] > largest {
            largest = sizes[i];
        }
        i += 1;
    }
    largest
}

/// [`last_with_state`] among the layers of a tuple, of which those with a [`OneHot`](crate::OneHot) are two in `specs`.
const fn last_of(specs: &[LayerSpec], one_hot: bool) -> usize {
    match specs.split_first() {
        Some((_, rest)) if one_hot => last_with_state(rest),
        _ => last_with_state(specs),
    }
}

/// One layer over the series `xs`: its outputs at every step, or the last one alone.
fn over<'f, L: WindowLayer>(
    tensors: &[Line],
    only_last: bool,
    xs: &[L::Input],
    ys: &'f mut [L::Output],
) -> &'f [L::Output] {
    let ys = ys.get_mut(..if only_last { xs.len().min(1) } else { xs.len() }).unwrap_or_default();
    if !only_last {
        L::run(tensors, xs, ys);
    } else if let Some(y) = ys.first_mut() {
        *y = L::last(tensors, xs);
    }
    ys
}

macro_rules! network {
    ($First:ident $first:tt $(, $Layer:ident $layer:tt after $Before:ident)*; last $Last:ident) => {
        impl<$First: WindowLayer $(, $Layer: WindowLayer<Format = $First::Format, Input = $Before::Output>)*> Sealed
            for ($First, $($Layer,)*) {}

        impl<$First: WindowLayer $(, $Layer: WindowLayer<Format = $First::Format, Input = $Before::Output>)*>
            WindowNetwork for ($First, $($Layer,)*)
        {
            type Format = $First::Format;
            type Input = $First::Input;
            type Output = $Last::Output;
            type Frames<const W: usize> = ([$First::Output; W], $([$Layer::Output; W],)*);
            const SPECS: &'static [LayerSpec] = {
                assert!(
                    true $(&& !$Layer::ONE_HOT)*,
                    "OneHot is the first layer of its network: give later layers without it"
                );
                if $First::ONE_HOT {
                    &[LayerSpec::OneHot { vocabulary: $First::SPEC.inputs() as u16 }, $First::SPEC, $($Layer::SPEC,)*]
                } else {
                    &[$First::SPEC, $($Layer::SPEC,)*]
                }
            };
            const LINES: usize = (
                $First::SPEC.lines($First::Format::STORAGE) $(+ $Layer::SPEC.lines($First::Format::STORAGE))*
            ) as usize;
            const SCRATCH: usize = largest(&[$First::SCRATCH, $($Layer::SCRATCH,)*]);

            fn frames<const W: usize>() -> Self::Frames<W> {
                ([$First::Output::ZERO; W], $([$Layer::Output::ZERO; W],)*)
            }

            #[allow(unused_mut)]
            fn run<'f, const W: usize>(
                mut tensors: &[Line],
                only_last: bool,
                xs: &[Self::Input],
                frames: &'f mut Self::Frames<W>,
            ) -> &'f [Self::Output] {
                let lines = const { $First::SPEC.lines($First::Format::STORAGE) as usize };
                let only_here = only_last && const { last_of(Self::SPECS, $First::ONE_HOT) == $first };
                let ys = over::<$First>(take(&mut tensors, lines), only_here, xs, &mut frames.$first);
                $(
                    let lines = const { $Layer::SPEC.lines($First::Format::STORAGE) as usize };
                    let only_here = only_last && const { last_of(Self::SPECS, $First::ONE_HOT) == $layer };
                    let ys = over::<$Layer>(take(&mut tensors, lines), only_here, ys, &mut frames.$layer);
                )*
                ys
            }
        }

        impl<$First: Layer $(, $Layer: Layer<Format = $First::Format, Input = $Before::Output>)*> Network
            for ($First, $($Layer,)*)
        where
            ($First::State, $($Layer::State,)*): State<$First::Format>,
        {
            type State = ($First::State, $($Layer::State,)*);

            #[inline]
            #[allow(unused_mut)]
            fn step(mut tensors: &[Line], state: &mut Self::State, x: &Self::Input) -> Self::Output {
                let lines = const { $First::SPEC.lines($First::Format::STORAGE) as usize };
                let y = $First::step(take(&mut tensors, lines), &mut state.$first, x);
                $(
                    let lines = const { $Layer::SPEC.lines($First::Format::STORAGE) as usize };
                    let y = $Layer::step(take(&mut tensors, lines), &mut state.$layer, &y);
                )*
                y
            }
        }

        impl<X: Format, $First: State<X> $(, $Layer: State<X>)*> State<X> for ($First, $($Layer,)*)
        {
            const ZERO: Self = ($First::ZERO, $($Layer::ZERO,)*);
            fn sanitize(&mut self) {
                self.$first.sanitize();
                $(self.$layer.sanitize();)*
            }
            fn units(&self) -> impl Iterator<Item = &[X::Unit]> {
                self.$first.units()$(.chain(self.$layer.units()))*
            }
            fn units_mut(&mut self) -> impl Iterator<Item = &mut [X::Unit]> {
                self.$first.units_mut()$(.chain(self.$layer.units_mut()))*
            }
        }
    };
}

network!(A 0; last A);
network!(A 0, B 1 after A; last B);
network!(A 0, B 1 after A, C 2 after B; last C);
network!(A 0, B 1 after A, C 2 after B, D 3 after C; last D);
network!(A 0, B 1 after A, C 2 after B, D 3 after C, E 4 after D; last E);
network!(A 0, B 1 after A, C 2 after B, D 3 after C, E 4 after D, G 5 after E; last G);
network!(A 0, B 1 after A, C 2 after B, D 3 after C, E 4 after D, G 5 after E, H 6 after G; last H);
network!(A 0, B 1 after A, C 2 after B, D 3 after C, E 4 after D, G 5 after E, H 6 after G, I 7 after H; last I);
