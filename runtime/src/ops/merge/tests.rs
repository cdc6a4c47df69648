use std::vec;
use std::vec::Vec;

use edgelip_kernels::{Kernels, Pool, Single};

use super::*;
use crate::plan::Pooling;

/// docs/token-merging.md in double precision, straight from the text. Gives rows, sizes, energies (for which φ stands in).
#[allow(clippy::type_complexity)]
fn reference(
    rule: Merge,
    (heads, class): (usize, usize),
    tokens: &[Vec<f64>],
    keys: &[Vec<f64>],
    sizes: &[f64],
    guide: Option<(f64, &[f64])>,
    r: usize,
) -> (Vec<Vec<f64>>, (Vec<f64>, Vec<f64>)) {
    let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    let cos = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / norm(a) / norm(b);
    let mean = |key: &[f64]| -> Vec<f64> {
        let width = key.len() / heads;
        (0..width).map(|c| (0..heads).map(|h| key[h * width + c]).sum::<f64>() / heads as f64).collect()
    };
    let stretch = |i: usize, j: usize| guide.map_or(1.0, |(strength, phi)| 1.0 + strength * phi[i].max(phi[j]));
    let score = |i: usize, j: usize| match rule {
        Merge::Ward => {
            let (p, q) = (sizes[i].powf(0.75), sizes[j].powf(0.75));
            let similarity = 0.5 * cos(&keys[i], &keys[j]) + 0.5 * cos(&tokens[i], &tokens[j]);
            -(1.0 - similarity) * stretch(i, j) * p * q / (p + q)
        }
        _ => -(1.0 - cos(&mean(&keys[i]), &mean(&keys[j]))) * stretch(i, j),
    };
    let count = tokens.len();
    let mut pairs: Vec<(f64, usize, usize)> = (2 * class..count)
        .step_by(2)
        .map(|i| {
            let best = (1..count)
                .step_by(2)
                .fold((f64::NEG_INFINITY, 0), |best, j| if score(i, j) > best.0 { (score(i, j), j) } else { best });
            (best.0, i, best.1)
        })
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    pairs.truncate(r);
    let leaves = |i: usize| pairs.iter().any(|pair| pair.1 == i);
    let mut order: Vec<usize> = (0..count).filter(|&i| !leaves(i)).collect();
    if rule == Merge::Tome {
        order.sort_by_key(|&i| (i % 2, i));
    }
    order
        .into_iter()
        .map(|position| {
            let members: Vec<usize> = [position]
                .into_iter()
                .chain(pairs.iter().filter(|pair| pair.2 == position).map(|pair| pair.1))
                .collect();
            let size: f64 = members.iter().map(|&i| sizes[i]).sum();
            let mut row: Vec<f64> = (0..tokens[0].len())
                .map(|c| members.iter().map(|&i| sizes[i] * tokens[i][c]).sum::<f64>() / size)
                .collect();
            if rule == Merge::Ward {
                let factor = members.iter().map(|&i| norm(&tokens[i])).fold(0.0, f64::max) / norm(&row);
                row.iter_mut().for_each(|v| *v *= factor);
            }
            let carried = |phi: &[f64]| members.iter().map(|&i| sizes[i] * phi[i]).sum::<f64>() / size;
            (row, (size, guide.map_or(0.0, |(_, phi)| carried(phi))))
        })
        .unzip()
}

struct Case {
    shape: VisionShape,
    rows: Vec<f32>,
    keys: Vec<f32>,
    sizes: Vec<f32>,
    /// φ of each token, and its energy too.
    phi: Vec<f32>,
    /// Strength of the guide, if there is one.
    guide: Option<f32>,
    roughly: bool,
}

impl Case {
    fn random(count: usize, width: usize, heads: usize) -> Self {
        let shape = VisionShape {
            image: [1, 1],
            patch: 1,
            width,
            heads,
            blocks: 2,
            mlp: 1,
            embedding: 1,
            ..VisionShape::default()
        };
        let mut state = (count * 1000 + width) as u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let stride = padded(width);
        let mut rows = vec![0.0; count * stride];
        let mut keys = vec![f32::NAN; count * 3 * stride];
        for i in 0..count {
            rows[i * stride..][..width].fill_with(&mut random);
            keys[i * 3 * stride + stride..][..width].fill_with(&mut random);
        }
        let sizes = (0..count).map(|_| ((random() + 1.0) * 4.0) as i32 as f32 + 1.0).collect();
        let phi = (0..count).map(|_| (random() + 1.0) / 2.0).collect();
        Case { shape, rows, keys, sizes, phi, guide: None, roughly: false }
    }

