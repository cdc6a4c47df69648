//! The export: read, plan, write beside the final place, verify, and only then put into place.

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use edgelip::label_bank::LabelBank;
use edgelip::onnx::OnnxModel;
use edgelip::output::Output;
use edgelip_export::calibrate::{Calibration, Candidate};
use edgelip_export::graph::{self, Guide, Precision, TextOptions, VisionOptions};
use edgelip_export::layout::Layout;
use edgelip_export::schedule::{self, Shape};
use edgelip_export::source::Source;
use edgelip_export::verify;
use edgelip_runtime::plan::{Merge, Plan};
use tempfile::NamedTempFile;

use super::args::{Args, Schedule};
use super::bank::{self, Wanted};
use super::classes::Classes;
use super::progress::{self, Counted};
use super::summary::{Summary, TextSummary, VisionSummary};
use super::warn;

/// How far a schedule may be from what was asked for without a word.
const NOTABLE: f64 = 0.015;

/// Whether what was written, if anything, is as near to the checkpoint as it should be.
pub fn run(mut args: Args) -> Result<bool> {
    for path in [&args.output, &args.text].into_iter().flatten().filter(|_| !args.dry_run) {
        Output::check(path, args.force)?;
    }
    let mut source = Layout::open(&args.checkpoint, &args.layout())?;
    let classes = Classes::read(&args, &source)?;
    let wanted = if source.classes().is_some() { None } else { Wanted::read(&args)? };
    if let Some(score) = args.score().or(classes.as_ref().and_then(Classes::score)) {
        source.set_score(score)?;
    }
    let only_text = source.model().vision.is_none() && source.model().text.is_some();
    if only_text {
        args.take_text_only()?;
    }
    for path in [&args.output, &args.text].into_iter().flatten() {
        if source.checkpoint().files().any(|weights| is_same(weights, path)) {
            bail!("{}: is the checkpoint itself; name another file to write", path.display());
        }
    }
    if let Some(side) = args.image_size {
        source.set_image_size(side)?;
    }
    let wants_text = args.text.is_some() || only_text;
    if let Some(context) = args.context {
        ensure!(wants_text, "--context is about the text tower: give --text FILE too");
        source.set_context(context)?;
    }
    source.provenance_mut().licence = args.licence.clone();
    let makes_labels = wanted.is_some() && args.text_model.is_none();
    ensure!(
        !makes_labels || source.model().text.is_some(),
        "{}: has no text tower to make labels with: give --text-model FILE.onnx, any text tower that embeds to {} values; or leave --labels \
         out and let `edgelip labels --text FILE.onnx` attach them later",
        args.checkpoint.display(),
        source.model().embedding
    );
    let tokenizer = if wants_text || makes_labels { Some(source.tokenizer()?) } else { None };
    if !args.dry_run {
        let hashing = progress::line("reading the checkpoint");
        source.provenance_mut().sha256 = Some(source.checkpoint().sha256()?);
        hashing.finish_and_clear();
    }
    let export = Export { args: &args, source: &source, wanted, classes, tokenizer };
    export.run()
}

/// Everything that was read.
struct Export<'a> {
    args: &'a Args,
    source: &'a Layout,
    wanted: Option<Wanted>,
    classes: Option<Classes>,
    tokenizer: Option<String>,
}

