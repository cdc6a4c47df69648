/// The table of an instruction set: every kernel instantiated in a function that enables its features.
///
/// `$vector` and `$int` prove the features, hence `assume` in each function that enables them.
macro_rules! table {
    ($table:ident, $name:literal, $vector:ident, $int:ident, $half:ident, $register:ident, $features:literal) => {
        pub(crate) static $table: crate::table::Table = {
            use crate::simd::halves::{self, HalfTile};
            use crate::simd::integer::{self, IntegerTile};
            use crate::simd::tile::{self, FloatTile, Weight};
            use crate::simd::{Half, Integer, Isa, Simd, attention, linear, norm, pairing, resample, vector};
            use crate::table::{Block, Head, Narrowing, Table};
            use crate::{LANES, Pairing, Rows};
            use core::ops::Range;

            #[derive(Clone, Copy)]
            struct This($vector, $int);

            impl This {
                /// # Safety
                /// This CPU has the features.
                #[inline(always)]
                unsafe fn assume() -> This {
                    // SAFETY: the caller's promise.
                    unsafe { This($vector::assume(), $int::assume()) }
                }
            }

            impl Isa for This {
                type Vector = $vector;
                type Int = $int;
                type Half = $half;

                #[inline(always)]
                fn vector(self) -> $vector {
                    self.0
                }

                #[inline(always)]
                fn integers(self) -> $int {
                    self.1
                }

                #[inline(always)]
                fn halves(self) -> Option<$half> {
                    // SAFETY: `self` proves the features.
                    unsafe { $half::assume() }
                }

                #[inline(always)]
                unsafe fn float_tile<W: Weight, const M: usize, const N: usize>(self, tile: &FloatTile<W>) {
                    #[target_feature(enable = $features)]
                    unsafe fn compiled<W: Weight, const M: usize, const N: usize>(s: $vector, tile: &FloatTile<W>) {
                        // SAFETY: the caller's promise.
                        unsafe { tile::float::<_, W, M, N>(s, tile) }
                    }
                    // SAFETY: `self` proves the features; the tile is the caller's promise.
                    unsafe { compiled::<W, M, N>(self.0, tile) }
                }

                #[inline(always)]
                unsafe fn integer_tile<const M: usize, const N: usize>(self, tile: &IntegerTile) {
                    #[target_feature(enable = $features)]
                    unsafe fn compiled<const M: usize, const N: usize>(i: $int, tile: &IntegerTile) {
                        // SAFETY: the caller's promise.
                        unsafe { integer::tile::<_, _, M, N>($vector::assume(), i, tile) }
                    }
                    // SAFETY: `self` proves the features; the tile is the caller's promise.
                    unsafe { compiled::<M, N>(self.1, tile) }
                }

                #[inline(always)]
                unsafe fn half_tile<const M: usize>(self, tile: &HalfTile) {
                    #[target_feature(enable = $features)]
                    unsafe fn compiled<const M: usize>(isa: This, tile: &HalfTile) {
                        // SAFETY: the caller's promise.
                        unsafe { halves::tile::<_, M>(isa, tile) }
                    }
                    // SAFETY: `self` proves the features; the tile is the caller's promise.
                    unsafe { compiled::<M>(self, tile) }
                }
            }

            #[target_feature(enable = $features)]
            fn block(block: &Block, room: &mut [f32]) {
                // SAFETY: the features are enabled here.
                linear::block(unsafe { This::assume() }, block, room);
            }
            #[target_feature(enable = $features)]
            fn quantise(row: &[f32], height: usize, bytes: &mut [u8]) -> f32 {
                // SAFETY: the features are enabled here.
                integer::quantise(unsafe { This::assume() }, row, height, bytes)
            }
            #[target_feature(enable = $features)]
            fn narrow(row: &[f32], height: usize, bytes: &mut [u8]) -> f32 {
                // SAFETY: the features are enabled here.
                halves::narrow(unsafe { This::assume() }, row, height, bytes)
            }
            #[target_feature(enable = $features)]
            fn head(head: &Head, scratch: &mut [f32]) {
                // SAFETY: the features are enabled here.
                attention::head(unsafe { This::assume() }, head, scratch);
            }
            #[target_feature(enable = $features)]
            fn layer_norm(x: &[f32], eps: f32, y: &mut [f32]) {
                // SAFETY: the features are enabled here.
                norm::layer_norm(unsafe { $vector::assume() }, x, eps, y);
            }
            #[target_feature(enable = $features)]
            fn layer_norm_affine(x: &mut [f32], eps: f32, gain: &[f32], bias: &[f32]) {
                // SAFETY: the features are enabled here.
                norm::layer_norm_affine(unsafe { $vector::assume() }, x, eps, gain, bias);
            }
            #[target_feature(enable = $features)]
            fn softmax(row: &mut [f32]) {
                // SAFETY: the features are enabled here.
                vector::softmax(unsafe { $vector::assume() }, row);
            }
            #[target_feature(enable = $features)]
            fn dot(a: &[f32], b: &[f32]) -> f32 {
                // SAFETY: the features are enabled here.
                vector::dot(unsafe { $vector::assume() }, a, b)
            }
            #[target_feature(enable = $features)]
            fn scaled_add(y: &mut [f32], a: f32, x: &[f32]) {
                // SAFETY: the features are enabled here.
                vector::scaled_add(unsafe { $vector::assume() }, y, a, x);
            }
            #[target_feature(enable = $features)]
            fn scaled_add_all(y: &mut [f32], a: f32, all: &[&[f32]]) {
                // SAFETY: the features are enabled here.
                vector::scaled_add_all(unsafe { $vector::assume() }, y, a, all);
            }
            #[target_feature(enable = $features)]
            fn scaled(y: &mut [f32], a: f32, x: &[f32]) {
                // SAFETY: the features are enabled here.
                vector::scaled(unsafe { $vector::assume() }, y, a, x);
            }
            #[target_feature(enable = $features)]
            fn pair_scores(pairing: &Pairing, scores: &mut [f32]) -> f32 {
                // SAFETY: the features are enabled here.
                pairing::scores(unsafe { $vector::assume() }, pairing, scores)
            }
            #[target_feature(enable = $features)]
            fn pack_panel(x: Rows, rows: Range<usize>, factors: &[f32; LANES], panel: &mut [f32]) {
                // SAFETY: the features are enabled here.
                pairing::pack(unsafe { $vector::assume() }, x, rows, factors, panel);
            }
            #[target_feature(enable = $features)]
            fn pack_integers(
                x: Rows,
                rows: Range<usize>,
                panel: &mut [u8],
                scale: &mut [f32; LANES],
                zero: &mut [i32; LANES],
            ) {
                // SAFETY: the features are enabled here.
                pairing::pack_integers(unsafe { This::assume() }, x, rows, panel, scale, zero);
            }
            #[target_feature(enable = $features)]
            fn split_channels(line: &[u8], planes: [&mut [u8]; 3]) {
                resample::split_channels(line, planes);
            }
            #[target_feature(enable = $features)]
            fn filter_line(planes: [&[u8]; 3], table: &[i32], entry: usize, out: &mut [[u8; 3]]) {
                resample::filter_line(planes, table, entry, out);
            }
            #[target_feature(enable = $features)]
            fn add_line(sums: &mut [i32], line: &[u8], weight: i32) {
                resample::add_line(sums, line, weight);
            }
            const SINGLE: Table = Table {
                name: $name,
                panels: <$vector as Simd>::PANELS,
                float_rows: <$vector as Simd>::ROWS,
                linear: block,
                integers: Narrowing { rows: <$int as Integer>::ROWS, row: quantise },
                halves: None,
                single: None,
                head,
                global_filter: $register::filter,
                layer_norm,
                layer_norm_affine,
                softmax,
                dot,
                scaled_add,
                scaled_add_all,
                scaled,
                pair_scores,
                pack_panel,
                pack_integers: if <$int as Integer>::FAST { Some(pack_integers) } else { None },
                split_channels,
                filter_line,
                add_line,
            };
            match <$half as Half<$vector>>::ROWS {
                0 => SINGLE,
                rows => Table { halves: Some(Narrowing { rows, row: narrow }), single: Some(&SINGLE), ..SINGLE },
            }
        };
    };
}
pub(crate) use table;
