//! The kernels written once, over a vector of 16 floats; `x86` and `neon` say what a vector is.
//!
//! Everything here is inlined into functions that enable an instruction set, so that the compiler sees the instructions.
//! Hence `#[inline(always)]` throughout, and loops instead of closures.

pub mod activation;
pub mod attention;
pub mod exponential;
pub mod fourier;
pub mod halves;
pub mod integer;
pub mod linear;
pub mod norm;
pub mod pairing;
pub mod register;
pub mod resample;
mod tables;
pub mod tile;
mod unrolled;
pub mod vector;

pub(crate) use tables::table;
pub(crate) use unrolled::{by_fours, for_each, for_rows};

/// A vector of 16 floats. A value is proof that this CPU has the instructions.
pub trait Simd: Copy {
    /// Most rows of a tile.
    const ROWS: usize;
    /// Most panels of a tile.
    const PANELS: usize;
    /// Inputs between hints about weights ahead, a multiple of 4.
    const RUN: usize;
    /// Whether a core runs short of instructions before it runs short of multiply-adds: a loop then does more at a time, and each
    /// row of a tile has a pointer of its own.
    const NARROW: bool;
    /// Whether to widen halves takes as long as some multiply-adds with them, so that it is done once for many rows.
    const WIDENS: bool;

    /// Sixteen floats.
    type V: Copy;
    /// Four neighbouring activations of one row.
    type Four: Copy;

    fn splat(self, x: f32) -> Self::V;
    fn load(self, from: &[f32; 16]) -> Self::V;
    /// Loads sixteen floats and steps on to what lies behind them.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn next(self, at: &mut *const f32) -> Self::V {
        // SAFETY: the caller's promise.
        let from = unsafe { &*at.cast::<[f32; 16]>() };
        *at = at.wrapping_add(16);
        self.load(from)
    }
    /// The same, and a promise that it is computed before what follows is loaded by [`Simd::next`].
    #[inline(always)]
    fn settle(self, v: Self::V) -> Self::V {
        v
    }
    fn load_half(self, from: &[u16; 16]) -> Self::V;
    fn load_int(self, from: &[i32; 16]) -> Self::V;
    fn store(self, v: Self::V, to: &mut [f32; 16]);

    /// # Safety
    /// Four floats lie at `from`, and stay there while the result is used.
    unsafe fn four(self, from: *const f32) -> Self::Four;
    /// [`Simd::four`], stepping on to what lies behind them.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn next_four(self, at: &mut *const f32) -> Self::Four {
        let from = *at;
        *at = from.wrapping_add(4);
        // SAFETY: the caller's promise.
        unsafe { self.four(from) }
    }
    /// `x[J]` in all lanes.
    fn lane<const J: usize>(self, x: Self::Four) -> Self::V;
    /// `acc + x[J] · w`
    fn fma_lane<const J: usize>(self, x: Self::Four, w: Self::V, acc: Self::V) -> Self::V;

    /// `a · b + c`
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; no number if `b` is none.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; no number if `b` is none.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    /// The bits of each lane shifted left by 23: the low bits become an exponent.
    fn exponent(self, a: Self::V) -> Self::V;
    /// Sum of the lanes.
    fn sum(self, v: Self::V) -> f32;
    /// Largest of the lanes.
    fn largest(self, v: Self::V) -> f32;
    /// Writes lanes within ±127 as bytes around `centre`, halves to the even one: four words, `pitch` bytes from one to the next. Returns
    /// where a fifth would lie.
    ///
    /// # Safety
    /// There is room for them.
    unsafe fn store_words(self, v: Self::V, centre: u8, to: *mut u8, pitch: usize) -> *mut u8;
    /// Hints that the cache line at `address`, which need not be valid, will be read soon.
    fn prefetch(address: *const u8);
    /// Lane `j` of row `i` to lane `i` of row `j`.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; 16]) -> [Self::V; 16] {
        let (mut from, mut to) = ([[0.0; 16]; 16], [[0.0; 16]; 16]);
        let mut columns = rows;
        for i in 0..16 {
            self.store(rows[i], &mut from[i]);
        }
        for i in 0..16 {
            for j in 0..16 {
                to[j][i] = from[i][j];
            }
        }
        for j in 0..16 {
            columns[j] = self.load(&to[j]);
        }
        columns
    }
}

/// The dot product of 8-bit integers, four at a time for each of 16 outputs.
pub trait Integer: Copy {
    /// Most rows of a tile.
    const ROWS: usize;
    /// Most panels of a tile.
    const PANELS: usize;
    /// Inputs between hints about weights ahead, a multiple of 16.
    const RUN: usize;
    /// Whether activations are bytes around 0, else around 128.
    const SIGNED: bool;
    /// Whether [`Integer::dot_pair`] is less work than two [`Integer::dot`]s.
    const PAIRS: bool = false;
    /// Whether a product takes well under half the time of one of floats.
    const FAST: bool = true;