    fn merge(&self, kernels: Kernels, rule: Merge, r: usize, parallel: &dyn Parallel) -> [Vec<f32>; 3] {
        let count = self.sizes.len();
        let stride = padded(self.shape.width);
        let mut merged = vec![f32::NAN; self.rows.len()];
        let (mut sizes, mut energies) = (self.sizes.clone(), self.phi.clone());
        let mut scratch = vec![f32::NAN; scratch_len(&self.shape, count)];
        let mut patches: Vec<u16> = (0..count as u16).collect();
        let tokens = Tokens {
            rows: &self.rows,
            merged: &mut merged,
            keys: Rows::new(&self.keys, count, 3 * stride).unwrap(),
            key_column: stride,
            sizes: &mut sizes,
            guide: self.guide.map(|strength| Guide { strength, phi: &self.phi, energies: &mut energies }),
            count,
            roughly: self.roughly,
            patches: Some(&mut patches),
        };
        merge(&kernels, rule, &self.shape, tokens, r, &mut scratch, parallel).unwrap();
        merged.truncate((count - r) * stride);
        sizes.truncate(count - r);
        energies.truncate(count - r);
        self.assert_followed(&patches, &merged, &sizes);
        [merged, sizes, energies]
    }

    /// Asserts that the tokens which `patches` say ended in one are those it was made of.
    fn assert_followed(&self, patches: &[u16], merged: &[f32], sizes: &[f32]) {
        let (stride, width) = (padded(self.shape.width), self.shape.width);
        for (index, (row, size)) in merged.chunks(stride).zip(sizes).enumerate() {
            let members = || (0..patches.len()).filter(|&position| usize::from(patches[position]) == index);
            assert_eq!(members().map(|member| self.sizes[member]).sum::<f32>(), *size);
            let mut sum = vec![0.0; width];
            for member in members() {
                let values = &self.rows[member * stride..][..width];
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += self.sizes[member] * value);
            }
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let (row, norms) = (&row[..width], (dot(&sum, &sum) * dot(row, row)).sqrt());
            assert!(dot(&sum, row) > (1.0 - 1e-4) * norms, "token {index} is not the mean of its members");
        }
    }

    #[allow(clippy::type_complexity)]
    fn reference(&self, rule: Merge, r: usize) -> (Vec<Vec<f64>>, (Vec<f64>, Vec<f64>)) {
        let (stride, width) = (padded(self.shape.width), self.shape.width);
        let wide = |row: &[f32]| row[..width].iter().map(|&v| f64::from(v)).collect();
        let tokens: Vec<Vec<f64>> = self.rows.chunks(stride).map(wide).collect();
        let keys: Vec<Vec<f64>> = self.keys.chunks(3 * stride).map(|row| wide(&row[stride..])).collect();
        let sizes: Vec<f64> = self.sizes.iter().map(|&v| f64::from(v)).collect();
        let phi: Vec<f64> = self.phi.iter().map(|&v| f64::from(v)).collect();
        let guide = self.guide.map(|strength| (f64::from(strength), &phi[..]));
        reference(rule, (self.shape.heads, self.shape.class_tokens()), &tokens, &keys, &sizes, guide, r)
    }
}

