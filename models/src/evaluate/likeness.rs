//! How far a variant's embeddings are from the model's own.

use tch::{Kind, Tensor};

/// Cosines of embeddings with those of the same images by the unchanged model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// Their mean.
    pub mean: f64,
    /// One image in a hundred is at or below this.
    pub worst: f64,
}

/// The likeness of rows `[images, E]`, whatever their length.
pub fn likeness(rows: &Tensor, reference: &Tensor) -> Likeness {
    let unit = |x: &Tensor| crate::vision::unit(&x.to_kind(Kind::Double));
    let cosines = (unit(rows) * unit(reference)).sum_dim_intlist([-1].as_slice(), false, Kind::Double);
    let (sorted, _) = cosines.sort(0, false);
    let last = (rows.size()[0] as f64 * 0.01).ceil() as i64 - 1;
    Likeness { mean: cosines.mean(Kind::Double).double_value(&[]), worst: sorted.double_value(&[last.max(0)]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_two_hundred_are_the_worst_percent() {
        let mut rows = vec![[3f32, 0.0]; 200];
        (rows[7], rows[9]) = ([0.0, 1.0], [1.0, 1.0]);
        let reference = Tensor::from_slice(&[1f32, 0.0]).expand([200, 2], false);
        let found = likeness(&Tensor::from_slice(rows.as_flattened()).view([200, 2]), &reference);
        let diagonal = 0.5f64.sqrt();
        assert!((found.worst - diagonal).abs() < 1e-7 && (found.mean - (198.0 + diagonal) / 200.0).abs() < 1e-7);
    }
}
