use crate::fourier::MAX_SIDE;

/// Most factors of a side.
const MOST: usize = 4;

/// Transforms that are done in registers at one go.
pub(crate) const WHOLE: [usize; 11] = [1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 16];

/// The factors that a transform of some length is made of.
///
/// All but the last are 3, 5, 7 or 8, and what is left after an 8 is even. The last is one of [`WHOLE`], or, if the length has a
/// prime factor that is none, the whole length, and the transform a plain sum.
#[derive(Clone, Copy)]
pub(crate) struct Radices {
    radices: [usize; MOST],
    count: usize,
    n: usize,
}

impl Radices {
    /// For a length within `1..=MAX_SIDE`.
    pub fn of(n: usize) -> Radices {
        let mut this = Radices { radices: [n; MOST], count: 0, n };
        let mut rest = n;
        while !WHOLE.contains(&rest) {
            let Some(radix) = [3, 5, 7, 8].into_iter().find(|radix| rest.is_multiple_of(*radix)) else {
                return Radices { radices: [n; MOST], count: 1, n };
            };
            this.radices[this.count] = radix;
            this.count += 1;
            rest /= radix;
        }
        this.radices[this.count] = rest;
        this.count += 1;
        this
    }

    pub fn all(&self) -> &[usize] {
        &self.radices[..self.count]
    }

    /// All but the last, and the last.
    pub fn split(&self) -> (&[usize], usize) {
        (&self.radices[..self.count - 1], self.radices[self.count - 1])
    }

    /// Which coefficient a transform in place leaves at `position`.
    pub fn frequency(&self, mut position: usize) -> usize {
        let (mut m, mut times, mut frequency) = (self.n, 1, 0);
        for r in self.all() {
            m /= r;
            frequency += times * (position / m);
            position %= m;
            times *= r;
        }
        frequency
    }
}

/// How the lines of a grid are transformed.
pub(crate) struct Plan {
    pub column: Radices,
    /// First coefficient of each block of the last stage of a column.
    pub order: [u8; MAX_SIDE],
    levels: [Level; MOST],
    count: usize,
    /// Which coefficient is found at each place of a transformed row, and whether as its mirror image.
    pub frequencies: [(u8, bool); MAX_SIDE / 2 + 1],
}

/// A step of the transform of `r · m` real numbers: of its coefficients, those that are no multiples of `r`.
///
/// `r`-point transforms leave a branch of `m` complex numbers for each `k` below `r / 2`, which become the coefficients
/// `k + r q`; if `r` is even, `m / 2` complex numbers that become the coefficients `r / 2 + r (2 q + 1)`; and `m` real numbers
/// for the next level.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub r: usize,
    pub m: usize,
    /// For each branch.
    pub branch: Radices,
    /// For the middle branch of half the length.
    pub middle: Radices,
}

impl Level {
    /// Complex numbers that this level leaves, and the last one also of the rest.
    pub fn places(&self) -> usize {
        if self.m == 1 { self.r / 2 + 1 } else { (self.r - 1) / 2 * self.m + (self.r - 1) % 2 * (self.m / 2) }
    }
}

impl Plan {
    pub fn new([height, width]: [usize; 2]) -> Plan {
        let column = Radices::of(height);
        let one = Radices::of(1);
        let mut plan = Plan {
            column,
            order: [0; MAX_SIDE],
            levels: [Level { r: 1, m: 1, branch: one, middle: one }; MOST],
            count: 0,
            frequencies: [(0, false); MAX_SIDE / 2 + 1],
        };
        let (_, last) = column.split();
        for block in 0..height / last {
            plan.order[block] = column.frequency(block * last) as u8;
        }
        let mut at = 0;
        let mut push = |frequency: usize| {
            let mirrored = 2 * frequency > width;
            plan.frequencies[at] = (if mirrored { width - frequency } else { frequency } as u8, mirrored);
            at += 1;
        };
        let (mut m, mut times) = (width, 1);
        for &r in Radices::of(width).all() {
            m /= r;
            let (branch, middle) = (Radices::of(m), Radices::of(m.div_ceil(2)));
            for k in 1..r.div_ceil(2) {
                (0..m).for_each(|position| push(times * (k + r * branch.frequency(position))));
            }
            if r % 2 == 0 && m == 1 {
                push(times * r / 2);
            } else if r % 2 == 0 {
                (0..m / 2).for_each(|position| push(times * (r / 2 + r * (2 * middle.frequency(position) + 1))));
            }
            plan.levels[plan.count] = Level { r, m, branch, middle };
            plan.count += 1;
            times *= r;
        }
        push(0);
        plan
    }

    /// The steps of the transform of a row. The last one has an `m` of 1.
    pub fn levels(&self) -> &[Level] {
        &self.levels[..self.count]
    }
}