#[test]
fn follows_the_rule_for_every_count() {
    for kernels in Kernels::available() {
        for rule in [Merge::Ward, Merge::Tome] {
            for count in 2..48 {
                let mut case = Case::random(count, 40, 5);
                case.guide = [None, Some(0.3), Some(2.0)][count % 3];
                if count % 5 == 2 {
                    (case.shape.pooling, case.guide) = (Pooling::Mean, None);
                }
                for r in [1, count / 4, case.shape.max_merged(count)] {
                    let [rows, sizes, energies] = case.merge(kernels, rule, r, &Single);
                    let (expected, (expected_sizes, expected_energies)) = case.reference(rule, r);
                    assert!(sizes.iter().map(|&v| f64::from(v)).eq(expected_sizes), "{rule:?} {count} {r}");
                    if case.guide.is_some() {
                        let mut pairs = energies.iter().zip(&expected_energies);
                        assert!(pairs.all(|(&a, b)| (f64::from(a) - b).abs() < 1e-6), "{rule:?} {count} {r}");
                    }
                    for (row, expected) in rows.chunks(48).zip(&expected) {
                        let error =
                            row.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
                        assert!(error < 1e-4, "{rule:?} {count} tokens, {r} merged: {error}");
                        assert!(row[40..].iter().all(|&v| v == 0.0));
                    }
                    assert_eq!(rows.len() / 48, expected.len());
                }
            }
        }
    }
}

#[test]
fn equal_tokens_merge_into_the_first_and_from_the_first() {
    let mut case = Case::random(9, 16, 1);
    case.sizes.fill(1.0);
    case.rows.fill(0.5);
    case.keys.fill(0.25);
    for rule in [Merge::Ward, Merge::Tome] {
        let [rows, sizes, _] = case.merge(Kernels::generic(), rule, 2, &Single);
        let expected: [f32; 7] = match rule {
            Merge::Ward => [1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            _ => [1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0],
        };
        assert_eq!(sizes, expected, "{rule:?}");
        assert!(rows.iter().all(|&v| (v - 0.5).abs() < 1e-6));
    }
}

#[test]
fn sizes_add_up_and_threads_change_no_bit() {
    let pool = Pool::new(3);
    let mut case = Case::random(197, 64, 4);
    for kernels in Kernels::available() {
        for (rule, guide, roughly) in [
            (Merge::Ward, None, false),
            (Merge::Ward, Some(0.3), false),
            (Merge::Ward, Some(0.3), true),
            (Merge::Tome, None, false),
            (Merge::Tome, Some(0.3), true),
        ] {
            (case.guide, case.roughly) = (guide, roughly);
            let [rows, sizes, _] = case.merge(kernels, rule, 61, &Single);
            assert_eq!(sizes.iter().sum::<f32>(), case.sizes.iter().sum::<f32>());
            let [threaded, ..] = case.merge(kernels, rule, 61, &pool);
            assert!(rows.iter().zip(&threaded).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
}

/// Tokens of a few kinds that differ by little, as those of images do: rounded to integers, many pairs look alike.
fn alike(count: usize, kinds: usize, apart: f32) -> Case {
    let mut case = Case::random(count, 64, 1);
    let stride = 64;
    for (rows, stride, start) in [(&mut case.rows, stride, 0), (&mut case.keys, 3 * stride, stride)] {
        for i in kinds..count {
            for c in start..start + 64 {
                rows[i * stride + c] = rows[i % kinds * stride + c] + apart * rows[i * stride + c];
            }
        }
    }
    case
}

#[test]
fn a_rough_look_finds_the_same_pairs() {
    for (count, kinds, apart) in [(64, 64, 1.0), (65, 7, 0.3), (130, 11, 0.05), (257, 20, 0.01), (257, 3, 0.002)] {
        for rule in [Merge::Ward, Merge::Tome] {
            for guide in [None, Some(0.3)] {
                for r in [1, count / 8, count / 2 - 1] {
                    let mut case = alike(count, kinds, apart);
                    case.guide = guide;
                    let exact = case.merge(Kernels::generic(), rule, r, &Single);
                    case.roughly = true;
                    let ought = case.merge(Kernels::generic(), rule, r, &Single);
                    // Two ways of adding up in floats may choose otherwise among pairs that are next to the same.
                    assert!(apart < 0.01 || ought == exact, "{rule:?} {count} tokens of {kinds} kinds, {r} merged");
                    for kernels in Kernels::available() {
                        let is = case.merge(kernels, rule, r, &Single);
                        assert!(
                            is == ought,
                            "{rule:?} {count} tokens of {kinds} kinds, {r} merged: {}",
                            kernels.name()
                        );
                    }
                }
            }
        }
    }
}
