use super::tile::FloatTile;
use super::{Half, Isa, Simd, by_fours, for_each, for_rows, vector};
use crate::LANES;
use crate::halves::{RUN, scale};

/// Bytes of eight halves.
const EIGHT: usize = 16;

/// Inputs between hints about weights ahead, some runs.
pub const HINT: usize = 2 * RUN;

/// Operands of a product `y [M, 16] = x [M, inputs] · panel [inputs, 16]` that is computed in half precision.
pub struct HalfTile {
    /// The same product in single precision.
    pub float: FloatTile<u16>,
    /// `[ceil(inputs / 8), M, 8]`
    pub x: *const u16,
    /// `[M]`
    pub x_scale: *const f32,
}

/// Computes a tile with the sums of a run in registers, and those of all runs in the first cache. A row whose sums are not finite is computed in
/// single precision.
///
/// # Safety
/// `x` is readable up to a multiple of eight halves, there are `M` scales, and what [`super::tile::float`] asks for is there.
#[inline(always)]
pub unsafe fn tile<I: Isa, const M: usize>(isa: I, tile: &HalfTile) {
    let Some(h) = isa.halves() else { return };
    let (s, float) = (isa.vector(), &tile.float);
    let mut sums = [[0.0; LANES]; M];
    // SAFETY: the caller's promise.
    unsafe { multiply(s, h, tile, &mut sums) };

    // Zero times what is not finite is no number.
    let mut rest = s.splat(0.0);
    for_each!(M, m => rest = s.fma(s.load(&sums[m]), s.splat(0.0), rest));
    let all_finite = s.sum(rest) == 0.0;
    // SAFETY: `start` is 16 long.
    let bias = s.load(unsafe { &*float.start.cast::<[f32; LANES]>() });
    for_each!(M, m => {
        if all_finite || sums[m].iter().all(|sum| sum.is_finite()) {
            // SAFETY: there are `M` scales, and `y` has `M` rows of 16, for this tile alone.
            let (scale, y) = unsafe {
                (s.splat(*tile.x_scale.add(m)), &mut *float.y.add(m * float.y_stride).cast::<[f32; LANES]>())
            };
            let product = s.fma(s.load(&sums[m]), scale, bias);
            s.store(if float.accumulate { s.add(s.load(y), product) } else { product }, y);
        } else {
            // SAFETY: `x` and `y` have `M` rows.
            unsafe { again(isa, float, m) };
        }
    });
}

/// Computes one row of a tile in single precision.
///
/// # Safety
/// As [`super::tile::float`], for that row.
#[cold]
#[inline(never)]
unsafe fn again<I: Isa>(isa: I, tile: &FloatTile<u16>, row: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let one = FloatTile { x: tile.x.add(row * tile.x_stride), y: tile.y.add(row * tile.y_stride), ..*tile };
        isa.float_tile::<u16, 1, 1>(&one);
    }
}

/// Adds a tile's products to its sums.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn multiply<S: Simd, H: Half<S>, const M: usize>(s: S, h: H, tile: &HalfTile, sums: &mut [[f32; LANES]; M]) {
    let inputs = tile.float.inputs;
    let (mut from, mut panel) = (tile.x, tile.float.panels);
    let mut halves = [h.zero(); M];

    macro_rules! eight {
        () => {{
            // SAFETY: the activations are there, up to a multiple of eight inputs.
            let mut x = [unsafe { h.eight(from) }; M];
            for m in 1..M {
                // SAFETY: as above.
                x[m] = unsafe { h.eight(from.add(8 * m)) };
            }
            x
        }};
    }
    macro_rules! step {
        ($lane:literal, $x:ident, $w:expr) => {
            for m in 0..M {
                halves[m] = h.fma_lane::<$lane>($x[m], $w, halves[m]);
            }
            for m in 0..M {
                halves[m] = h.settle(halves[m]);
            }
        };
    }
    macro_rules! two_steps {
        ($lane:literal, $next:literal, $x:ident) => {
            // SAFETY: two steps are left of the panel.
            let w = unsafe { h.next_two(&mut panel) };
            step!($lane, $x, w[0]);
            step!($next, $x, w[1]);
        };
    }
    macro_rules! eight_steps {
        () => {{
            let x = eight!();
            from = from.wrapping_add(8 * M);
            two_steps!(0, 1, x);
            two_steps!(2, 3, x);
            two_steps!(4, 5, x);
            two_steps!(6, 7, x);
        }};
    }
    macro_rules! widen {
        () => {
            for m in 0..M {
                s.store(s.add(s.load(&sums[m]), h.widen(halves[m])), &mut sums[m]);
                halves[m] = h.zero();
            }
        };
    }
    let mut ahead = tile.float.ahead;
    let (mut runs, rest) = (inputs / RUN, inputs % RUN);
    while runs > 0 {
        ahead.hint::<S>();
        let left = runs.saturating_sub(HINT / RUN);
        while runs > left {
            for_each!(RUN / 8, _EIGHT => eight_steps!());
            widen!();
            runs -= 1;
        }
    }
    if rest > 0 {
        ahead.hint::<S>();
        for _ in 0..rest / 8 {
            eight_steps!();
        }
        if rest % 8 > 0 {
            let x = eight!();
            macro_rules! single {
                ($lane:literal) => {
                    if $lane < rest % 8 {
                        // SAFETY: a step is left of the panel.
                        let w = unsafe { h.next(&mut panel) };
                        step!($lane, x, w);
                    }
                };
            }
            single!(0);
            single!(1);
            single!(2);
            single!(3);
            single!(4);
            single!(5);
            single!(6);
        }
        widen!();
    }
}

