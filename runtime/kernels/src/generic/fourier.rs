use crate::LANES;
use crate::part::Part;
use crate::table::Filter;

/// A complex number for each of 16 channels: real parts and imaginary parts.
type Complex = [[f32; LANES]; 2];

const ZERO: Complex = [[0.0; LANES]; 2];

/// One panel of a filter, each transform as the sum that defines it.
pub fn filter(filter: &Filter, scratch: &mut [f32]) {
    let [height, width] = filter.grid;
    let [by_height, by_width] = filter.roots;
    let columns = filter.panel * LANES..(filter.panel + 1) * LANES;
    let half = width / 2 + 1;
    let (spectrum, line) = scratch.as_chunks_mut().0.as_chunks_mut::<2>().0.cut_mut(height * half);
    let line = line.part_mut(..height);

    for (h, row) in spectrum.chunks_exact_mut(half).enumerate() {
        for (v, sum) in row.iter_mut().enumerate() {
            *sum = ZERO;
            for w in 0..width {
                let x = filter.x.segment(h * width + w, columns.clone()).as_array().unwrap_or(&ZERO[0]);
                add_product(sum, &[*x, ZERO[1]], root(by_width, v * w));
            }
        }
    }
    for v in 0..half {
        for (u, value) in line.iter_mut().enumerate() {
            *value = ZERO;
            for (h, x) in spectrum.part(v..).iter().step_by(half).enumerate() {
                add_product(value, x, root(by_height, u * h));
            }
            *value = product(value, &filter.coefficients.at(u * half + v));
        }
        for (h, sum) in spectrum.part_mut(v..).iter_mut().step_by(half).enumerate() {
            *sum = ZERO;
            for (u, value) in line.iter().enumerate() {
                add_product(sum, value, conjugate(root(by_height, u * h)));
            }
        }
    }
    for (h, row) in spectrum.chunks_exact(half).enumerate() {
        for w in 0..width {
            let mut sum = ZERO;
            for (v, value) in row.iter().enumerate() {
                // All but the lowest and the highest frequency stand for their mirror image too.
                let times = if v == 0 || 2 * v == width { 1.0 } else { 2.0 };
                add_product(&mut sum, value, conjugate(root(by_width, v * w)).map(|part| part * times));
            }
            // SAFETY: nobody else writes the columns of a panel.
            let y = unsafe { filter.y.segment(h * width + w, columns.clone()) };
            for ((y, sum), bias) in y.iter_mut().zip(sum[0]).zip(filter.bias) {
                *y += sum + bias;
            }
        }
    }
}

/// The root of unity with this exponent.
fn root(roots: &[[f32; 2]], exponent: usize) -> [f32; 2] {
    roots.at(exponent % roots.len().max(1))
}

/// `sum += value · root`
#[inline(never)]
fn add_product(sum: &mut Complex, value: &Complex, root: [f32; 2]) {
    for lane in 0..LANES {
        let (re, im) = (value[0][lane], value[1][lane]);
        sum[0][lane] += re * root[0] - im * root[1];
        sum[1][lane] += re * root[1] + im * root[0];
    }
}

#[inline(never)]
fn product(a: &Complex, b: &Complex) -> Complex {
    let part = |f: fn([f32; 2], [f32; 2]) -> f32| {
        core::array::from_fn(|lane| f([a[0][lane], a[1][lane]], [b[0][lane], b[1][lane]]))
    };
    [part(|a, b| a[0] * b[0] - a[1] * b[1]), part(|a, b| a[0] * b[1] + a[1] * b[0])]
}

fn conjugate(root: [f32; 2]) -> [f32; 2] {
    [root[0], -root[1]]
}
