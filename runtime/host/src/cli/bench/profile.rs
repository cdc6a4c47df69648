//! Where a model's time goes, by operator and block.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use edgelip::engine::native;
use edgelip::stats::Summary;
use edgelip::timeline::Timeline;
use edgelip_kernels::{Pool, Step};
use edgelip_runtime::{Parallel, Vision};
use serde::Serialize;

use super::super::inspect_text::print_table;
use super::lineup::noise;

/// One model's profile. Times are medians over the rounds, in milliseconds.
#[derive(Serialize)]
pub struct Profile {
    pub model: String,
    pub kernels: String,
    pub threads: usize,
    pub rounds: usize,
    /// The whole run.
    pub total_ms: f64,
    /// Share of the run that merging takes: guide, match and merge.
    pub merging_share: f64,
    pub operators: Vec<Operator>,
    /// How many of the blocks, the first ones, are frequency blocks.
    pub frequency_blocks: usize,
    pub blocks: Vec<Block>,
}

/// One operator over all blocks.
#[derive(Serialize)]
pub struct Operator {
    pub operator: &'static str,
    pub ms: f64,
    pub min_ms: f64,
    pub share: f64,
}

/// One block, or what comes before or after them.
#[derive(Serialize)]
pub struct Block {
    /// `None` for the steps outside of blocks.
    pub block: Option<usize>,
    pub ms: f64,
    pub share: f64,
    /// By operator, those that take place.
    pub operators: BTreeMap<&'static str, f64>,
}

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Length {
    pub rounds: u32,
    pub min_seconds: f64,
    pub warmup: u32,
}

type Place = (Option<usize>, Step);

/// Profiles an image tower.
pub fn profile(path: &Path, bytes: &[u8], threads: usize, pixels: Option<&[u8]>, length: Length) -> Result<Profile> {
    let vision = Vision::open(bytes, native::kernels())?;
    let pool = Pool::new(threads);
    let timeline = Timeline::new(&pool);
    let mut scratch = vec![0.0; vision.scratch_len(pool.workers())?];
    let mut embedding = vec![0.0; vision.shape().embedding];
    let [height, width] = vision.shape().image;
    let mut own = vec![0; if pixels.is_some() { 0 } else { height * width * 3 }];
    noise(&mut own);
    let pixels = pixels.unwrap_or(&own);

    let mut order: Vec<Place> = Vec::new();
    let mut times: BTreeMap<Place, Vec<f64>> = BTreeMap::new();
    let mut totals = Vec::new();
    let mut start = Instant::now();
    for round in 0.. {
        if round == length.warmup + 1 {
            start = Instant::now();
        }
        let measured = round > length.warmup;
        if measured && totals.len() >= length.rounds as usize && start.elapsed().as_secs_f64() >= length.min_seconds {
            break;
        }
        timeline.start();
        let begun = Instant::now();
        vision.embed(pixels, &mut scratch, &timeline, &mut embedding)?;
        let total = begun.elapsed();
        if !measured {
            continue;
        }
        totals.push(milliseconds(total));
        for cell in timeline.cells() {
            let place = (cell.block, cell.step);
            if !order.contains(&place) {
                order.push(place);
            }
            times.entry(place).or_default().push(milliseconds(cell.time));
        }
    }
    let rounds = totals.len();
    let Some(total) = Summary::of(&mut totals) else { bail!("nothing was measured") };
    let cells: BTreeMap<Place, Summary> =
        times.iter_mut().filter_map(|(place, times)| Some((*place, Summary::of(times)?))).collect();
    let sum = |keep: &dyn Fn(Place) -> bool, value: &dyn Fn(&Summary) -> f64| -> f64 {
        cells.iter().filter(|(place, _)| keep(**place)).map(|(_, cell)| value(cell)).sum()
    };
    let all = sum(&|_| true, &|cell| cell.median);
    let mut steps: Vec<Step> = order.iter().map(|place| place.1).collect();
    steps.sort();
    steps.dedup();
    let operators: Vec<Operator> = steps
        .iter()
        .map(|&step| {
            let of_step = |value: &dyn Fn(&Summary) -> f64| sum(&|place| place.1 == step, value);
            let ms = of_step(&|cell| cell.median);
            Operator { operator: step.name(), ms, min_ms: of_step(&|cell| cell.min), share: ms / all }
        })
        .collect();
    let mut places: Vec<Option<usize>> = order.iter().map(|place| place.0).collect();
    places.sort();
    places.dedup();
    let blocks = places
        .into_iter()
        .map(|block| {
            let ms = sum(&|place| place.0 == block, &|cell| cell.median);
            let here = cells.iter().filter(|(place, _)| place.0 == block);
            let operators = here.map(|(place, cell)| (place.1.name(), cell.median)).collect();
            Block { block, ms, share: ms / all, operators }
        })
        .collect();
    let merging = |operator: &&Operator| ["guide", "match", "merge"].contains(&operator.operator);
    Ok(Profile {
        model: path.display().to_string(),
        kernels: vision.kernels().name().into(),
        threads,
        rounds,
        total_ms: total.median,
        merging_share: operators.iter().filter(merging).map(|operator| operator.share).sum(),
        operators,
        frequency_blocks: vision.shape().frequency_blocks,
        blocks,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Prints a table: blocks down, operators across.
pub fn print(profile: &Profile, out: &mut dyn Write) -> Result<()> {
    let threads = if profile.threads == 1 { "1 thread".into() } else { format!("{} threads", profile.threads) };
    writeln!(
        out,
        "{}: {:.2} ms, {} kernels, {threads}, median of {} rounds",
        profile.model, profile.total_ms, profile.kernels, profile.rounds
    )?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let names: Vec<&str> = profile.operators.iter().map(|operator| operator.operator).collect();
    table.set_header([&["block"], &names[..], &["ms", "share"]].concat());
    let time = |ms: f64| format!("{ms:.3}");
    let share = |share: f64| format!("{:.1} %", 100.0 * share);
    for block in &profile.blocks {
        let cells = names.iter().map(|name| block.operators.get(name).map_or_else(|| "-".into(), |&ms| time(ms)));
        let first = match block.block {
            None => "outside".into(),
            Some(block) if block < profile.frequency_blocks => format!("f{block}"),
            Some(block) => (block - profile.frequency_blocks).to_string(),
        };
        table.add_row([first].into_iter().chain(cells).chain([time(block.ms), share(block.share)]));
    }
    let all: f64 = profile.blocks.iter().map(|block| block.ms).sum();
    let sums = profile.operators.iter().map(|operator| time(operator.ms));
    table.add_row(["ms".to_string()].into_iter().chain(sums).chain([time(all), String::new()]));
    let shares = profile.operators.iter().map(|operator| share(operator.share));
    table.add_row(["share".to_string()].into_iter().chain(shares).chain([String::new(), String::new()]));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_table(&table, out)?;
    if profile.merging_share > 0.0 {
        writeln!(out, "\n  merging takes {} of it", share(profile.merging_share))?;
    }
    Ok(())
}
