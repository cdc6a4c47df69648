use core::ops::Range;

use super::activation::{Curve, tanh_argument};
use super::halves::{self, HalfTile};
use super::integer::{self, IntegerTile};
use super::tile::{self, Ahead, FloatTile, Weight, ZEROS};
use super::{Half, Integer, Isa, Simd};
use crate::polynomials::{ERF, QUICK, TANH};
use crate::table::Block;
use crate::{Activation, LANES, Panels};

/// Sums of the largest tile.
const TILE: usize = 32;

/// Sums of a tile that are activated before they are added to the result.
#[repr(align(64))]
struct Sums([[f32; LANES]; TILE]);

/// Where a tile writes to: the first of its rows, and the distance of rows.
#[derive(Clone, Copy)]
struct Place {
    y: *mut f32,
    stride: usize,
}

/// Bands from which on halves are widened once for all of them.
const WIDENED_BANDS: usize = 3;

/// A block of a linear layer: tile after tile down the rows, so that the panels stay in the cache. Halves that are multiplied by floats become
/// floats in `room`, if that suffices.
#[inline(always)]
pub fn block<I: Isa>(isa: I, block: &Block, room: &mut [f32]) {
    match block.layer.panels {
        Panels::F32(weights) => floats(isa, block, weights, room),
        Panels::F16(weights) if !block.narrowed.scales.is_empty() => halves(isa, block, weights),
        Panels::F16(weights) => floats(isa, block, weights, room),
        Panels::I8 { weight, scale, zero } => integers(isa, block, weight, scale, zero),
    }
}

#[inline(always)]
fn floats<I: Isa, W: Weight>(isa: I, block: &Block, weights: &[W], room: &mut [f32]) {
    const { assert!(I::Vector::ROWS * I::Vector::PANELS <= TILE && I::Vector::PANELS * LANES <= ZEROS.len()) }
    let inputs = block.layer.inputs;
    let runs = inputs.div_ceil(I::Vector::RUN);
    let room = if block.part.len() < WIDENED_BANDS { &mut [] } else { room };
    let mut panel = block.panels.start;
    while panel < block.panels.end {
        let count = if block.panels.end - panel >= I::Vector::PANELS { I::Vector::PANELS } else { 1 };
        let columns = panel * LANES..(panel + count) * LANES;
        let panels = &weights[columns.start * inputs..columns.end * inputs];
        let next = next_panels(weights, block, panels.len());
        let ahead = Ahead::new(next, block.rows.len(), block.part.len(), runs);
        match W::widened(isa.vector(), panels, room) {
            Some(panels) => tiles(isa, block, columns, panels, ahead, runs),
            None => tiles(isa, block, columns, panels, ahead, runs),
        }
        panel += count;
    }
}

/// The tiles of some neighbouring panels, each of so many runs.
#[inline(always)]
fn tiles<I: Isa, W: Weight>(isa: I, block: &Block, columns: Range<usize>, panels: &[W], mut ahead: Ahead, runs: usize) {
    let mut buffer = Sums([[0.0; LANES]; TILE]);
    for band in block.part.clone() {
        let rows = block.bands.band(band);
        let tile = float_tile(block, rows.start, &columns, panels, &mut buffer, ahead);
        ahead = ahead.after(runs);
        // SAFETY: the shapes were checked, the panels sliced, and nobody else writes the rows and panels of a block.
        unsafe { tile::of_panels(isa, &tile, rows.len(), columns.len() / LANES) };
        finish(isa.vector(), block, rows, &columns, &buffer);
    }
}

/// The operands of a tile from a row on.
#[inline(always)]
fn float_tile<W>(
    block: &Block,
    row: usize,
    columns: &Range<usize>,
    panels: &[W],
    buffer: &mut Sums,
    ahead: Ahead,
) -> FloatTile<W> {
    let place = place(block, row, columns, buffer);
    FloatTile {
        x: block.x.data()[row * block.x.stride()..].as_ptr(),
        x_stride: block.x.stride(),
        panels: panels.as_ptr(),
        inputs: block.layer.inputs,
        start: bias(block, columns.clone()).as_ptr(),
        y: place.y,
        y_stride: place.stride,
        accumulate: adds_at_once(block),
        ahead,
    }
}

/// Halves by halves, panel by panel.
#[inline(always)]
fn halves<I: Isa>(isa: I, block: &Block, weights: &[u16]) {
    const { assert!(<I::Half as Half<I::Vector>>::ROWS <= TILE, "a tile of halves is one panel wide") }
    let inputs = block.layer.inputs;
    let runs = inputs.div_ceil(halves::HINT);
    let mut buffer = Sums([[0.0; LANES]; TILE]);
    for panel in block.panels.clone() {
        let columns = panel * LANES..(panel + 1) * LANES;
        let panels = &weights[columns.start * inputs..columns.end * inputs];
        let mut ahead = Ahead::new(next_panels(weights, block, panels.len()), block.rows.len(), block.part.len(), runs);
        for band in block.part.clone() {
            let rows = block.bands.band(band);
            let tile = HalfTile {
                float: float_tile(block, rows.start, &columns, panels, &mut buffer, ahead),
                x: block.narrowed.bytes[rows.start * block.narrowed.stride..].as_ptr().cast(),
                x_scale: block.narrowed.scales[rows.clone()].as_ptr(),
            };
            ahead = ahead.after(runs);
            // SAFETY: as above, and narrowed rows are whole vectors.
            unsafe { halves::of_rows(isa, &tile, rows.len()) };
            finish(isa.vector(), block, rows, &columns, &buffer);
        }
    }
}

