use super::lines::{Lines, load, store};
use super::radix::{complex, times};
use super::{Pass, Register, Work, for_last, plain};

/// Transforms the columns of the spectrum, multiplies them with the filter and transforms them back.
///
/// # Safety
/// The shapes of the pass have been checked, and its rows transformed.
#[inline(always)]
pub unsafe fn filter<S: Register>(pass: &Pass<S>) {
    let [height, width] = pass.filter.grid;
    let plan = pass.filter.plan;
    let (inner, last) = plan.column.split();
    for (place, &(v, mirrored)) in plan.frequencies[..width / 2 + 1].iter().enumerate() {
        let first = pass.spectrum.wrapping_add(place * Pass::<S>::STEP);
        let second = first.wrapping_add(S::LANES);
        // With its parts exchanged a number is its own mirror image, but for a factor that vanishes when they are exchanged back.
        let [re, im] = if mirrored { [second, first] } else { [first, second] };
        let lines = Lines {
            parts: [re, im],
            step: pass.pitch(),
            len: height,
            count: 1,
            rows: 1,
            pitch: 0,
            roots: pass.filter.roots[0],
        };
        let column = Column { pass, parts: [re, im], v: usize::from(v) };
        // SAFETY: a column is a line of the spectrum, which is this pass's alone.
        unsafe {
            lines.inner_forward(pass.s, inner);
            for_last!(last, R => pass.s.apart(Middle::<S, R>(&column)), _ => pass.s.apart(plain::Whole(&column)));
            Lines { parts: [im, re], ..lines }.inner_backward(pass.s, inner);
        }
    }
}

/// A column of the spectrum.
pub struct Column<'a, S> {
    pub pass: &'a Pass<'a, S>,
    /// Real and imaginary part of its first number.
    pub parts: [*mut f32; 2],
    /// Coefficient of the rows that it consists of.
    pub v: usize,
}

impl<S: Register> Column<'_, S> {
    /// Coefficient `u` of the filter.
    ///
    /// # Safety
    /// The shapes of the pass have been checked, and `u` is less than `H`.
    #[inline(always)]
    pub unsafe fn coefficient(&self, u: usize) -> [S::V; 2] {
        let Pass { s, filter, channel, .. } = *self.pass;
        let index = u * (filter.grid[1] / 2 + 1) + self.v;
        // SAFETY: the caller's promise; the pass's channels are among those of the panel.
        unsafe {
            let [re, im] = filter.coefficients.get_unchecked(index);
            [s.load(re.as_ptr().add(channel)), s.load(im.as_ptr().add(channel))]
        }
    }
}

/// The last stage of a column, the filter, and the first stage back.
///
/// To run it is safe if the shapes of the pass have been checked and `R` is the last radix of the columns.
struct Middle<'a, S, const R: usize>(&'a Column<'a, S>);

impl<S: Register, const R: usize> Work<S> for Middle<'_, S, R> {
    #[inline(always)]
    unsafe fn run(self, s: S) {
        let &Column { pass, parts: [re, im], .. } = self.0;
        let pitch = pass.pitch();
        let blocks = pass.filter.grid[0] / R;
        for block in 0..blocks {
            let at = block * R * pitch;
            let first = usize::from(pass.filter.plan.order[block]);
            // SAFETY: the numbers are part of the spectrum, which is this pass's alone.
            unsafe {
                let parts = [re.wrapping_add(at), im.wrapping_add(at)];
                let z = complex::<S, R>(s, load(s, parts, pitch));
                let mut exchanged = [[pass.s.splat(0.0); R]; 2];
                for k in 0..R {
                    let coefficient = self.0.coefficient(first + k * blocks);
                    [exchanged[1][k], exchanged[0][k]] = times(s, [z[0][k], z[1][k]], coefficient);
                }
                store(s, complex::<S, R>(s, exchanged), [parts[1], parts[0]], pitch);
            }
        }
    }
}