/// A tile of `rows` rows, at most `ROWS`.
///
/// # Safety
/// As [`tile`], with `rows` for `M`.
#[inline(always)]
pub unsafe fn of_rows<I: Isa>(isa: I, tile: &HalfTile, rows: usize) {
    // SAFETY: the caller's promise.
    unsafe { for_rows!(rows, <I::Half as Half<I::Vector>>::ROWS, M => isa.half_tile::<M>(tile)) }
}

/// Writes a row as halves, eights of which lie `height` eights apart; returns the row's scale.
#[inline(always)]
pub fn narrow<I: Isa>(isa: I, row: &[f32], height: usize, bytes: &mut [u8]) -> f32 {
    let (s, Some(h)) = (isa.vector(), isa.halves()) else { return 0.0 };
    let (chunks, rest) = row.as_chunks::<LANES>();
    let scale = scale(vector::largest_magnitude(s, row));
    let factor = s.splat(1.0 / scale);
    let pitch = EIGHT * height;
    let eights = 2 * row.len().div_ceil(LANES);
    assert!(eights * pitch + EIGHT <= bytes.len() + pitch, "too few bytes for a row of halves");
    let mut to = bytes.as_mut_ptr();
    by_fours!(chunks, chunk => {
        // SAFETY: there is room for two eights in each slot, the last of which may lack what follows its last eight.
        to = unsafe { h.store_eights(s.mul(s.load(chunk), factor), to, pitch) };
    });
    if !rest.is_empty() {
        // SAFETY: as above.
        unsafe { h.store_eights(s.mul(s.load(&vector::partial(rest, 0.0)), factor), to, pitch) };
    }
    scale
}

/// What instruction sets have that compute with halves in single precision only: no value.
#[derive(Clone, Copy)]
pub enum NoHalves {}

impl NoHalves {
    /// # Safety
    /// None needed.
    #[inline(always)]
    pub unsafe fn assume() -> Option<Self> {
        None
    }
}

impl<S: Simd> Half<S> for NoHalves {
    const ROWS: usize = 0;

    type V = NoHalves;
    type Eight = NoHalves;

    fn zero(self) -> Self::V {
        self
    }
    unsafe fn next(self, _at: &mut *const u16) -> Self::V {
        self
    }
    unsafe fn next_two(self, _at: &mut *const u16) -> [Self::V; 2] {
        [self; 2]
    }
    unsafe fn eight(self, _from: *const u16) -> Self::Eight {
        self
    }
    fn fma_lane<const J: usize>(self, _x: Self::Eight, _w: Self::V, _acc: Self::V) -> Self::V {
        self
    }
    fn settle(self, _v: Self::V) -> Self::V {
        self
    }
    fn widen(self, _v: Self::V) -> S::V {
        match self {}
    }
    unsafe fn store_eights(self, _v: S::V, _to: *mut u8, _pitch: usize) -> *mut u8 {
        match self {}
    }
}
