//! What is said about an export: a page for people, or JSON.

use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use edgelip_export::calibrate::Candidate;
use edgelip_export::graph::VisionOptions;
use edgelip_export::layout::Layout;
use edgelip_export::source::Source;
use edgelip_export::verify::Report;
use edgelip_runtime::plan::{Merge, Plan};
use serde::Serialize;

use super::args::Args;
use super::say;

/// An export, planned or done.
#[derive(Debug, Serialize)]
pub struct Summary {
    checkpoint: String,
    layout: &'static str,
    towers: Vec<&'static str>,
    weight_files: usize,
    weight_bytes: u64,
    /// The image tower, if it is asked for.
    pub vision: Option<VisionSummary>,
    /// The text tower, if it is asked for.
    pub text: Option<TextSummary>,
    /// Schedules that were tried, best first.
    pub calibration: Option<Vec<Candidate>>,
    /// What was held against what.
    pub verification: Vec<Report>,
    /// Whether the files are in place.
    pub written: bool,
}

/// The image tower.
#[derive(Debug, Serialize)]
pub struct VisionSummary {
    file: Option<String>,
    image: [usize; 2],
    patch: usize,
    stem: Vec<usize>,
    frequency_blocks: usize,
    width: usize,
    heads: usize,
    mlp: usize,
    embedding: usize,
    readout: &'static str,
    activation: &'static str,
    precision: &'static str,
    parameters: u64,
    /// Size of the file.
    pub bytes: u64,
    scratch_bytes: u64,
    threads: usize,
    merge: &'static str,
    guide: Option<Guide>,
    compression: Compression,
    macs: u64,
    macs_unmerged: u64,
    embedding_macs: u64,
    frequency_macs: u64,
    blocks: Vec<Block>,
    labels: usize,
    prompts: usize,
}

#[derive(Debug, Serialize)]
struct Guide {
    strength: f32,
    semantic: f32,
}

#[derive(Debug, Serialize)]
struct Compression {
    asked: Option<f64>,
    real: f64,
}

#[derive(Debug, Serialize)]
struct Block {
    tokens: usize,
    merged: usize,
    macs: u64,
    merge_macs: u64,
}

/// The text tower.
#[derive(Debug, Serialize)]
pub struct TextSummary {
    file: Option<String>,
    width: usize,
    heads: usize,
    blocks: usize,
    mlp: usize,
    context: usize,
    vocabulary: usize,
    activation: &'static str,
    precision: &'static str,
    parameters: u64,
    bytes: u64,
}

impl Summary {
    /// The checkpoint, nothing planned yet.
    pub fn new(args: &Args, source: &Layout) -> Summary {
        let model = source.model();
        let towers = [("image", model.vision.is_some()), ("text", model.text.is_some())];
        Summary {
            checkpoint: args.checkpoint.display().to_string(),
            layout: source.name(),
            towers: towers.into_iter().filter_map(|(name, there)| there.then_some(name)).collect(),
            weight_files: source.checkpoint().files().count(),
            weight_bytes: source.checkpoint().byte_len().unwrap_or(0),
            vision: None,
            text: None,
            calibration: None,
            verification: Vec::new(),
            written: false,
        }
    }

    /// Whether every verification so far found the files good.
    pub fn passed(&self) -> bool {
        self.verification.iter().all(|report| report.passed)
    }