    /// Sums of 16 outputs, in any form.
    type Sums: Copy;
    /// Weights `[16 outputs, 4]`.
    type Weights: Copy;
    /// Four words of activations, each four neighbours of one row.
    type Sixteen: Copy;

    /// What sums start from: nothing, or if activations lie around 128, what that will make too much.
    fn start(self, zero: &[i32; 16]) -> Self::Sums;
    /// Loads weights and steps on to what lies behind them.
    ///
    /// # Safety
    /// They are there.
    unsafe fn next(self, at: &mut *const i8) -> Self::Weights;
    /// # Safety
    /// Sixteen bytes lie at `from`, and stay there while the result is used.
    unsafe fn sixteen(self, from: *const u8) -> Self::Sixteen;
    /// Adds word `J` times the weights.
    fn dot<const J: usize>(self, x: Self::Sixteen, w: Self::Weights, sums: Self::Sums) -> Self::Sums;
    /// [`Integer::dot`] for `J`, then for `J1`.
    #[inline(always)]
    fn dot_pair<const J: usize, const J1: usize>(
        self,
        x: Self::Sixteen,
        w: [Self::Weights; 2],
        sums: Self::Sums,
    ) -> Self::Sums {
        let sums = self.dot::<J>(x, w[0], sums);
        self.dot::<J1>(x, w[1], sums)
    }
    /// The same, and a promise that they are computed before what follows is loaded by [`Integer::next`].
    #[inline(always)]
    fn settle(self, sums: Self::Sums) -> Self::Sums {
        sums
    }
    fn store(self, sums: Self::Sums, to: &mut [i32; 16]);
    /// Adds all products of a tile: row by row, unless an instruction takes more than one.
    ///
    /// # Safety
    /// As [`integer::tile`].
    #[inline(always)]
    unsafe fn multiply<S: Simd, const M: usize, const N: usize>(
        self,
        tile: &integer::IntegerTile,
        sums: &mut [[Self::Sums; N]; M],
    ) {
        // SAFETY: the caller's promise.
        unsafe { integer::multiply::<S, _, M, N>(self, tile, sums) }
    }
}

/// Arithmetic in half precision, beside the vectors that its sums are widened to.
pub trait Half<S: Simd>: Copy {
    /// Most rows of a tile; none if there is no such arithmetic.
    const ROWS: usize;

    /// Sixteen halves.
    type V: Copy;
    /// Eight neighbouring activations of one row.
    type Eight: Copy;

    fn zero(self) -> Self::V;
    /// Loads weights and steps on to what lies behind them.
    ///
    /// # Safety
    /// They are there.
    unsafe fn next(self, at: &mut *const u16) -> Self::V;
    /// [`Half::next`], twice.
    ///
    /// # Safety
    /// As there.
    unsafe fn next_two(self, at: &mut *const u16) -> [Self::V; 2];
    /// # Safety
    /// Eight halves lie at `from`.
    unsafe fn eight(self, from: *const u16) -> Self::Eight;
    /// `acc + x[J] · w`, rounded once.
    fn fma_lane<const J: usize>(self, x: Self::Eight, w: Self::V, acc: Self::V) -> Self::V;
    /// The same, and a promise that it is computed before what follows is loaded by [`Half::next_two`].
    fn settle(self, v: Self::V) -> Self::V;
    fn widen(self, v: Self::V) -> S::V;
    /// Writes lanes as the nearest halves, the second eight `pitch` bytes behind the first. Returns where a third would lie.
    ///
    /// # Safety
    /// There is room for them.
    unsafe fn store_eights(self, v: S::V, to: *mut u8, pitch: usize) -> *mut u8;
}

/// An instruction set: its vectors, its integers, and tiles compiled with it. A value proves that this CPU has it.
pub trait Isa: Copy {
    type Vector: Simd;
    type Int: Integer;
    type Half: Half<Self::Vector>;

    fn vector(self) -> Self::Vector;
    fn integers(self) -> Self::Int;
    /// `None` if it has no arithmetic in half precision.
    fn halves(self) -> Option<Self::Half>;
    /// [`tile::float`] in a function of its own.
    ///
    /// # Safety
    /// As there.
    unsafe fn float_tile<W: tile::Weight, const M: usize, const N: usize>(self, tile: &tile::FloatTile<W>);
    /// [`integer::tile`] in a function of its own.
    ///
    /// # Safety
    /// As there.
    unsafe fn integer_tile<const M: usize, const N: usize>(self, tile: &integer::IntegerTile);
    /// [`halves::tile`] in a function of its own.
    ///
    /// # Safety
    /// As there.
    unsafe fn half_tile<const M: usize>(self, tile: &halves::HalfTile);
}
