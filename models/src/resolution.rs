//! A trained image tower at another input size, without training: what belongs to the token grid is resampled.
//!
//! Patches keep their size in pixels, so a smaller image has a smaller grid of the same scene. Position embeddings are interpolated over
//! the grid; of a global filter the frequencies are kept that the smaller grid has, in cycles per image: the filter does to the scene what
//! it did. (Its spatial kernel, cut or folded to the smaller grid, would keep cycles per patch instead; on two thousand photos no rule
//! was better than another beyond chance.)

use tch::{Device, IndexOp, Kind, Tensor};

use crate::config::Vision;
use crate::error::Error;

/// The same tower for images of another side.
///
/// # Errors
/// [`Error::Config`] if the side is not a multiple of the patch.
pub fn at(vision: &Vision, image: i64) -> Result<Vision, Error> {
    if image < vision.patch || image % vision.patch != 0 {
        return Err(Error::Config(format!("image side {image} is not a multiple of the patch side {}", vision.patch)));
    }
    Ok(Vision { image, ..vision.clone() })
}

/// A tensor of the tower `from` for the tower `to`, by its name; those that know nothing of the grid are returned as they are.
pub fn resample(name: &str, tensor: Tensor, from: &Vision, to: &Vision) -> Tensor {
    let (old, new) = (from.grid(), to.grid());
    if old == new || !name.starts_with("vision_model.") {
        tensor
    } else if name.ends_with("position_embedding.weight") {
        position(&tensor, old, new)
    } else if name.ends_with("frequency.filter") {
        filter(&tensor, old, new)
    } else {
        tensor
    }
}

/// A position embedding `[1 + old², D]` for another grid: bicubic, pixel centres aligned (transformers' `interpolate_pos_encoding`, and the
/// exporter's); row 0, the class token's, is kept.
pub(crate) fn position(table: &Tensor, old: i64, new: i64) -> Tensor {
    let width = table.size()[1];
    let map = table.i(1..).to_kind(Kind::Float).view([1, old, old, width]).permute([0, 3, 1, 2]);
    let map = map.upsample_bicubic2d([new, new], false, None, None);
    let patches = map.permute([0, 2, 3, 1]).reshape([new * new, width]).to_kind(table.kind());
    Tensor::cat(&[table.i(..1), patches], 0)
}