impl Export<'_> {
    fn run(&self) -> Result<bool> {
        let args = self.args;
        let only_text = self.source.model().vision.is_none() && self.source.model().text.is_some();
        let sought = args.output.is_some() || args.dry_run && !only_text;
        let vision = if sought { Some(self.plan()?) } else { None };
        let mut summary = Summary::new(args, self.source);
        if let Some((plan, options, calibration)) = &vision {
            summary.vision = Some(VisionSummary::new(args, self.source, plan, options, self.labels())?);
            summary.calibration.clone_from(calibration);
        }
        if args.text.is_some() || only_text {
            summary.text = Some(TextSummary::new(args, self.source, self.text_model(args.precision())?.byte_len()?)?);
        }
        if args.dry_run {
            if let (Some(vision), Some((_, options, _))) = (&mut summary.vision, &vision) {
                let mut model = graph::vision(self.source, options)?;
                if let Some(wanted) = &self.wanted {
                    wanted.attach_blank(&mut model, self.source.model())?;
                }
                if let Some(classes) = &self.classes {
                    classes.attach(&mut model, self.source.model().embedding)?;
                }
                vision.bytes = model.byte_len()?;
            }
            summary.print(args.json)?;
            return Ok(true);
        }

        let (text, bank) = self.text(&mut summary)?;
        let vision = match (&args.output, &vision) {
            (Some(path), Some((_, options, _))) if summary.passed() => {
                Some(self.vision(path, options, bank.as_ref(), &mut summary)?)
            }
            _ => None,
        };
        if summary.passed() {
            for output in [text, vision].into_iter().flatten() {
                output.commit()?;
            }
            summary.written = true;
        }
        summary.print(args.json)?;
        if !summary.written {
            warn_failed()?;
        }
        Ok(summary.written)
    }

    /// How many labels there will be, and the prompts of each that brings none of its own.
    fn labels(&self) -> [usize; 2] {
        match (&self.classes, &self.wanted) {
            (Some(classes), _) => [classes.len(), 0],
            (None, Some(wanted)) => [wanted.labels.labels().len(), wanted.templates.len()],
            (None, None) => [0; 2],
        }
    }

    /// The schedule, and how it came about.
    fn plan(&self) -> Result<(Plan, VisionOptions, Option<Vec<Candidate>>)> {
        let args = self.args;
        let own = &self.source.model().vision()?.merging;
        let (rule, guide) = args.merging(own)?;
        let shape = schedule::tower(self.source.model(), guide)?;
        let asked = args.compression.unwrap_or(0.0);
        let (schedule, calibration) = match args.schedule()?.unwrap_or(Schedule::Shape(own.spread.clone())) {
            Schedule::Shape(spread) => (schedule::plan(&shape, rule, &spread, asked)?, None),
            Schedule::Calibrate(folder) => {
                let candidates = self.calibrate(&folder, asked, rule, guide)?;
                (candidates[0].schedule(), Some(candidates))
            }
        };
        if let Shape::List(counts) = &schedule.shape
            && counts.last().is_some_and(|&last| last > 0)
        {
            warn("the last block computes only its class row and never merges: its entry in the list counts as 0");
        }
        if args.compression.is_some() && (schedule.saving - asked).abs() > NOTABLE {
            warn(format!("the schedule saves {:.3}, not the {asked} asked for", schedule.saving));
        }
        let merge = if schedule.merged.iter().all(|&merged| merged == 0) { Merge::None } else { rule };
        let plan = Plan::new(&shape, merge, &schedule.merged).map_err(edgelip_export::Error::from)?;
        let compression = args.compression.unwrap_or((schedule.saving * 1000.0).round() / 1000.0);
        let options =
            VisionOptions { merge, schedule: schedule.merged, compression, guide, precision: args.precision() };
        Ok((plan, options, calibration))
    }

    fn calibrate(&self, photos: &Path, compression: f64, merge: Merge, guide: Guide) -> Result<Vec<Candidate>> {
        let bar = progress::steps("calibrating", 0);
        let scratch = self.args.output.as_deref().map_or_else(std::env::temp_dir, |path| folder(path).to_owned());
        let candidates = Calibration {
            source: self.source,
            photos,
            merge,
            guide,
            precision: self.args.precision(),
            compression,
            threads: self.args.threads(),
            scratch: &scratch,
            progress: &|done, total| {
                bar.set_length(total);
                bar.set_position(done);
            },
        }
        .run()?;
        bar.finish_and_clear();
        Ok(candidates)
    }

    fn text_model(&self, precision: Precision) -> Result<OnnxModel<'_>> {
        let tokenizer = self.tokenizer.clone().unwrap_or_default();
        Ok(graph::text(self.source, &TextOptions { precision, tokenizer })?)
    }

    /// Writes and verifies the text tower if it is asked for, and embeds the labels with it. A tower that only makes the label bank is not kept, so
    /// it is as exact as can be.
    fn text(&self, summary: &mut Summary) -> Result<(Option<Output>, Option<LabelBank>)> {
        let args = self.args;
        let embedding = self.source.model().embedding;
        let embed =
            |path: &Path| self.wanted.as_ref().map(|wanted| wanted.embed(path, embedding, args.threads())).transpose();
        if let Some(path) = &args.text {
            let mut output = Output::create(path, args.force)?;
            write(&self.text_model(args.precision())?, &mut output, "text tower")?;
            let draft = output.draft()?;
            self.verify("text tower", summary, |options| verify::text(self.source, draft, options))?;
            let bank = if summary.passed() { embed(draft)? } else { None };
            return Ok((Some(output), bank));
        }
        if let Some(path) = &args.text_model {
            return Ok((None, embed(path)?));
        }
        let Some(output) = args.output.as_ref().filter(|_| self.wanted.is_some()) else { return Ok((None, None)) };
        let mut file =
            NamedTempFile::with_prefix_in(".edgelip-", folder(output)).map_err(edgelip_export::Error::io(output))?;
        write(&self.text_model(Precision::F32)?, &mut file, "text tower, for the labels")?;
        self.verify("text tower, for the labels", summary, |options| verify::text(self.source, file.path(), options))?;
        Ok((None, if summary.passed() { embed(file.path())? } else { None }))
    }

    fn vision(
        &self,
        path: &Path,
        options: &VisionOptions,
        bank: Option<&LabelBank>,
        summary: &mut Summary,
    ) -> Result<Output> {
        let mut output = Output::create(path, self.args.force)?;
        let mut model = graph::vision(self.source, options)?;
        if let Some(bank) = bank {
            bank::attach(bank, &mut model, self.source.model())?;
        }
        if let Some(classes) = &self.classes {
            classes.attach(&mut model, self.source.model().embedding)?;
        }
        if let Some(vision) = &mut summary.vision {
            vision.bytes = model.byte_len()?;
        }
        write(&model, &mut output, "image tower")?;
        drop(model);
        let draft = output.draft()?;
        self.verify("image tower", summary, |options| verify::vision(self.source, draft, options))?;
        Ok(output)
    }

    fn verify(
        &self,
        what: &str,
        summary: &mut Summary,
        run: impl FnOnce(&verify::Options) -> Result<verify::Report, edgelip_export::Error>,
    ) -> Result<()> {
        if self.args.no_verify {
            return Ok(());
        }
        let line = progress::line(&format!("verifying the {what}"));
        let progress = |piece: &str| line.set_message(format!("verifying the {what}: {piece}"));
        let options =
            verify::Options { threads: self.args.threads(), progress: &progress, ..verify::Options::default() };
        summary.verification.push(run(&options)?);
        line.finish_and_clear();
        Ok(())
    }
}

fn write(model: &OnnxModel<'_>, writer: &mut impl Write, what: &str) -> Result<()> {
    let bar = progress::bytes(what, model.byte_len()?);
    model.write(&mut Counted { writer: &mut *writer, bar: &bar })?;
    writer.flush()?;
    bar.finish_and_clear();
    Ok(())
}

/// Whether two paths lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The folder of a file to be.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn warn_failed() -> Result<()> {
    use std::io::stderr;
    writeln!(
        stderr(),
        "error: the file is not near enough to the checkpoint; nothing was written (--no-verify would write it all the same)"
    )?;
    Ok(())
}
