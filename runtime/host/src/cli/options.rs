//! Arguments that several commands share, and what they stand for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use edgelip::engine::{Engine, Provider};
use edgelip::label_set::{self, DEFAULT_TEMPLATE, LabelSet};
use edgelip::preset::Preset;
use edgelip::threads::{MAX_THREADS, default_threads};
use edgelip::{LabelBank, Mapping, Options, TextTower, templates};

use super::progress::Progress;

/// What runs a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// edgelip's runtime: executes the file in place
    #[default]
    Native,
    /// tract: runs the file's graph (builds with --features tract)
    Tract,
    /// onnxruntime: runs the file's graph, on a GPU too (builds with --features ort)
    Ort,
}

/// What onnxruntime is and runs on.
#[derive(Debug, Clone, Default, Args)]
pub struct OrtArgs {
    /// What --engine ort runs on, if its library has it: cpu, cuda, tensorrt, xnnpack, acl, openvino, migraphx, qnn, nnapi, coreml,
    /// directml [default: cpu]
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<Provider>,

    /// The library that --engine ort loads, or the folder that it is in [default: $ORT_DYLIB_PATH, or the system's libonnxruntime]
    #[arg(long, value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,
}

impl OrtArgs {
    /// The engine of this name.
    pub fn engine(&self, name: EngineName) -> Engine {
        match name {
            EngineName::Native => Engine::Native,
            EngineName::Tract => Engine::Tract,
            EngineName::Ort => Engine::Ort(self.provider.unwrap_or_default()),
        }
    }

    /// Loads the library, if one of the engines is onnxruntime; refuses arguments that none of them is for.
    pub fn prepare(&self, engines: &[EngineName]) -> Result<()> {
        if engines.contains(&EngineName::Ort) {
            #[cfg(feature = "ort")]
            return Ok(edgelip::engine::ort::load(self.onnxruntime.as_deref())?);
            #[cfg(not(feature = "ort"))]
            bail!(edgelip::Error::NoOrt);
        }
        if self.provider.is_some() || self.onnxruntime.is_some() {
            bail!("--provider and --onnxruntime are for --engine ort");
        }
        Ok(())
    }
}

/// Engine and threads.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// What runs the model
    #[arg(long = "engine", value_enum, default_value_t, value_name = "ENGINE")]
    pub name: EngineName,

    #[command(flatten)]
    pub ort: OrtArgs,

    /// Threads of the engine [default: the physical cores that may be used]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64))]
    pub threads: Option<u16>,
}

impl EngineArgs {
    /// The engine, with the library that it needs.
    pub fn engine(&self) -> Result<Engine> {
        self.ort.prepare(&[self.name])?;
        Ok(self.ort.engine(self.name))
    }

    /// The number of threads.
    pub fn threads(&self) -> Result<usize> {
        match (self.name, self.threads) {
            (EngineName::Tract, Some(2..)) => bail!("tract runs on one thread; --threads is for the other engines"),
            (EngineName::Tract, _) => Ok(1),
            (_, Some(threads)) => Ok(threads.into()),
            (_, None) => Ok(default_threads()),
        }
    }
}

/// Preprocessing for files that are not edgelip's.
#[derive(Debug, Clone, Args)]
pub struct ForeignArgs {
    /// Preprocessing of a file that is not edgelip's (with --engine tract or ort): clip, siglip, clipa, mobileclip, corenet, vit,
    /// imagenet
    #[arg(long, value_name = "PRESET", value_parser = parse_preset)]
    pub preprocess: Option<Preset>,

    /// Input size of such a file if it leaves it open: N or HEIGHTxWIDTH [default: 224]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "preprocess")]
    pub image_size: Option<[usize; 2]>,
}

/// The library's options.
pub fn options(engine: &EngineArgs, foreign: &ForeignArgs) -> Result<Options> {
    if engine.name == EngineName::Native && foreign.preprocess.is_some() {
        bail!("--preprocess is for files that are not edgelip's, which need --engine tract or ort");
    }
    Ok(Options {
        engine: engine.engine()?,
        threads: engine.threads()?,
        preset: foreign.preprocess,
        image_size: foreign.image_size,
    })
}

fn parse_preset(name: &str) -> Result<Preset, String> {
    let known = Preset::ALL.iter().find(|preset| preset.0 == name.to_ascii_lowercase());
    known.map(|preset| preset.1).ok_or_else(|| {
        let names: Vec<_> = Preset::ALL.iter().map(|preset| preset.0).collect();
        format!("there are {}", names.join(", "))
    })
}

fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let (height, width) = text.split_once(['x', 'X', ',']).unwrap_or((text, text));
    match (height.trim().parse(), width.trim().parse()) {
        (Ok(height @ 1..=8192), Ok(width @ 1..=8192)) => Ok([height, width]),
        _ => Err("a side is a number from 1 to 8192".into()),
    }
}

/// Prompts around label names.
#[derive(Debug, Clone, Args)]
pub struct TemplateArgs {
    /// A prompt in which {} stands for the label; may be given several times, the embeddings are averaged; `none` is the bare label
    /// [default: "a photo of a {}."]
    #[arg(long = "template", value_name = "PROMPT")]
    pub template: Vec<String>,

    /// Prompts from a file, one a line, or a known set: openai-80 (also imagenet-80), simple-7, photo, none
    #[arg(long, value_name = "FILE|SET", conflicts_with = "template")]
    pub templates: Option<String>,
}

impl TemplateArgs {
    /// The templates to use.
    pub fn read(&self) -> Result<Vec<String>> {
        Ok(match &self.templates {
            Some(name) => templates::resolve(name)?,
            None if self.template.is_empty() => vec![DEFAULT_TEMPLATE.to_string()],
            None => label_set::templates("--template", &self.template)?,
        })
    }
}

/// Maps a file and adds its name to what goes wrong in using it.
pub fn with_file<T>(path: &Path, work: impl FnOnce(&Mapping) -> Result<T>) -> Result<T> {
    let mapping = Mapping::open(path)?;
    at(path, work(&mapping))
}

/// Adds a file's name to what went wrong in using it.
pub fn at<T, E>(path: &Path, result: Result<T, E>) -> Result<T>
where
    Result<T, E>: Context<T, E>,
{
    result.with_context(|| path.display().to_string())
}

/// Makes a label bank with the text tower in a file.
pub fn make_bank(path: &Path, set: &LabelSet, templates: &[String], engine: &EngineArgs) -> Result<LabelBank> {
    let threads = engine.threads()?;
    with_file(path, |mapping| {
        let mut tower = TextTower::open(mapping, path, engine.engine()?, threads)?;
        let progress = Progress::new("labels", set.labels().len());
        Ok(LabelBank::embed(set, templates, &mut tower, &mut |done| progress.at(done))?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("224"), Ok([224, 224]));
        assert_eq!(parse_size("160x320"), Ok([160, 320]));
        for wrong in ["", "0", "x", "-1", "9000", "1x2x3", "a"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn presets() {
        assert_eq!(parse_preset("CLIP"), Ok(Preset::Clip));
        assert!(parse_preset("resnet").unwrap_err().contains("siglip"));
    }
}
