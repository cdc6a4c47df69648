use super::integer::IntegerTile;
use super::tile::{self, Ahead, FloatTile, Weight, product};
use super::{Integer, Isa, Simd, exponential, for_rows};
use crate::table::Block;
use crate::{Activation, LANES, Panels};

/// Sums of the largest tile.
const TILE: usize = 32;

/// Sums of a tile on their way from registers to the epilogue.
#[repr(align(64))]
struct Sums<T>([[T; LANES]; TILE]);

/// A block of a linear layer: tile after tile down the rows, so that the panels stay in the cache.
#[inline(always)]
pub fn block<I: Isa>(isa: I, block: &Block) {
    match block.layer.panels {
        Panels::F32(weights) => floats(isa, block, weights),
        Panels::F16(weights) => floats(isa, block, weights),
        Panels::I8 { weight, scale, zero } => integers(isa, block, weight, scale, zero),
    }
}

#[inline(always)]
fn floats<I: Isa, W: Weight>(isa: I, block: &Block, weights: &[W]) {
    const { assert!(I::Vector::ROWS * I::Vector::PANELS <= TILE) }
    let inputs = block.layer.inputs;
    let mut sums = Sums([[0.0; LANES]; TILE]);
    let mut panel = block.panels.start;
    while panel < block.panels.end {
        let count = if block.panels.end - panel >= I::Vector::PANELS { I::Vector::PANELS } else { 1 };
        let panels = &weights[panel * inputs * LANES..][..count * inputs * LANES];
        let runs = tile::runs(inputs);
        let next = next_panels(weights, block, count * inputs * LANES);
        let bands = Bands::new(block, I::Vector::ROWS);
        let mut ahead = Ahead::new(next, bands.count, runs);
        for (first, rows) in bands {
            let tile = FloatTile {
                x: block.x.data()[first * block.x.stride()..].as_ptr(),
                x_stride: block.x.stride(),
                panels: panels.as_ptr(),
                inputs,
                y: sums.0.as_mut_ptr().cast(),
                y_stride: count * LANES,
                ahead,
            };
            ahead = ahead.after(runs);
            // SAFETY: the shapes were checked, the panels sliced, and the sums hold a tile.
            unsafe { product(isa, &tile, rows, count) };
            for (row, sums) in (first..).zip(sums.0.chunks_exact(count)).take(rows) {
                write(isa.vector(), block, row, panel, sums);
            }
        }
        panel += count;
    }
}

#[inline(always)]
fn integers<I: Isa>(isa: I, block: &Block, weights: &[i8], scale: &[f32], zero: &[i32]) {
    const { assert!(I::Int::ROWS * I::Int::PANELS <= TILE) }
    let s = isa.vector();
    let steps = block.layer.inputs.div_ceil(4);
    let mut sums = Sums([[0i32; LANES]; TILE]);
    let mut floats = Sums([[0.0; LANES]; TILE]);
    let mut panel = block.panels.start;
    while panel < block.panels.end {
        let count = if block.panels.end - panel >= I::Int::PANELS { I::Int::PANELS } else { 1 };
        let panels = &weights[panel * steps * 4 * LANES..][..count * steps * 4 * LANES];
        let columns = panel * LANES..(panel + count) * LANES;
        let (scale, _) = scale[columns.clone()].as_chunks::<LANES>();
        let (zero, _) = zero[columns].as_chunks::<LANES>();
        let runs = tile::runs(4 * steps);
        let next = next_panels(weights, block, count * steps * 4 * LANES);
        let bands = Bands::new(block, I::Int::ROWS);
        let mut ahead = Ahead::new(next, bands.count, runs);
        for (first, rows) in bands {
            let tile = IntegerTile {
                x: block.quantised.bytes[first * block.quantised.stride..].as_ptr(),
                x_stride: block.quantised.stride,
                panels: panels.as_ptr(),
                steps,
                y: sums.0.as_mut_ptr().cast(),
                y_stride: count * LANES,
                ahead,
            };
            ahead = ahead.after(runs);
            // SAFETY: the shapes were checked, the panels sliced, the sums hold a tile, and quantised rows are whole vectors.
            unsafe {
                if count == 1 {
                    for_rows!(rows, I::Int::ROWS, M => isa.integer_tile::<M, 1>(&tile));
                } else {
                    for_rows!(rows, I::Int::ROWS, M => by_panels::<I, M>(isa, &tile));
                }
            }
            for (row, sums) in (first..).zip(sums.0.chunks_exact_mut(count)).take(rows) {
                let row_scale = s.splat(block.quantised.scales[row]);
                for n in 0..count {
                    if !I::Int::SIGNED {
                        for lane in 0..LANES {
                            sums[n][lane] = sums[n][lane].wrapping_sub(zero[n][lane]);
                        }
                    }
                    let scale = s.mul(row_scale, s.load(&scale[n]));
                    s.store(s.mul(s.load_int(&sums[n]), scale), &mut floats.0[n]);
                }
                write(s, block, row, panel, &floats.0[..count]);
            }
        }
        panel += count;
    }
}

