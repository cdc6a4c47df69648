use crate::fourier::MAX_SIDE;

/// Most factors of a side.
const MOST: usize = 6;

/// The factors that a transform of some length is made of, odd ones first.
#[derive(Clone, Copy)]
pub(crate) struct Radices {
    radices: [usize; MOST],
    count: usize,
    n: usize,
}

impl Radices {
    /// Of a length `1..=MAX_SIDE`.
    pub fn of(n: usize) -> Radices {
        let mut this = Radices { radices: [1; MOST], count: 0, n };
        let mut rest = n;
        let mut odd = 3;
        while rest >> rest.trailing_zeros() > 1 {
            if rest.is_multiple_of(odd) {
                this.push(odd);
                rest /= odd;
            } else {
                odd += 2;
            }
        }
        while rest > 1 || this.count == 0 {
            let even = rest.min(8);
            this.push(even);
            rest /= even;
        }
        this
    }

    fn push(&mut self, radix: usize) {
        self.radices[self.count] = radix;
        self.count += 1;
    }

    pub fn all(&self) -> &[usize] {
        &self.radices[..self.count]
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
    pub row: Radices,
    /// First coefficient of each block of the last stage of a column.
    pub order: [u8; MAX_SIDE],
    /// Which coefficient of the row is found at each place; whether it is its mirror image
    pub frequencies: [(u8, bool); MAX_SIDE / 2 + 1],
}

impl Plan {
    pub fn new([height, width]: [usize; 2]) -> Plan {
        let (column, row) = (Radices::of(height), Radices::of(width));
        let mut plan = Plan { column, row, order: [0; MAX_SIDE], frequencies: [(0, false); MAX_SIDE / 2 + 1] };
        let last = column.all()[column.count - 1];
        for block in 0..height / last {
            plan.order[block] = column.frequency(block * last) as u8;
        }
        let (mut n, mut times, mut at) = (width, 1, 0);
        let mut push = |frequency: usize| {
            let mirrored = 2 * frequency > width;
            plan.frequencies[at] = (if mirrored { width - frequency } else { frequency } as u8, mirrored);
            at += 1;
        };
        for &r in row.all() {
            let m = n / r;
            let inner = Radices::of(m);
            for k in 1..r.div_ceil(2) {
                for position in 0..m {
                    push(times * (k + r * inner.frequency(position)));
                }
            }
            if r % 2 == 0 && m == 1 {
                push(times * r / 2);
            } else if r % 2 == 0 {
                let inner = Radices::of(m / 2);
                for position in 0..m / 2 {
                    push(times * (r / 2 + r * (2 * inner.frequency(position) + 1)));
                }
            }
            (n, times) = (m, times * r);
        }
        push(0);
        plan
    }
}
