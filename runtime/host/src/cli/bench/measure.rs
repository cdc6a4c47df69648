//! Rounds that go through all candidates in turn, and what they say.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use edgelip::Mapping;
use edgelip::stats::Summary;

use super::super::milliseconds_since;
use super::candidate::Candidate;
use super::fresh;
use super::lineup::{LengthArgs, LineupArgs, Runner};
use super::report::Row;

/// A share of multiply-adds below which what is realised of it would be noise.
const WORTH_COMPARING: f64 = 0.01;

/// Measures all that take part.
pub fn measure(args: &LineupArgs, length: LengthArgs) -> Result<Vec<Row>> {
    let entries = args.entries()?;
    let folder = tempfile::tempdir()?;
    let mut mappings = BTreeMap::new();
    for path in args.models() {
        let start = Instant::now();
        let mapping = Mapping::open(path)?;
        mapping.prefetch();
        mappings.insert(path, (mapping, milliseconds_since(start)));
    }
    let mut candidates = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some((mapping, mapped)) = mappings.get(entry.path) else { continue };
        let candidate = Candidate::prepare(args, *entry, mapping, *mapped, Some(folder.path()));
        let mut candidate = candidate.with_context(|| entry.path.display().to_string())?;
        if let (Runner::Own(_), Some(fresh)) = (entry.runner, fresh::start(index)) {
            let row = &mut candidate.row;
            (row.load_ms, row.first_ms) = (fresh.load_ms, fresh.first_ms);
            (row.start_ms, row.peak_rss_bytes) = (Some(fresh.start_ms), fresh.peak_rss_bytes);
        }
        candidates.push(candidate);
    }
    run(&mut candidates, length)?;
    conclude(&candidates)
}

fn run(candidates: &mut [Candidate<'_>], length: LengthArgs) -> Result<()> {
    for candidate in candidates.iter_mut() {
        for _ in 0..length.warmup {
            candidate.time()?;
        }
    }
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < length.rounds || start.elapsed().as_secs_f64() < length.min_seconds {
        for candidate in candidates.iter_mut() {
            let time = candidate.time()?;
            candidate.times.push(time);
        }
        rounds += 1;
    }
    Ok(())
}

fn conclude(candidates: &[Candidate<'_>]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for candidate in candidates {
        let Some(summary) = Summary::of(&mut candidate.times.clone()) else { bail!("nothing was measured") };
        let mut row = candidate.row.clone();
        row.rounds = summary.count;
        (row.min_ms, row.median_ms) = (summary.min, summary.median);
        (row.p90_ms, row.p99_ms) = (summary.p90, summary.p99);
        let before = &candidates[..rows.len()];
        let on_same_engine = |first: &&Candidate<'_>| {
            let (first, own) = (&first.row, &candidate.row);
            (&first.engine, first.threads, &first.tower) == (&own.engine, own.threads, &own.tower)
        };
        if let Some(first) = before.iter().find(on_same_engine) {
            let saved = |ours: f64, theirs: f64| 1.0 - ours / theirs;
            row.macs_saved = row.macs.zip(first.row.macs).map(|(ours, theirs)| saved(ours as f64, theirs as f64));
            row.time_saved = paired_ratio(&candidate.times, &first.times).map(|ratio| 1.0 - ratio);
        }
        // Of other precisions the time differs for reasons of its own.
        let as_precise =
            |first: &&Candidate<'_>| on_same_engine(first) && first.row.precision == candidate.row.precision;
        if let Some(first) = before.iter().find(as_precise) {
            row.realised = realised(&candidate.row, &candidate.times, &first.row, &first.times);
        }
        let same_model = |first: &&Candidate<'_>| first.entry.path == candidate.entry.path;
        if let Some(first) = before.iter().find(same_model) {
            row.cosine = cosine(&first.embedding, &candidate.embedding);
        }
        let with_same_threads =
            |first: &&Candidate<'_>| same_model(first) && first.entry.threads == candidate.entry.threads;
        if let Some(first) = before.iter().find(with_same_threads) {
            row.time_ratio = paired_ratio(&candidate.times, &first.times);
            let theirs = first.times.iter().copied().fold(f64::INFINITY, f64::min);
            row.min_ratio = Some(summary.min / theirs);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The share of time saved over that of multiply-adds saved, where that is worth comparing.
fn realised(row: &Row, times: &[f64], first: &Row, first_times: &[f64]) -> Option<f64> {
    let macs = 1.0 - row.macs? as f64 / first.macs? as f64;
    let time = 1.0 - paired_ratio(times, first_times)?;
    (macs > WORTH_COMPARING).then(|| time / macs)
}

/// Median over the rounds of one time over the other: what slows down both does not count.
fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    Summary::of(&mut ratios).map(|summary| summary.median)
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && norms > 0.0).then(|| dot(a, b) / norms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_rounds() {
        assert_eq!(paired_ratio(&[1.0, 20.0, 3.0], &[2.0, 40.0, 4.0]), Some(0.5));
        assert_eq!(paired_ratio(&[], &[]), None);
    }

    #[test]
    fn what_is_realised_is_measured_against_what_was_saved() {
        let row = |macs| Row { macs: Some(macs), ..Row::default() };
        assert!(
            realised(&row(60), &[7.0, 70.0], &row(100), &[10.0, 100.0])
                .is_some_and(|share| (share - 0.75).abs() < 1e-9)
        );
        assert_eq!(realised(&row(100), &[7.0], &row(100), &[10.0]), None);
        assert_eq!(realised(&Row::default(), &[7.0], &row(100), &[10.0]), None);
    }

    #[test]
    fn cosines() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), Some(1.0));
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), None);
        assert_eq!(cosine(&[], &[]), None);
    }
}
