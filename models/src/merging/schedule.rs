//! From a compression rate to tokens merged in each spatial block.
//!
//! The rate is the share of the image tower's multiply-adds that merging saves, against the same tower without merging. The frequency
//! blocks keep the grid and so never merge; the last block never merges either, since only its class row is used.

use crate::config::{Rule, Spread, Vision};
use crate::error::Error;

/// From this rate on, [`Spread::Auto`] takes the same share of tokens in each block.
const GEO_FROM: f64 = 0.45;
/// How far beyond the largest reachable rate a wish may be.
const SLACK: f64 = 0.005;

/// Tokens merged in each spatial block.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// One count for each spatial block; the last is 0.
    pub merged: Vec<i64>,
    /// The share of multiply-adds saved, exactly.
    pub saving: f64,
}

/// How the pairs are chosen, as far as it costs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// What scores them.
    pub rule: Rule,
    /// Whether a guide stretches their distances.
    pub guided: bool,
}

/// Multiply-adds of the tower for one image, with the cost of choosing the pairs.
pub fn macs(vision: &Vision, choice: Choice, merged: &[i64]) -> i64 {
    let Vision { width: d, mlp, .. } = *vision;
    let (grid, patches) = (vision.grid(), vision.grid() * vision.grid());
    let embed = embedding_macs(vision);
    let coefficients = 2 * grid * (grid / 2 + 1);
    let frequency = 2 * coefficients * patches * d + 2 * coefficients * d + 2 * patches * d * mlp;
    let mut tokens = patches + 1;
    let mut total = embed + vision.frequency_blocks * frequency + vision.embedding * d;
    for (block, &r) in merged.iter().enumerate() {
        if block + 1 == merged.len() {
            return total + 2 * tokens * d * d + 2 * tokens * d + 2 * d * d + 2 * d * mlp;
        }
        total += 4 * tokens * d * d + 2 * tokens * tokens * d;
        if r > 0 {
            let features = if choice.rule == Rule::Tome { d / vision.heads } else { 2 * d };
            total += (tokens + 1) / 2 * (tokens / 2) * features + if choice.guided { tokens * d } else { 0 };
        }
        tokens -= r;
        total += 2 * tokens * d * mlp;
    }
    total
}

/// Multiply-adds from pixels to patches.
fn embedding_macs(vision: &Vision) -> i64 {
    if vision.stem.is_empty() {
        return vision.image * vision.image * 3 * vision.width;
    }
    let (mut side, mut inputs, mut total) = (vision.image, 3, 0);
    for &outputs in &vision.stem {
        side /= 2;
        total += side * side * 9 * inputs * outputs;
        inputs = outputs;
    }
    total
}

/// The schedule whose saving is nearest to `rate`.
///
/// # Errors
/// [`Error::Config`] if the rate is not from 0 to below 1, or can't be reached; the largest that can is named.
pub fn plan(vision: &Vision, choice: Choice, spread: Spread, rate: f64) -> Result<Schedule, Error> {
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::Config(format!("compression rate {rate} is not at least 0 and less than 1")));
    }
    let nothing = vec![0; vision.spatial_blocks as usize];
    if rate == 0.0 {
        return Ok(Schedule { merged: nothing, saving: 0.0 });
    }
    let unmerged = macs(vision, choice, &nothing) as f64;
    let at = |scale: f64| {
        let merged = counts(vision, choice, spread, rate, scale);
        let saving = 1.0 - macs(vision, choice, &merged) as f64 / unmerged;
        Schedule { merged, saving }
    };
    let distance = |schedule: &Schedule| (schedule.saving - rate).abs();
    let patches = vision.grid() * vision.grid();
    let (mut low, mut high) =
        (0.0, if spread == Spread::Constant { (patches * vision.spatial_blocks) as f64 } else { 0.5 });
    let mut best = at(high);
    let mut largest = best.saving;
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        let schedule = at(middle);
        if schedule.saving < rate {
            low = middle
        } else {
            high = middle
        }
        largest = largest.max(schedule.saving);
        // A rate above 0 asks for merging: no merging at all is never the answer.
        if schedule.saving > 0.0 && distance(&schedule) < distance(&best) {
            best = schedule;
        }
    }
    if rate > largest + SLACK || best.saving <= 0.0 {
        let largest = (largest.max(0.0) * 1000.0).floor() / 1000.0;
        return Err(Error::Config(format!("compression rate {rate} can't be reached: the largest is {largest}")));
    }
    Ok(best)
}

