//! From a compression rate to tokens merged in each block.
//!
//! The rate is the share of the image tower's multiply-adds that merging saves, the merging's own cost counted, against the same tower
//! without merging; both compute only the class row in the last block. A [`Shape`] says how the merging spreads over the blocks, its
//! scale is found by bisection.

use std::fmt;
use std::str::FromStr;

use edgelip_runtime::plan::{Merge, Plan, Stem, VisionShape};

use crate::error::Error;
use crate::source::{Guide, ModelConfig};

/// From this rate on, [`Shape::Auto`] takes the same share of tokens in each block.
const GEO_FROM: f64 = 0.45;
/// How far beyond the largest reachable rate a wish may be.
const SLACK: f64 = 0.005;

/// How merging is spread over the blocks. The last block never merges.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// [`Shape::BackLoaded`] for small rates, [`Shape::Geo`] for large ones: what did best in a study.
    Auto,
    /// The same share of the tokens in each block.
    Geo,
    /// Shares that grow as `exp(slope · (u + u²/2))`, `u` going from 0 in the first block to 1 in the last.
    BackLoaded {
        /// 0 is the same as [`Shape::Geo`].
        slope: f64,
    },
    /// As many tokens in each block.
    Constant,
    /// Twice the average in the first block, falling in equal steps to none in the last.
    Decreasing,
    /// Given counts, one for each block.
    List(Vec<usize>),
}

impl Shape {
    /// What [`Shape::Auto`] takes for a rate; other shapes are what they are.
    pub fn resolve(&self, compression: f64) -> Shape {
        match self {
            Shape::Auto if compression >= GEO_FROM => Shape::Geo,
            Shape::Auto => Shape::BackLoaded { slope: (6.0 * (0.6 - compression)).max(0.0) },
            other => other.clone(),
        }
    }

    /// Tokens that a block merges ideally, of the `tokens` that enter it.
    fn ideal(&self, scale: f64, block: usize, blocks: usize, tokens: f64) -> f64 {
        let u = block as f64 / (blocks - 1).max(1) as f64;
        match self {
            Shape::Auto | Shape::Geo => scale * tokens,
            Shape::BackLoaded { slope } => (scale * (slope * (u + u * u / 2.0)).exp()).min(0.5) * tokens,
            Shape::Constant => scale,
            Shape::Decreasing => 2.0 * scale * (1.0 - u),
            Shape::List(counts) => counts.get(block).copied().unwrap_or(0) as f64,
        }
    }

    /// A scale at which every block merges all it can.
    fn largest_scale(&self, shape: &VisionShape) -> f64 {
        match self {
            Shape::Constant | Shape::Decreasing => (shape.grid()[0] * shape.grid()[1] * shape.blocks) as f64,
            _ => 0.5,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Auto => f.write_str("auto"),
            Shape::Geo => f.write_str("geo"),
            Shape::BackLoaded { slope } => write!(f, "back-loaded (slope {slope:.2})"),
            Shape::Constant => f.write_str("constant"),
            Shape::Decreasing => f.write_str("decreasing"),
            Shape::List(_) => f.write_str("list"),
        }
    }
}

impl FromStr for Shape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Shape::Auto),
            "geo" => Ok(Shape::Geo),
            "constant" => Ok(Shape::Constant),
            "decreasing" => Ok(Shape::Decreasing),
            _ => match text.strip_prefix("list:") {
                Some(list) => {
                    let counts: Result<_, _> = list.split(',').map(|count| count.trim().parse()).collect();
                    counts.map(Shape::List).map_err(|_| {
                        Error::Schedule(format!("`{list}` is not a list of whole numbers such as list:8,8,8,0"))
                    })
                }
                None => Err(Error::Schedule(format!(
                    "no schedule is called `{text}`: auto, geo, constant, decreasing, list:8,8,…, calibrate:FOLDER"
                ))),
            },
        }
    }
}

/// Tokens merged in each block, and what that saves.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// One count for each block; the last is 0. All are 0 without merging.
    pub merged: Vec<usize>,
    /// The share of multiply-adds saved, exactly.
    pub saving: f64,
    /// The shape that was used, never [`Shape::Auto`].
    pub shape: Shape,
}

