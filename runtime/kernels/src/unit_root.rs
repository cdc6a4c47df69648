/// `exp(-2πi k / n)` for `k < n`, rounded once. The octant is found in integers, so that mirrored angles have mirrored values
/// and quarter turns are exact.
pub(crate) const fn unit_root(k: usize, n: usize) -> [f32; 2] {
    let [cosine, sine] = on_circle(k, n);
    [cosine as f32, -sine as f32]
}

/// Cosine and sine of `k / n` turns for `k < n`.
const fn on_circle(k: usize, n: usize) -> [f64; 2] {
    if 2 * k > n {
        let [cosine, sine] = on_circle(n - k, n);
        [cosine, -sine]
    } else if 4 * k > n {
        let [cosine, sine] = in_quarter(2 * n - 4 * k, n);
        [-cosine, sine]
    } else {
        in_quarter(4 * k, n)
    }
}

/// Cosine and sine of `k / n` quarter turns for `k <= n`.
const fn in_quarter(k: usize, n: usize) -> [f64; 2] {
    if 2 * k > n {
        let [cosine, sine] = in_octant(n - k, n);
        [sine, cosine]
    } else {
        in_octant(k, n)
    }
}

/// Cosine and sine of `k / n` quarter turns for `k <= n / 2`.
const fn in_octant(k: usize, n: usize) -> [f64; 2] {
    let angle = core::f64::consts::FRAC_PI_2 * k as f64 / n as f64;
    let square = angle * angle;
    let (mut cosine, mut sine) = (1.0, 1.0);
    // From the smallest term of the power series on; what is left out is less than 1e-18.
    let mut order = 18.0;
    while order > 1.0 {
        cosine = 1.0 - cosine * square / (order * (order - 1.0));
        sine = 1.0 - sine * square / (order * (order + 1.0));
        order -= 2.0;
    }
    [cosine, sine * angle]
}