    /// Prints it.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            return Ok(say(serde_json::to_string_pretty(self)?)?);
        }
        let files = counted(self.weight_files, "file");
        let towers = self.towers.join(" and ");
        say(format!(
            "checkpoint    {}: {}, {towers} tower, {} in {files}",
            self.checkpoint,
            self.layout,
            megabytes(self.weight_bytes)
        ))?;
        if let Some(vision) = &self.vision {
            vision.print(!self.written && self.verification.is_empty())?;
        }
        if let Some(text) = &self.text {
            text.print()?;
        }
        if let Some(candidates) = &self.calibration {
            print_calibration(candidates)?;
        }
        for report in &self.verification {
            say(format!("\n{report}"))?;
        }
        if self.written {
            say("")?;
            for (file, bytes) in self.files() {
                say(format!("wrote         {file}, {}", megabytes(bytes)))?;
            }
            say(format!("next          {}", self.next()))?;
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        let vision = self.vision.as_ref().and_then(|vision| Some((vision.file.as_deref()?, vision.bytes)));
        let text = self.text.as_ref().and_then(|text| Some((text.file.as_deref()?, text.bytes)));
        vision.into_iter().chain(text)
    }

    /// A command that uses what was written.
    fn next(&self) -> String {
        let file = |file: Option<&Option<String>>| file.and_then(|file| file.as_deref().map(quoted));
        let vision = file(self.vision.as_ref().map(|vision| &vision.file));
        let text = file(self.text.as_ref().map(|text| &text.file));
        let labelled = self.vision.as_ref().is_some_and(|vision| vision.labels > 0);
        match (vision, text) {
            (Some(vision), _) if labelled => format!("edgelip classify photo.jpg --model {vision}"),
            (Some(vision), Some(text)) => {
                format!("edgelip classify photo.jpg --model {vision} --labels cat,dog --text {text}")
            }
            (Some(vision), None) => format!("edgelip embed photo.jpg --model {vision} -o photo.npy"),
            (None, Some(text)) => format!("edgelip tokenize --text {text} \"a photo of a cat.\""),
            (None, None) => String::new(),
        }
    }
}

impl VisionSummary {
    /// The tower under a plan; the size of the file is not known yet.
    pub fn new(
        args: &Args,
        source: &Layout,
        plan: &Plan,
        options: &VisionOptions,
        [labels, prompts]: [usize; 2],
    ) -> Result<VisionSummary> {
        let model = source.model();
        let vision = model.vision()?;
        let unmerged = Plan::new(plan.shape(), Merge::None, &[]).map_err(edgelip_export::Error::from)?;
        let threads = args.threads();
        let scratch = plan.scratch_len(threads).map_err(edgelip_export::Error::from)?;
        let block = |block: edgelip_runtime::plan::Block| Block {
            tokens: block.tokens,
            merged: block.merged,
            macs: block.macs,
            merge_macs: block.merge_macs,
        };
        Ok(VisionSummary {
            file: args.output.as_deref().map(shown),
            image: vision.image_size,
            patch: vision.patch,
            stem: vision.stem.iter().map(|layer| layer.outputs).collect(),
            frequency_blocks: vision.frequency_blocks,
            width: vision.width,
            heads: vision.heads,
            mlp: vision.mlp,
            embedding: model.embedding,
            readout: vision.readout.name(),
            activation: vision.activation.name(),
            precision: options.precision.name(),
            parameters: source.parameters("vision"),
            bytes: 0,
            scratch_bytes: (scratch * size_of::<f32>()) as u64,
            threads,
            merge: match options.merge {
                Merge::None => "none",
                Merge::Ward => "ward",
                Merge::Tome => "tome",
            },
            guide: plan
                .guided()
                .then_some(Guide { strength: options.guide.strength, semantic: options.guide.semantic }),
            compression: Compression { asked: args.compression, real: plan.saving() },
            macs: plan.macs(),
            macs_unmerged: unmerged.macs(),
            embedding_macs: plan.embedding_macs(),
            frequency_macs: plan.frequency_macs(),
            blocks: plan.blocks().map(block).collect(),
            labels,
            prompts,
        })
    }