/// The image tower of a model as the planner sees it.
///
/// # Errors
/// [`Error::NoTower`] if there is none, [`Error::Runtime`] if its stem is beyond the runtime's limits.
pub fn tower(model: &ModelConfig, guide: Guide) -> Result<VisionShape, Error> {
    let vision = model.vision()?;
    Ok(VisionShape {
        image: vision.image_size,
        patch: vision.patch,
        stem: Stem::new(&vision.stem)?,
        frequency_blocks: vision.frequency_blocks,
        width: vision.width,
        heads: vision.heads,
        blocks: vision.blocks,
        mlp: vision.mlp,
        embedding: model.embedding,
        guided: guide.strength > 0.0,
        pooling: vision.head.pooling,
        unprojected: !vision.head.projected,
    })
}

/// The schedule of a shape whose saving is nearest to `compression`.
///
/// # Errors
/// [`Error::Schedule`] if `compression` is not in `0..1`, can't be reached (the largest that can is named), or a list does not fit the tower;
/// [`Error::Runtime`] if the tower is beyond the runtime's limits.
pub fn plan(shape: &VisionShape, merge: Merge, spread: &Shape, compression: f64) -> Result<Schedule, Error> {
    if let Shape::List(counts) = spread {
        return list(shape, merge, counts);
    }
    if !(0.0..1.0).contains(&compression) {
        return Err(Error::Schedule(format!("compression {compression} is not at least 0 and less than 1")));
    }
    let unmerged = Plan::new(shape, Merge::None, &[])?.macs();
    let spread = spread.resolve(compression);
    let nothing = Schedule { merged: vec![0; shape.blocks], saving: 0.0, shape: spread.clone() };
    if compression == 0.0 || merge == Merge::None {
        return Ok(nothing);
    }
    let at = |scale: f64| -> Result<Schedule, Error> {
        let merged = counts(shape, merge, &spread, scale)?;
        let saving = 1.0 - Plan::new(shape, merge, &merged)?.macs() as f64 / unmerged as f64;
        Ok(Schedule { merged, saving, shape: spread.clone() })
    };
    let distance = |schedule: &Schedule| (schedule.saving - compression).abs();
    let (mut low, mut high) = (0.0, spread.largest_scale(shape));
    let mut best = at(high)?;
    let mut largest = best.saving;
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        let schedule = at(middle)?;
        if schedule.saving < compression {
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
    if compression > largest + SLACK {
        let percent = (largest.max(0.0) * 1000.0).floor() / 1000.0;
        return Err(Error::Schedule(format!(
            "compression {compression} can't be reached with the {spread} schedule: the largest is {percent}"
        )));
    }
    if best.saving <= 0.0 {
        return Err(Error::Schedule("merging saves nothing on so few tokens: leave --compression out".into()));
    }
    Ok(best)
}

/// Whole numbers that follow the ideal ones: what rounding or a limit holds back is merged in the next block, and so is what would save less
/// than choosing it costs.
fn counts(shape: &VisionShape, merge: Merge, spread: &Shape, scale: f64) -> Result<Vec<usize>, Error> {
    let mut merged = vec![0; shape.blocks];
    let start = shape.tokens();
    let (mut ideal, mut done) = (0.0, 0);
    for block in 0..shape.blocks.saturating_sub(1) {
        ideal += spread.ideal(scale, block, shape.blocks, (start as f64 - ideal).max(0.0));
        let most = shape.max_merged(start - done);
        let count = (ideal.min(start as f64).round() as usize).saturating_sub(done).min(most);
        if count == 0 {
            continue;
        }
        let without = Plan::new(shape, merge, &merged)?.macs();
        merged[block] = count;
        if Plan::new(shape, merge, &merged)?.macs() < without {
            done += count;
        } else {
            merged[block] = 0;
        }
    }
    Ok(merged)
}

fn list(shape: &VisionShape, merge: Merge, counts: &[usize]) -> Result<Schedule, Error> {
    if counts.len() != shape.blocks {
        return Err(Error::Schedule(format!(
            "the list has {} entries, the image tower {} blocks",
            counts.len(),
            shape.blocks
        )));
    }
    let mut merged = counts.to_vec();
    // Only the class row of the last block is computed, so there is nothing left to merge; lists written for other tools often go on.
    if let Some(last) = merged.last_mut() {
        *last = 0;
    }
    let mut tokens = shape.tokens();
    for (block, &count) in merged.iter().enumerate() {
        let most = shape.max_merged(tokens);
        if count > most {
            return Err(Error::Schedule(format!(
                "block {block} has {tokens} tokens and can merge {most} of them at most, not {count}"
            )));
        }
        tokens -= count;
    }
    let unmerged = Plan::new(shape, Merge::None, &[])?.macs();
    let macs = Plan::new(shape, merge, &merged)?.macs();
    Ok(Schedule { merged, saving: 1.0 - macs as f64 / unmerged as f64, shape: Shape::List(counts.to_vec()) })
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
