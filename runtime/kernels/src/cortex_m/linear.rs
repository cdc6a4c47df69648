use super::halves::Halves;
use crate::generic::linear;
use crate::part::Part;
use crate::table::Block;
use crate::{LANES, Panels};

/// Weights of two outputs for four inputs.
type Two = [[i8; 4]; 2];

/// A block of a linear layer: of integers two rows and two outputs at a time, of floats as the plain twin does it.
pub fn block(block: &Block, room: &mut [f32]) {
    let Panels::I8 { weight, .. } = block.layer.panels else { return linear::block(block, room) };
    let steps = block.layer.inputs.div_ceil(4);
    for panel in block.panels.clone() {
        let panels = weight.as_chunks().0.as_chunks().0.as_chunks().0;
        let weights: &[[Two; LANES / 2]] = panels.part(panel * steps..(panel + 1) * steps);
        for row in block.rows.clone().step_by(2) {
            let rows = row..block.rows.end.min(row + 2);
            // The last of an odd number of rows is its own neighbour.
            let of_rows = [row, rows.end - 1].map(|row| block.narrowed.row(row).as_chunks().0);
            for (row, sums) in rows.zip(sums(of_rows, weights)) {
                linear::write(block, panel, row, linear::real(block, panel, row, sums));
            }
        }
    }
}

/// The sums of a panel's outputs for two rows.
fn sums(rows: [&[[u8; 4]]; 2], weights: &[[Two; LANES / 2]]) -> [[i32; LANES]; 2] {
    let mut sums = [[0; LANES]; 2];
    let [first, second] = &mut sums;
    let outputs = first.as_chunks_mut::<2>().0.iter_mut().zip(second.as_chunks_mut::<2>().0);
    for (two, (first, second)) in outputs.enumerate() {
        let [mut a, mut b, mut c, mut d] = [0; 4];
        for ((x, y), step) in rows[0].iter().zip(rows[1]).zip(weights) {
            let (x, y) = (Halves::unsigned(*x), Halves::unsigned(*y));
            let [v, w] = step[two % (LANES / 2)].map(Halves::signed);
            (a, b) = (x.dot(v, a), x.dot(w, b));
            (c, d) = (y.dot(v, c), y.dot(w, d));
        }
        (*first, *second) = ([a, b], [c, d]);
    }
    sums
}