/// A filter `[old (old/2+1), D, 2]` of an orthonormal transform for another grid: coefficient by coefficient, in cycles per image. Where
/// the new grid's highest frequency stands for both signs, their mean; frequencies that the old grid lacks pass as its highest do.
fn filter(table: &Tensor, old: i64, new: i64) -> Tensor {
    let (rows, columns) = (old, old / 2 + 1);
    let (width, highest) = (table.size()[1], old / 2);
    // The old coefficient (u, v) for any sign of both; the other half of a real signal's spectrum is conjugate. `Some(true)`: conjugated.
    let place = |u: i64, v: i64| {
        let (u, v) = (u.clamp(-highest, highest), v.clamp(-highest, highest));
        let (u, v, conjugate) = if v < 0 { (-u, -v, true) } else { (u, v, false) };
        (u.rem_euclid(rows) * columns + v, conjugate)
    };
    // The signed frequencies that a place of the new grid stands for: two where it is the highest of an even side.
    let signed = |k: i64| if 2 * k == new { vec![k, -k] } else { vec![if 2 * k > new { k - new } else { k }] };
    let mut matrix = Vec::new();
    let mut signs = Vec::new();
    for u in 0..new {
        for v in 0..new / 2 + 1 {
            let mut whole = vec![0f32; (rows * columns) as usize];
            let mut turned = whole.clone();
            let (us, vs) = (signed(u), signed(v));
            let share = 1.0 / (us.len() * vs.len()) as f32;
            for &u in &us {
                for &v in &vs {
                    let (index, conjugate) = place(u, v);
                    whole[index as usize] += share;
                    turned[index as usize] += if conjugate { -share } else { share };
                }
            }
            matrix.extend(whole);
            signs.extend(turned);
        }
    }
    let count = new * (new / 2 + 1);
    let table = table.to_device(Device::Cpu);
    let part = |weights: &[f32], part: i64| {
        let weights = Tensor::from_slice(weights).view([count, rows * columns]);
        weights.matmul(&table.select(-1, part).to_kind(Kind::Float))
    };
    Tensor::stack(&[part(&matrix, 0), part(&signs, 1)], -1).view([count, width, 2]).to_kind(table.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Bases;

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn the_identity_stays_the_identity() {
        for (old, new) in [(8, 6), (8, 5), (8, 4), (7, 6), (7, 4), (6, 8), (8, 12), (8, 1)] {
            let one = Tensor::from_slice(&[1f32, 0.0]).expand([old * (old / 2 + 1), 3, 2], false);
            let resampled = filter(&one, old, new);
            let wanted = Tensor::from_slice(&[1f32, 0.0]).expand([new * (new / 2 + 1), 3, 2], false);
            assert!(distance(&resampled, &wanted) < 1e-6, "{old} to {new}");
            let x = Tensor::randn([2, new * new, 3], OPTIONS);
            assert!(distance(&Bases::new([new, new], Device::Cpu).filter(&x, &resampled), &x) < 2e-5);
        }
    }

    #[test]
    fn a_wave_is_filtered_alike_on_both_grids() {
        // Waves below the smaller grid's highest frequency: the filtered scene, sampled coarser, is the coarser scene filtered.
        let (old, new) = (8i64, 6i64);
        let table = Tensor::randn([old * (old / 2 + 1), 1, 2], OPTIONS);
        let small = filter(&table, old, new);
        for (u, v) in [(1i64, 0i64), (0, 1), (2, 1), (-2, 2), (-1, 1), (2, 0)] {
            let wave = |side: i64, sign: f64, filter: Option<&Tensor>| {
                let value = |i: i64| {
                    let turns = (u * (i / side) + v * (i % side)) as f64 / side as f64;
                    (std::f64::consts::TAU * turns + sign).cos() as f32
                };
                let values: Vec<f32> = (0..side * side).map(value).collect();
                let x = Tensor::from_slice(&values).view([1, side * side, 1]);
                filter.map_or(x.shallow_clone(), |filter| Bases::new([side, side], Device::Cpu).filter(&x, filter))
            };
            // Gain and phase from the responses to two waves a quarter apart, at the corner that all grids share.
            for sign in [0.3, 1.9] {
                let corner = |side, filter| wave(side, sign, Some(filter)).double_value(&[0, 0, 0]);
                let (large, small) = (corner(old, &table), corner(new, &small));
                assert!((large - small).abs() < 1e-4, "({u}, {v}): {large} {small}");
            }
        }
    }

    #[test]
    fn positions_are_torchs_bicubic_and_the_class_row_is_kept() {
        // torch.nn.functional.interpolate(x, (2, 2), mode="bicubic", align_corners=False), as in the exporter's test.
        let grid = (0..9).map(|i| ((i * i * 7 + 3) % 11) as f32);
        let table: Vec<f32> = [100.0].into_iter().chain(grid).collect();
        let out = position(&Tensor::from_slice(&table).view([10, 1]), 3, 2);
        for (i, wanted) in [100.0, 3.7978, 8.0303, 2.3701, 1.3720].into_iter().enumerate() {
            assert!((out.double_value(&[i as i64, 0]) - wanted).abs() < 1e-4);
        }
        let flat = Tensor::full([65, 4], 0.7, OPTIONS);
        assert!(distance(&position(&flat, 8, 5), &Tensor::full([26, 4], 0.7, OPTIONS)) < 1e-6);
    }

    #[test]
    fn a_side_that_patches_do_not_fill_is_refused() {
        let vision: Vision = toml::from_str(
            "image = 64\npatch = 8\nwidth = 8\nheads = 1\nmlp = 8\nfrequency_blocks = 0\nspatial_blocks = 1\nembedding = 4\nmean = [0, 0, 0]\nstd = [1, 1, 1]",
        )
        .unwrap();
        assert_eq!(at(&vision, 48).unwrap().grid(), 6);
        assert!(at(&vision, 50).unwrap_err().to_string().contains("50 is not a multiple"));
        assert!(at(&vision, 0).is_err());
    }
}
