use core::num::NonZero;
use core::ops::Range;

use crate::part::Part;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
use crate::radices::Plan;
use crate::rows::Output;
use crate::{Activation, LANES, Linear, Pairing, Rows};

/// The kernels of one instruction set.
///
/// Every function may be called only on a CPU that has the instruction set; operands have been checked by the caller.
#[allow(clippy::type_complexity, reason = "a kernel's operands are its type")]
pub(crate) struct Table {
    pub name: &'static str,
    /// Panels that one pass over the rows works on.
    pub panels: usize,
    /// Most rows of a tile of floats.
    pub float_rows: usize,
    /// Computes a block of a layer's outputs. May widen halves in `room`, if that suffices for `panels` panels.
    pub linear: unsafe fn(&Block, room: &mut [f32]),
    /// Activations as bytes, for layers of integers.
    pub integers: Narrowing,
    /// Activations as halves, for layers of halves. `None` if those are computed in single precision.
    pub halves: Option<Narrowing>,
    /// The same table without `halves`, if it has any.
    pub single: Option<&'static Table>,
    /// Computes one head of an attention.
    pub head: unsafe fn(&Head, scratch: &mut [f32]),
    /// Filters one panel of channels.
    pub global_filter: unsafe fn(&Filter, scratch: &mut [f32]),
    /// `y = (x - mean) / sqrt(var + eps)`, `y` as long as `x`.
    pub layer_norm: unsafe fn(x: &[f32], eps: f32, y: &mut [f32]),
    /// `x = (x - mean) / sqrt(var + eps) * gain + bias`, all of one length.
    pub layer_norm_affine: unsafe fn(x: &mut [f32], eps: f32, gain: &[f32], bias: &[f32]),
    pub softmax: unsafe fn(row: &mut [f32]),
    /// Both of one length.
    pub dot: unsafe fn(a: &[f32], b: &[f32]) -> f32,
    /// `y += a x`, both of one length.
    pub scaled_add: unsafe fn(y: &mut [f32], a: f32, x: &[f32]),
    /// [`Table::scaled_add`] for one `x` after the other, none of which is shorter than `y`.
    pub scaled_add_all: unsafe fn(y: &mut [f32], a: f32, all: &[&[f32]]),
    /// `y = a x`, both of one length.
    pub scaled: unsafe fn(y: &mut [f32], a: f32, x: &[f32]),
    /// Writes the scores of a pairing, whose lists are at least as long; returns the best.
    pub pair_scores: unsafe fn(pairing: &Pairing, scores: &mut [f32]) -> f32,
    /// Transposes at most 16 of the rows into a panel `[width, 16]`, each times its factor; zeros for those that lack.
    pub pack_panel: unsafe fn(x: Rows, rows: Range<usize>, factors: &[f32; LANES], panel: &mut [f32]),
    /// At most 16 of the rows as a panel of integers `[width / 4, 16, 4]`, each in units of its scale, with the zeros of those. `None` if products of
    /// integers gain too little to be worth it.
    pub pack_integers: Option<
        unsafe fn(x: Rows, rows: Range<usize>, panel: &mut [u8], scale: &mut [f32; LANES], zero: &mut [i32; LANES]),
    >,
    /// Takes the channels of a line `[pixels, 3]` apart.
    pub split_channels: unsafe fn(line: &[u8], planes: [&mut [u8]; 3]),
    /// Filters a line into pixels, by `entry` words of the table for each: first column, number of columns, weights with zeros behind them.
    pub filter_line: unsafe fn(planes: [&[u8]; 3], table: &[i32], entry: usize, out: &mut [[u8; 3]]),
    /// `sums += weight · line`
    pub add_line: unsafe fn(sums: &mut [i32], line: &[u8], weight: i32),
}

impl Table {
    /// Whether there may be tables with [`Table::halves`].
    pub const HALVES: bool = cfg!(any(feature = "std", all(target_arch = "aarch64", target_feature = "neon")));

    /// [`Table::halves`], known to be `None` where no table has them.
    pub fn halves(&self) -> Option<Narrowing> {
        if Table::HALVES { self.halves } else { None }
    }
}