#[inline(always)]
fn integers<I: Isa>(isa: I, block: &Block, weights: &[i8], scale: &[f32], zero: &[i32]) {
    const { assert!(I::Int::ROWS * I::Int::PANELS <= TILE && I::Int::PANELS * LANES <= ZEROS.len()) }
    const { assert!(!I::Int::PAIRS || I::Int::ROWS <= 2, "a pair's activations lie in sixteen bytes") }
    let steps = block.layer.inputs.div_ceil(4);
    let runs = (4 * steps).div_ceil(I::Int::RUN);
    let mut buffer = Sums([[0.0; LANES]; TILE]);
    let mut panel = block.panels.start;
    while panel < block.panels.end {
        let count = if block.panels.end - panel >= I::Int::PANELS { I::Int::PANELS } else { 1 };
        let columns = panel * LANES..(panel + count) * LANES;
        let panels = &weights[columns.start * steps * 4..columns.end * steps * 4];
        let bias = bias(block, columns.clone());
        let mut ahead = Ahead::new(next_panels(weights, block, panels.len()), block.rows.len(), block.part.len(), runs);
        for band in block.part.clone() {
            let rows = block.bands.band(band);
            let place = place(block, rows.start, &columns, &mut buffer);
            let tile = IntegerTile {
                x: block.narrowed.bytes[rows.start * block.narrowed.stride..].as_ptr(),
                x_scale: block.narrowed.scales[rows.clone()].as_ptr(),
                panels: panels.as_ptr(),
                steps,
                scale: scale[columns.clone()].as_ptr(),
                zero: zero[columns.clone()].as_ptr(),
                bias: bias.as_ptr(),
                y: place.y,
                y_stride: place.stride,
                accumulate: adds_at_once(block),
                ahead,
            };
            ahead = ahead.after(runs);
            // SAFETY: as above, and quantised rows are whole vectors.
            unsafe { integer::of_panels(isa, &tile, rows.len(), count) };
            finish(isa.vector(), block, rows, &columns, &buffer);
        }
        panel += count;
    }
}

/// Some outputs' bias, or zeros.
#[inline(always)]
fn bias<'a>(block: &Block<'a>, columns: Range<usize>) -> &'a [f32] {
    match block.layer.bias {
        [] => &ZEROS[..columns.len()],
        bias => &bias[columns],
    }
}

/// Whether tiles add to the result themselves.
#[inline(always)]
fn adds_at_once(block: &Block) -> bool {
    block.accumulate && block.activation == Activation::None
}

/// Where a tile's sums go: to the result, unless they are activated and added.
#[inline(always)]
fn place(block: &Block, row: usize, columns: &Range<usize>, buffer: &mut Sums) -> Place {
    if block.accumulate && block.activation != Activation::None {
        Place { y: buffer.0.as_mut_ptr().cast(), stride: columns.len() }
    } else {
        let (y, stride) = block.y.column(columns.start);
        Place { y: y.wrapping_add(row * stride), stride }
    }
}

/// Activates what a tile has computed.
#[inline(always)]
fn finish<S: Simd>(s: S, block: &Block, rows: Range<usize>, columns: &Range<usize>, buffer: &Sums) {
    let panels = columns.len() / LANES;
    let (y, stride) = block.y.column(columns.start);
    macro_rules! activate {
        (|$value:ident| $activated:expr) => {
            let mut at = y.wrapping_add(rows.start * stride);
            for index in 0..rows.len() {
                for n in 0..panels {
                    // SAFETY: nobody else writes the rows and panels of a block, whose shapes were checked.
                    let y = unsafe { &mut *at.add(n * LANES).cast::<[f32; LANES]>() };
                    if block.accumulate {
                        let $value = s.load(&buffer.0[index * panels + n]);
                        s.store(s.add(s.load(y), $activated), y);
                    } else {
                        let $value = s.load(y);
                        s.store($activated, y);
                    }
                }
                at = at.wrapping_add(stride);
            }
        };
    }
    match block.activation {
        Activation::None => {}
        Activation::Gelu => {
            let curve = Curve::new(s, &ERF);
            activate!(|x| curve.half(x, x));
        }
        Activation::QuickGelu => {
            let curve = Curve::new(s, &QUICK);
            activate!(|x| curve.half(x, x));
        }
        Activation::TanhGelu => {
            let curve = Curve::new(s, &TANH);
            activate!(|x| curve.half(x, tanh_argument(s, x)));
        }
    }
}

/// The panels that the worker will probably be given next; none if it is done.
#[inline(always)]
fn next_panels<'a, W>(weights: &'a [W], block: &Block, len: usize) -> &'a [W] {
    let count = block.panels.len();
    weights.get(block.ahead.saturating_mul(len / count)..).map_or(&[], |rest| &rest[..rest.len().min(len)])
}
