use crate::part::Part;
use crate::resample::{HALF, rounded};

#[inline(always)]
pub fn split_channels(line: &[u8], [red, green, blue]: [&mut [u8]; 3]) {
    for (pixel, ((red, green), blue)) in line.as_chunks::<3>().0.iter().zip(red.iter_mut().zip(green).zip(blue)) {
        [*red, *green, *blue] = *pixel;
    }
}

pub fn filter_line(planes: [&[u8]; 3], table: &[i32], entry: usize, out: &mut [[u8; 3]]) {
    for (pixel, entry) in out.iter_mut().zip(table.pieces(entry)) {
        let [first, count, weights @ ..] = entry else { return };
        for (byte, plane) in pixel.iter_mut().zip(planes) {
            let columns = plane.part(*first as usize..(first + count) as usize);
            let products = columns.iter().zip(weights).map(|(&byte, &weight)| i32::from(byte).wrapping_mul(weight));
            *byte = rounded(products.fold(HALF, i32::wrapping_add));
        }
    }
}

#[inline(always)]
pub fn add_line(sums: &mut [i32], line: &[u8], weight: i32) {
    for (sum, &byte) in sums.iter_mut().zip(line) {
        *sum = sum.wrapping_add(i32::from(byte).wrapping_mul(weight));
    }
}
