//! The plain twins: what every kernel computes, in the fewest words and to the same bits. Only the filter of a frequency block adds up in
//! another order than vector kernels.

mod attention;
mod exponential;
pub(crate) mod fourier;
#[cfg(feature = "std")]
mod halves;
mod lanes;
pub(crate) mod linear;
mod pairing;
pub(crate) mod resample;
mod vector;

use crate::table::{Narrowing, Table};

pub(crate) const TABLE: Table = Table {
    name: "generic",
    panels: 1,
    float_rows: 1,
    linear: linear::block,
    integers: Narrowing { rows: 1, row: linear::quantise },
    halves: None,
    single: None,
    head: attention::head,
    global_filter: if cfg!(feature = "fourier") { fourier::filter } else { |_, _| {} },
    layer_norm: vector::layer_norm,
    layer_norm_affine: vector::layer_norm_affine,
    softmax: vector::softmax,
    dot: lanes::dot,
    scaled_add: vector::scaled_add,
    scaled_add_all: vector::scaled_add_all,
    scaled: vector::scaled,
    pair_scores: pairing::scores,
    pack_panel: pairing::pack,
    pack_integers: None,
    split_channels: resample::split_channels,
    filter_line: resample::filter_line,
    add_line: resample::add_line,
};

/// The same, with layers of halves in half precision.
#[cfg(feature = "std")]
pub(crate) static HALVES: Table = Table {
    name: "generic-fp16",
    linear: halves::block,
    halves: Some(Narrowing { rows: 1, row: halves::narrow }),
    single: Some(const { &TABLE }),
    ..TABLE
};
