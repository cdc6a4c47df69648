/// A range of numbers on a range of pixels, both widened to whole ticks.
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
    pixels: [f64; 2],
}

/// Most ticks of an axis, the first one not counted.
const TICKS: f64 = 7.0;

impl Axis {
    /// An axis that has room for `low` to `high`, from the first pixel to the second.
    pub fn new(low: f64, high: f64, pixels: [f64; 2]) -> Self {
        let range = (high - low).max(1e-6);
        let power = 10_f64.powf((range / TICKS).log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().find(|step| range / step <= TICKS).unwrap_or(10.0 * power);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Axis { low, high: high.max(low + step), step, pixels }
    }

    /// The pixel of a number.
    pub fn at(&self, number: f64) -> f64 {
        let [first, last] = self.pixels;
        first + (number - self.low) / (self.high - self.low) * (last - first)
    }

    /// The numbers to write.
    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|index| self.low + index as f64 * self.step)
    }
}

/// A tick's number without needless zeros.
pub fn number(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A time in three digits or so.
pub fn rounded(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}
