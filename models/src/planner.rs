//! The joint planner: which image size and which merging a budget of multiply-adds buys, out of a table of measured variants.
//!
//! Nothing is predicted: the table is what `edgelip-train evaluate` measured, and the answer is the most accurate line that fits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evaluate::Interval;

/// One measured variant, a line of the table. Fields that planning needs; a line may have more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Side of the images in pixels.
    pub image: i64,
    /// Merging rule, none without merging.
    pub rule: Option<String>,
    /// Strength of the guide.
    pub guide: f64,
    /// Compression rate of the tower at this image size.
    pub rate: f64,
    /// Multiply-adds of one image.
    pub macs: i64,
    /// The share of the multiply-adds of the unchanged model that is saved.
    pub saved: f64,
    /// Zero-shot top-1.
    pub top1: f64,
    /// Its difference from the unchanged model's, paired, with its 95 % interval.
    pub versus_full: Option<Interval>,
}

/// How a variant saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Not at all.
    Full,
    /// By merging tokens of images of full size.
    Merging,
    /// By images of another size.
    Resizing,
    /// By merging tokens of such images.
    Both,
}

impl Way {
    /// All ways, the simplest first.
    pub const ALL: [Way; 4] = [Way::Full, Way::Merging, Way::Resizing, Way::Both];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Full => "no saving",
            Way::Merging => "merging",
            Way::Resizing => "resizing",
            Way::Both => "both",
        })
    }
}

impl Entry {
    /// How this variant saves, if the unchanged model takes images of `full` pixels a side.
    pub fn way(&self, full: i64) -> Way {
        match (self.image != full, self.rate > 0.0) {
            (false, false) => Way::Full,
            (false, true) => Way::Merging,
            (true, false) => Way::Resizing,
            (true, true) => Way::Both,
        }
    }
}

/// The answer for one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// The most multiply-adds that were allowed.
    pub budget_macs: i64,
    /// How the chosen variant saves.
    pub way: Way,
    /// The most accurate variant that fits; of equally accurate ones the cheapest.
    pub chosen: Entry,
    /// The most accurate variant of every other way that fits.
    pub others: Vec<Other>,
}

/// The best of a way that was not chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Other {
    /// The way.
    pub way: Way,
    /// Its best variant.
    pub best: Entry,
    /// Whether the chosen variant's accuracy lies beyond this one's interval, both against the full model; `None` without intervals.
    pub clearly_worse: Option<bool>,
}

/// The unchanged model: nothing merges, and nothing is saved.
fn unchanged(entries: &[Entry]) -> Option<&Entry> {
    entries.iter().find(|entry| entry.rate == 0.0 && entry.saved == 0.0)
}

/// The most accurate entry of at most `budget` multiply-adds; `None` if all cost more, or the unchanged model is not among them.
pub fn choose(entries: &[Entry], budget: i64) -> Option<Choice> {
    let full = unchanged(entries)?.image;
    let best = |way: Option<Way>| {
        entries
            .iter()
            .filter(|entry| {
                entry.macs <= budget && entry.top1.is_finite() && way.is_none_or(|way| entry.way(full) == way)
            })
            .max_by(|a, b| a.top1.total_cmp(&b.top1).then(b.macs.cmp(&a.macs)))
    };
    let chosen = best(None)?.clone();
    let way = chosen.way(full);
    let other = |other: Way| {
        let best = best(Some(other))?.clone();
        let clearly_worse = best.versus_full.zip(chosen.versus_full).map(|(of, ours)| ours.value > of.high);
        Some(Other { way: other, best, clearly_worse })
    };
    let others = Way::ALL.into_iter().filter(|&other| other != way).filter_map(other).collect();
    Some(Choice { budget_macs: budget, way, chosen, others })
}

/// Multiply-adds of the unchanged model.
pub fn full_macs(entries: &[Entry]) -> Option<i64> {
    unchanged(entries).map(|entry| entry.macs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(image: i64, rate: f64, macs: i64, top1: f64) -> Entry {
        let value = top1 - 0.4;
        Entry {
            image,
            rule: (rate > 0.0).then(|| "ward".to_owned()),
            guide: 0.0,
            rate,
            macs,
            saved: 1.0 - macs as f64 / 100.0,
            top1,
            versus_full: Some(Interval { value, low: value - 0.01, high: value + 0.01 }),
        }
    }

    fn table() -> Vec<Entry> {
        vec![
            entry(64, 0.0, 100, 0.40),
            entry(64, 0.5, 50, 0.39),
            entry(64, 0.7, 30, 0.30),
            entry(48, 0.0, 56, 0.36),
            entry(48, 0.4, 34, 0.35),
            entry(32, 0.0, 25, 0.31),
        ]
    }

    #[test]
    fn each_budget_has_its_way() {
        let table = table();
        let way = |budget| choose(&table, budget).map(|choice| (choice.way, choice.chosen.image, choice.chosen.rate));
        assert_eq!(way(100), Some((Way::Full, 64, 0.0)));
        assert_eq!(way(99), Some((Way::Merging, 64, 0.5)));
        assert_eq!(way(49), Some((Way::Both, 48, 0.4)));
        assert_eq!(way(33), Some((Way::Resizing, 32, 0.0)));
        assert_eq!(way(24), None);
        assert_eq!(full_macs(&table), Some(100));
    }

    #[test]
    fn a_larger_image_is_another_way_and_not_the_unchanged_model() {
        let mut table = table();
        table.push(entry(72, 0.0, 130, 0.41));
        let way = |budget| choose(&table, budget).map(|choice| (choice.way, choice.chosen.image));
        assert_eq!((way(130), way(100)), (Some((Way::Resizing, 72)), Some((Way::Full, 64))));
        assert_eq!(full_macs(&table), Some(100));
        assert!(choose(&table[1..], 100).is_none(), "nobody knows what is saved");
    }

    #[test]
    fn others_are_the_best_of_their_way_and_judged_by_their_interval() {
        let choice = choose(&table(), 60).unwrap();
        assert_eq!(choice.chosen.macs, 50);
        let others: Vec<_> =
            choice.others.iter().map(|other| (other.way, other.best.macs, other.clearly_worse)).collect();
        assert_eq!(others, [(Way::Resizing, 56, Some(true)), (Way::Both, 34, Some(true))]);
        let mut close = table();
        close[3] = entry(48, 0.0, 56, 0.385);
        close[4].versus_full = None;
        let others = choose(&close, 60).unwrap().others;
        assert_eq!((others[0].clearly_worse, others[1].clearly_worse), (Some(false), None));
    }

    #[test]
    fn of_equally_accurate_ones_the_cheapest_and_no_numbers_never() {
        let mut table = table();
        table.push(entry(56, 0.4, 45, 0.39));
        table.push(entry(56, 0.0, 40, f64::NAN));
        assert_eq!(choose(&table, 60).unwrap().chosen.macs, 45);
        assert!(choose(&[], 60).is_none() && full_macs(&[]).is_none());
    }

    #[test]
    fn a_line_may_have_more_fields_and_lack_the_interval() {
        let line = r#"{"image":64,"rule":null,"guide":0.0,"rate":0.0,"macs":5,"saved":0.0,"top1":0.5,"top5":0.9}"#;
        let entry: Entry = serde_json::from_str(line).unwrap();
        assert_eq!((entry.rule, entry.versus_full), (None, None));
    }
}
