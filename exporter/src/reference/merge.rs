//! Token merging, as `docs/token-merging.md` words it.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::layer::normalized;
use crate::source::Guide;

/// How tokens are matched and what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Ward's criterion with softened sizes on keys and tokens; patches in snake order.
    Ward,
    /// The mean key over the heads; patches in raster order.
    Tome,
}

/// A rule, and how many tokens it merges in each block.
#[derive(Debug, Clone, Copy)]
pub struct Merging<'a> {
    /// How tokens are matched.
    pub rule: Rule,
    /// Tokens merged in each block; as many numbers as blocks.
    pub schedule: &'a [usize],
    /// What keeps informative tokens apart.
    pub guide: Guide,
}

/// What merges how.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub rule: Rule,
    pub heads: usize,
    /// How many tokens come first and never merge: one or none.
    pub class_tokens: usize,
}

/// The score of the class token, which never merges.
const NEVER: f32 = -1e30;

/// The tokens of one image between blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// `[tokens, width]`; the class token first.
    pub x: Array2<f32>,
    /// How many patches each token stands for.
    pub sizes: Vec<f32>,
    /// High-frequency energies, carried for the guide.
    pub energy: Vec<f32>,
}

/// A token that is merged, and the one that takes it in.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    source: usize,
    target: usize,
    score: f32,
}

/// The guide's φ of each token, and its strength.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    pub phi: &'a [f32],
    pub strength: f32,
}

impl Stretch<'_> {
    /// The factor of the distance between two tokens.
    fn of(self, i: usize, j: usize) -> f32 {
        1.0 + self.strength * self.phi[i].max(self.phi[j])
    }
}

/// The tokens that remain when `count` are merged into others, given the keys `[tokens, width]` of all heads side by side.
pub fn merge(
    Kind { rule, heads, class_tokens }: Kind,
    count: usize,
    tokens: &Tokens,
    keys: &Array2<f32>,
    stretch: Option<Stretch>,
) -> Tokens {
    let stretch = |i: usize, j: usize| stretch.map(|stretch| stretch.of(i, j));
    let mut pairs = match rule {
        Rule::Ward => best_pairs(class_tokens, &tokens.sizes, ward_scores(tokens, keys, stretch)),
        Rule::Tome => best_pairs(class_tokens, &tokens.sizes, tome_scores(keys, heads, stretch)),
    };
    // The sort is stable, so that of equal scores the lower position comes first.
    pairs.sort_by(|a, b| b.score.total_cmp(&a.score));
    pairs.truncate(count);

    let stays = |&position: &usize| pairs.iter().all(|pair| pair.source != position);
    let all = 0..tokens.sizes.len();
    let order: Vec<usize> = match rule {
        Rule::Ward => all.filter(stays).collect(),
        Rule::Tome => all.clone().step_by(2).filter(stays).chain(all.skip(1).step_by(2)).collect(),
    };

    let mut merged = Tokens {
        x: Array2::zeros((order.len(), tokens.x.ncols())),
        sizes: Vec::with_capacity(order.len()),
        energy: Vec::with_capacity(order.len()),
    };
    for (row, &position) in order.iter().enumerate() {
        let mut members = vec![position];
        members.extend(pairs.iter().filter(|pair| pair.target == position).map(|pair| pair.source));
        let (value, size) = combined(rule, tokens, &members);
        merged.x.row_mut(row).assign(&value);
        merged.sizes.push(size);
        let energy: f32 = members.iter().map(|&member| tokens.sizes[member] * tokens.energy[member]).sum();
        merged.energy.push(energy / size);
    }
    merged
}

/// The best target among the odd positions for each even one.
fn best_pairs(class_tokens: usize, sizes: &[f32], score: impl Fn(usize, usize) -> f32) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for source in (0..sizes.len()).step_by(2) {
        let mut best = Pair { source, target: 1, score: f32::NEG_INFINITY };
        for target in (1..sizes.len()).step_by(2) {
            let score = if source < class_tokens { NEVER } else { score(source, target) };
            if score > best.score {
                best = Pair { source, target, score };
            }
        }
        pairs.push(best);
    }
    pairs
}

fn ward_scores<'a>(
    tokens: &'a Tokens,
    keys: &Array2<f32>,
    stretch: impl Fn(usize, usize) -> Option<f32> + 'a,
) -> impl Fn(usize, usize) -> f32 + 'a {
    let keys = unit_rows(keys);
    let x = unit_rows(&tokens.x);
    move |i, j| {
        let similarity = 0.5 * keys.row(i).dot(&keys.row(j)) + 0.5 * x.row(i).dot(&x.row(j));
        let softened = |size: f32| size.sqrt() * size.sqrt().sqrt();
        let (p, q) = (softened(tokens.sizes[i]), softened(tokens.sizes[j]));
        -(1.0 - similarity) * stretch(i, j).unwrap_or(1.0) * (p * q / (p + q))
    }
}