    fn print(&self, with_size: bool) -> Result<()> {
        let [height, width] = self.image;
        let (blocks, heads) = (self.blocks.len(), self.heads);
        say(format!(
            "image tower   {height}×{width} pixels, patches of {}{}, {}{blocks} blocks of width {}, {heads} heads, MLP {}, {}; embedding {}{}",
            self.patch,
            if self.stem.is_empty() { String::new() } else { format!(" by {} convolutions", self.stem.len()) },
            if self.frequency_blocks == 0 {
                String::new()
            } else {
                format!("{} frequency and ", self.frequency_blocks)
            },
            self.width,
            self.mlp,
            self.activation,
            self.embedding,
            if self.readout == "joint" { " of both domains" } else { "" }
        ))?;
        say(format!("parameters    {}, stored as {}", millions(self.parameters), self.precision))?;
        if with_size {
            say(format!("file          {}", megabytes(self.bytes)))?;
        }
        say(format!("scratch       {} with {}", megabytes(self.scratch_bytes), counted(self.threads, "thread")))?;
        if self.labels > 0 {
            let made_of = match self.prompts {
                0 => "rows of the classifier".to_owned(),
                prompts => format!("{} each unless they bring their own", counted(prompts, "prompt")),
            };
            say(format!("labels        {}, {made_of}", self.labels))?;
        }
        let asked = self
            .compression
            .asked
            .filter(|&asked| asked > 0.0)
            .map_or(String::new(), |asked| format!(" ({asked} asked for)"));
        let saved = match self.merge {
            "none" => "no merging".to_owned(),
            merge => format!("{merge} saves {:.4}{asked} of {}", self.compression.real, millions(self.macs_unmerged)),
        };
        let saved = match &self.guide {
            Some(guide) => format!("{saved}, guided by {} ({} semantic)", guide.strength, guide.semantic),
            None => saved,
        };
        say(format!("multiply-adds {}: {saved}\n", millions(self.macs)))?;
        let mut table = table(["block", "tokens", "merged", "multiply-adds", "of which merging"]);
        let patches = self.blocks.first().map_or(0, |block| block.tokens.saturating_sub(1));
        for index in 0..self.frequency_blocks {
            let (name, macs) = (format!("frequency {index}"), millions(self.frequency_macs));
            table.add_row([name, patches.to_string(), 0.to_string(), macs, String::new()]);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            table.add_row([
                index.to_string(),
                block.tokens.to_string(),
                block.merged.to_string(),
                millions(block.macs),
                if block.merged == 0 { String::new() } else { millions(block.merge_macs) },
            ]);
        }
        Ok(say(table)?)
    }
}

impl TextSummary {
    /// The tower; its file has `bytes`.
    pub fn new(args: &Args, source: &Layout, bytes: u64) -> Result<TextSummary> {
        let text = source.model().text()?;
        Ok(TextSummary {
            file: args.text.as_deref().map(shown),
            width: text.width,
            heads: text.heads,
            blocks: text.blocks,
            mlp: text.mlp,
            context: text.context,
            vocabulary: text.vocabulary,
            activation: text.activation.name(),
            precision: args.precision().name(),
            parameters: source.parameters("text"),
            bytes,
        })
    }

    fn print(&self) -> Result<()> {
        say(format!(
            "\ntext tower    {} tokens of {}, {} blocks of width {}, {} heads, MLP {}, {}",
            self.context, self.vocabulary, self.blocks, self.width, self.heads, self.mlp, self.activation
        ))?;
        let (parameters, bytes) = (millions(self.parameters), megabytes(self.bytes));
        Ok(say(format!("parameters    {parameters}, stored as {}\nfile          {bytes}", self.precision))?)
    }
}

fn print_calibration(candidates: &[Candidate]) -> Result<()> {
    let mut table = table(["slope", "saves", "centred cosine", "merged in each block"]);
    for candidate in candidates {
        let merged: Vec<String> = candidate.merged.iter().map(usize::to_string).collect();
        table.add_row([
            format!("{}", candidate.slope),
            format!("{:.4}", candidate.saving),
            format!("{:.5}", candidate.cosine),
            merged.join(" "),
        ]);
    }
    Ok(say(format!("\ncalibration, the first was taken\n{table}"))?)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:=@~".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn millions(count: u64) -> String {
    match count {
        0..=999_999 => format!("{:.1} k", count as f64 / 1e3),
        1_000_000..=999_999_999 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}

fn megabytes(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}