/// Whole numbers that follow the ideal ones: what rounding or a limit holds back is merged in the next block, and so is what would save
/// less than choosing it costs.
fn counts(vision: &Vision, choice: Choice, spread: Spread, rate: f64, scale: f64) -> Vec<i64> {
    let blocks = vision.spatial_blocks as usize;
    let start = vision.grid() * vision.grid() + 1;
    let mut merged = vec![0; blocks];
    let (mut ideal, mut done) = (0.0, 0);
    for block in 0..blocks.saturating_sub(1) {
        let tokens = (start as f64 - ideal).max(0.0);
        ideal += match spread {
            Spread::Constant => scale,
            Spread::Auto if rate < GEO_FROM => {
                let u = block as f64 / (blocks - 1).max(1) as f64;
                let slope = 6.0 * (0.6 - rate);
                (scale * (slope * (u + u * u / 2.0)).exp()).min(0.5) * tokens
            }
            Spread::Auto | Spread::Geo => scale * tokens,
        };
        let most = (start - done - 1) / 2;
        let count = (ideal.min(start as f64).round() as i64 - done).clamp(0, most);
        let without = macs(vision, choice, &merged);
        merged[block] = count;
        if macs(vision, choice, &merged) < without {
            done += count;
        } else {
            merged[block] = 0;
        }
    }
    merged
}

/// The patches of a grid in snake order, rows alternately left to right and right to left: neighbours in the list are neighbours in the
/// image.
pub fn snake(grid: i64) -> Vec<i64> {
    (0..grid * grid)
        .map(|i| {
            let (row, column) = (i / grid, i % grid);
            row * grid + if row % 2 == 0 { column } else { grid - 1 - column }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Readout;

    const WARD: Choice = Choice { rule: Rule::Ward, guided: false };

    fn vision() -> Vision {
        Vision {
            image: 64,
            patch: 8,
            stem: vec![],
            width: 192,
            heads: 3,
            mlp: 768,
            frequency_blocks: 2,
            spatial_blocks: 10,
            embedding: 384,
            mean: [0.5; 3],
            std: [0.5; 3],
            readout: Readout::Spatial,
        }
    }

    #[test]
    fn multiply_adds_by_hand() {
        let tiny = Vision {
            image: 4,
            patch: 2,
            width: 4,
            heads: 1,
            mlp: 8,
            frequency_blocks: 1,
            spatial_blocks: 2,
            embedding: 6,
            ..vision()
        };
        // Patches 4·12·4, transforms 2·8·4·4 and product 2·8·4, MLP 2·4·4·8; a block of 5 tokens 4·5·16 + 2·25·4 + 2·5·32; the class row.
        let (embed, frequency, block, last) = (192, 256 + 64 + 256, 320 + 200 + 320, 2 * 5 * 16 + 40 + 32 + 64);
        assert_eq!(macs(&tiny, WARD, &[0, 0]), embed + frequency + block + last + 24);
        // One of 5 tokens merges: 3 × 2 pairs by keys and tokens, one token less in MLP and class row; the guide looks at each token once.
        let merged = macs(&tiny, WARD, &[1, 0]);
        assert_eq!(macs(&tiny, WARD, &[0, 0]) - merged, 2 * 4 * 8 + 2 * 16 + 2 * 4 - 6 * 8);
        assert_eq!(macs(&tiny, Choice { guided: true, ..WARD }, &[1, 0]) - merged, 5 * 4);
        assert_eq!(macs(&tiny, Choice { rule: Rule::Tome, guided: false }, &[1, 0]) - merged, -6 * 4);
    }

    #[test]
    fn rates_are_met_and_the_last_block_keeps_its_tokens() {
        for spread in [Spread::Auto, Spread::Geo, Spread::Constant] {
            for rate in [0.2, 0.3, 0.5] {
                let schedule = plan(&vision(), WARD, spread, rate).unwrap();
                assert!((schedule.saving - rate).abs() < 0.02, "{spread:?} {rate}: {schedule:?}");
                assert_eq!(schedule.merged.last(), Some(&0));
            }
        }
        for rate in [0.6, 0.7] {
            let schedule = plan(&vision(), WARD, Spread::Geo, rate).unwrap();
            assert!((schedule.saving - rate).abs() < 0.02, "{rate}: {schedule:?}");
        }
    }

    #[test]
    fn an_unreachable_rate_names_the_largest() {
        let error = plan(&vision(), WARD, Spread::Geo, 0.95).unwrap_err().to_string();
        assert!(error.contains("the largest is 0."), "{error}");
        for rate in [1.0, -0.1, f64::NAN] {
            assert!(plan(&vision(), WARD, Spread::Geo, rate).is_err(), "{rate}");
        }
    }

    #[test]
    fn snake_order_of_three_rows() {
        assert_eq!(snake(3), [0, 1, 2, 5, 4, 3, 6, 7, 8]);
    }
}