fn tome_scores<'a>(
    keys: &Array2<f32>,
    heads: usize,
    stretch: impl Fn(usize, usize) -> Option<f32> + 'a,
) -> impl Fn(usize, usize) -> f32 + 'a {
    let head_dim = keys.ncols() / heads;
    let mut mean = Array2::<f32>::zeros((keys.nrows(), head_dim));
    for head in keys.axis_chunks_iter(Axis(1), head_dim) {
        mean += &head;
    }
    mean /= heads as f32;
    let mean = unit_rows(&mean);
    move |i, j| {
        let similarity = mean.row(i).dot(&mean.row(j));
        stretch(i, j).map_or(similarity, |stretch| -(1.0 - similarity) * stretch)
    }
}

fn unit_rows(x: &Array2<f32>) -> Array2<f32> {
    let mut unit = x.clone();
    for mut row in unit.axis_iter_mut(Axis(0)) {
        let normalized = normalized(row.view());
        row.assign(&normalized);
    }
    unit
}

/// The value and the size of a token made of `members`.
fn combined(rule: Rule, tokens: &Tokens, members: &[usize]) -> (Array1<f32>, f32) {
    if let &[alone] = members {
        return (tokens.x.row(alone).to_owned(), tokens.sizes[alone]);
    }
    let norm = |x: ArrayView1<f32>| x.dot(&x).sqrt();
    let mut value = Array1::zeros(tokens.x.ncols());
    let mut size = 0.0;
    let mut largest = 0.0_f32;
    for &member in members {
        value.scaled_add(tokens.sizes[member], &tokens.x.row(member));
        size += tokens.sizes[member];
        largest = largest.max(norm(tokens.x.row(member)));
    }
    value /= size;
    if rule == Rule::Ward {
        value *= largest / norm(value.view()).max(1e-12);
    }
    (value, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn five() -> Tokens {
        // Position 2 points nearly where 3 does, and 4 where 1 does, but less so.
        Tokens {
            x: array![[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [0.0, 4.0], [2.0, 0.2]],
            sizes: vec![1.0, 1.0, 3.0, 1.0, 1.0],
            energy: vec![0.0, 0.4, 0.2, 0.8, 1.0],
        }
    }

    const WARD: Kind = Kind { rule: Rule::Ward, heads: 1, class_tokens: 1 };
    const TOME: Kind = Kind { rule: Rule::Tome, ..WARD };

    #[test]
    fn without_a_class_token_the_first_may_merge_too() {
        let tokens = Tokens { x: Array2::ones((4, 3)), sizes: vec![1.0; 4], energy: vec![0.5; 4] };
        let merged = merge(Kind { class_tokens: 0, ..WARD }, 2, &tokens, &tokens.x.clone(), None);
        assert_eq!(merged.sizes, [3.0, 1.0]);
    }

    #[test]
    fn ward_keeps_the_order_and_the_largest_norm() {
        let tokens = five();
        let merged = merge(WARD, 1, &tokens, &tokens.x.clone(), None);
        assert_eq!(merged.x, array![[9.0, 9.0], [1.0, 0.0], [0.0, 4.0], [2.0, 0.2]]);
        assert_eq!(merged.sizes, [1.0, 1.0, 4.0, 1.0]);
        // (3 · 0.2 + 0.8) / 4
        assert!((merged.energy[2] - 0.35).abs() < 1e-6 && merged.energy[3] == 1.0);
    }

    #[test]
    fn tome_puts_the_rest_of_a_first_and_takes_the_plain_mean() {
        let tokens = five();
        let merged = merge(TOME, 1, &tokens, &tokens.x.clone(), None);
        assert_eq!(merged.x, array![[9.0, 9.0], [2.0, 0.2], [1.0, 0.0], [0.0, 2.5]]);
        assert_eq!(merged.sizes, [1.0, 1.0, 1.0, 4.0]);
    }

    #[test]
    fn ties_go_to_the_lower_target_and_the_lower_source() {
        let tokens = Tokens { x: Array2::ones((7, 3)), sizes: vec![1.0; 7], energy: vec![0.5; 7] };
        let merged = merge(WARD, 1, &tokens, &tokens.x.clone(), None);
        assert_eq!(merged.sizes, [1.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn several_sources_may_share_a_target() {
        let tokens = Tokens { x: Array2::ones((7, 3)), sizes: vec![1.0; 7], energy: vec![0.5; 7] };
        let merged = merge(TOME, 3, &tokens, &tokens.x.clone(), None);
        assert_eq!(merged.sizes, [1.0, 4.0, 1.0, 1.0]);
        assert!(merged.x.iter().all(|&value| value == 1.0));
    }

    #[test]
    fn the_guide_keeps_an_informative_token_from_merging() {
        let tokens = five();
        for kind in [WARD, TOME] {
            let phi = [0.0, 0.0, 1.0, 0.0, 0.0];
            let stretch = Stretch { phi: &phi, strength: 100.0 };
            let merged = merge(
                kind,
                1,
                &tokens,
                &array![[9.0, 9.0], [1.0, 0.0], [0.1, 2.0], [0.0, 4.0], [2.0, 0.2]],
                Some(stretch),
            );
            // Unguided it would be position 2 that goes.
            assert!(merged.sizes.contains(&3.0) && merged.sizes.contains(&2.0), "{:?}", merged.sizes);
        }
    }
}