/// Some panels of a layer for some of its rows.
pub(crate) struct Block<'a> {
    pub x: Rows<'a>,
    /// `x` in integers or halves, empty if it is multiplied as it is.
    pub narrowed: Narrowed<'a>,
    pub layer: &'a Linear<'a>,
    pub activation: Activation,
    pub accumulate: bool,
    /// The rows of these bands.
    pub rows: Range<usize>,
    /// All rows of the layer, tile by tile.
    #[allow(dead_code, reason = "the plain twins go by rows")]
    pub bands: Bands,
    #[allow(dead_code, reason = "the plain twins go by rows")]
    pub part: Range<usize>,
    pub panels: Range<usize>,
    /// First panel that the same worker will probably be given next.
    #[allow(dead_code, reason = "the plain twins do not look ahead")]
    pub ahead: usize,
    /// Nobody else writes these rows and panels.
    pub y: &'a Output<'a>,
}

/// How activations are narrowed to what a layer's weights are multiplied with.
#[derive(Clone, Copy)]
pub(crate) struct Narrowing {
    /// Most rows of a tile.
    pub rows: usize,
    /// Writes a row of a band of `height` from its place in `bytes` on; returns the row's scale. What lies past the row does not count: its
    /// weights are zero, or it is never read.
    pub row: unsafe fn(row: &[f32], height: usize, bytes: &mut [u8]) -> f32,
}

/// The rows of a layer in bands as even as can be, each as high as a tile at most.
#[derive(Clone, Copy)]
pub(crate) struct Bands {
    rows: usize,
    count: NonZero<usize>,
}

impl Bands {
    /// One band at least, of no rows if there are none.
    pub fn new(rows: usize, most: usize) -> Bands {
        Bands { rows, count: NonZero::new(rows.div_ceil(most.max(1))).unwrap_or(NonZero::<usize>::MIN) }
    }

    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// The rows of some neighbouring bands.
    pub fn rows(&self, bands: Range<usize>) -> Range<usize> {
        self.rows * bands.start / self.count..self.rows * bands.end / self.count
    }

    /// The rows of one band.
    pub fn band(&self, index: usize) -> Range<usize> {
        self.rows(index..index + 1)
    }
}

/// Rows of narrowed activations, band by band.
#[derive(Clone, Copy, Default)]
pub(crate) struct Narrowed<'a> {
    /// Of each band `[ceil(inputs / n), rows, n]`, from its first row times `stride` on; `n` is 4 for bytes and 8 for halves.
    pub bytes: &'a [u8],
    pub stride: usize,
    /// `[rows]`
    pub scales: &'a [f32],
}

impl<'a> Narrowed<'a> {
    /// One row, with what lies behind its last byte, if bands are a row high.
    #[allow(dead_code, reason = "vector kernels go by addresses")]
    pub fn row(&self, row: usize) -> &'a [u8] {
        self.bytes.part(row * self.stride..(row + 1) * self.stride)
    }
}

/// One head of an attention.
pub(crate) struct Head<'a> {
    pub q: Rows<'a>,
    pub k: Rows<'a>,
    pub v: Rows<'a>,
    /// First columns of the head in `q`, `k`, `v` and `y`.
    pub columns: [usize; 4],
    pub dim: usize,
    pub log_sizes: Option<&'a [f32]>,
    pub causal_from: Option<usize>,
    /// Nobody else writes this head's columns.
    pub y: &'a Output<'a>,
}

impl Head<'_> {
    /// Number of keys that a query sees.
    pub fn visible(&self, query: usize) -> usize {
        self.causal_from.map_or(self.k.rows(), |first| first.saturating_add(query + 1).min(self.k.rows()))
    }
}

/// One panel of channels of a filter over a grid of tokens.
pub(crate) struct Filter<'a> {
    /// `[H·W, ..]`
    pub x: Rows<'a>,
    /// `[H, W]`
    pub grid: [usize; 2],
    pub panel: usize,
    /// `[H, W/2 + 1]`: real and imaginary parts.
    pub coefficients: &'a [[[f32; LANES]; 2]],
    pub bias: &'a [f32; LANES],
    /// `exp(-2πi k / n)` for `n` of `H` and of `W`.
    pub roots: [&'a [[f32; 2]]; 2],
    /// How its lines are transformed.
    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
    pub plan: &'a Plan,
    /// Nobody else writes this panel's columns.
    pub y: &'a Output<'a>,
}