/// A tile of `I::Int::PANELS` panels.
///
/// # Safety
/// As [`super::integer::tile`].
#[inline(always)]
unsafe fn by_panels<I: Isa, const M: usize>(isa: I, tile: &IntegerTile) {
    // SAFETY: the caller's promise.
    unsafe {
        match I::Int::PANELS {
            2 => isa.integer_tile::<M, 2>(tile),
            3 => isa.integer_tile::<M, 3>(tile),
            _ => isa.integer_tile::<M, 4>(tile),
        }
    }
}

/// Adds the bias to some panels' sums for a row, activates them, and writes or adds them to the result.
#[inline(always)]
fn write<S: Simd>(s: S, block: &Block, row: usize, panel: usize, sums: &[[f32; LANES]]) {
    let columns = panel * LANES..(panel + sums.len()) * LANES;
    let (bias, _) = match block.layer.bias {
        [] => (&[][..], &[][..]),
        bias => bias[columns.clone()].as_chunks::<LANES>(),
    };
    // SAFETY: nobody else writes the rows and panels of a block.
    let (y, _) = unsafe { block.y.segment(row, columns) }.as_chunks_mut::<LANES>();
    for (n, y) in y.iter_mut().enumerate() {
        let mut value = s.load(&sums[n]);
        if let Some(bias) = bias.get(n) {
            value = s.add(value, s.load(bias));
        }
        value = match block.activation {
            Activation::None => value,
            Activation::Gelu => exponential::gelu(s, value),
            Activation::QuickGelu => exponential::quick_gelu(s, value),
            Activation::TanhGelu => exponential::tanh_gelu(s, value),
        };
        if block.accumulate {
            value = s.add(s.load(y), value);
        }
        s.store(value, y);
    }
}

/// The panels that the worker will probably be given next; none if it is done.
#[inline(always)]
fn next_panels<'a, W>(weights: &'a [W], block: &Block, len: usize) -> &'a [W] {
    let count = block.panels.len();
    weights.get(block.ahead.saturating_mul(len / count)..).map_or(&[], |rest| &rest[..rest.len().min(len)])
}

/// Divides a block's rows evenly into runs of at most `most`: first row and length of each.
struct Bands {
    start: usize,
    rows: usize,
    count: usize,
    next: usize,
}

impl Bands {
    #[inline(always)]
    fn new(block: &Block, most: usize) -> Bands {
        let rows = block.rows.len();
        Bands { start: block.rows.start, rows, count: rows.div_ceil(most), next: 0 }
    }
}

impl Iterator for Bands {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        if self.next == self.count {
            return None;
        }
        let (first, end) = (self.rows * self.next / self.count, self.rows * (self.next + 1) / self.count);
        self.next += 1;
        Some((self.start + first, end - first))
    }
}
