use super::super::report::Row;
use super::axis;

/// What one engine does with one precision and number of threads.
pub struct Series {
    pub name: String,
    /// By the share saved, ascending.
    pub points: Vec<Point>,
}

/// One model.
#[derive(Clone, Copy)]
pub struct Point {
    /// Share of the multiply-adds saved.
    pub saved: f64,
    pub min: f64,
    pub median: f64,
    pub p90: f64,
    pub accuracy: Option<f64>,
}

impl Series {
    /// From the first time to the last.
    pub fn summary(&self) -> String {
        let [Some(first), Some(last)] = [self.points.first(), self.points.last()] else { return String::new() };
        match self.points.len() {
            1 => format!("{} ms", axis::rounded(first.median)),
            _ => format!("{} to {} ms", axis::rounded(first.median), axis::rounded(last.median)),
        }
    }
}

/// Sorts the rows into series, in the order in which they first appear.
pub fn of(rows: &[Row]) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let precisions = rows.iter().any(|row| row.precision != rows[0].precision);
    for row in rows {
        let Some(saved) = row.compression else { continue };
        let mut name = row.engine.clone();
        if let Some(precision) = row.precision.as_ref().filter(|_| precisions) {
            name = format!("{name} {precision}");
        }
        name = format!("{name}, {} thread{}", row.threads, if row.threads == 1 { "" } else { "s" });
        let point = Point { saved, min: row.min_ms, median: row.median_ms, p90: row.p90_ms, accuracy: row.accuracy };
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name, points: vec![point] }),
        }
    }
    for series in &mut series {
        series.points.sort_by(|a, b| a.saved.total_cmp(&b.saved));
    }
    series
}

/// Heights near the given ones, in the same order, that are at least `gap` apart.
pub fn apart(heights: &[f64], gap: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut placed = heights.to_vec();
    // From the lowest on the page upwards: what is pushed has room above.
    for pair in order.windows(2).rev() {
        let highest = placed[pair[1]] - gap;
        placed[pair[0]] = placed[pair[0]].min(highest);
    }
    placed
}
