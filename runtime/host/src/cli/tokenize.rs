//! `edgelip tokenize`: texts to token ids.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use edgelip::label_set::read_text;
use edgelip::tokenizer::Tokenizer;
use edgelip_runtime::onnx;
use serde::Serialize;

use super::options::with_file;
use super::{Outcome, print_json_lines};

/// Show the token ids of texts
#[derive(clap::Args)]
#[command(after_help = "\
Start and end token are included; a text longer than the context is cut and keeps its end token.

Examples:
  edgelip tokenize --text text.onnx \"a photo of a cat\"
  edgelip tokenize --text text.onnx --file captions.txt --json")]
pub struct Args {
    /// Texts
    #[arg(value_name = "TEXT", required_unless_present = "file")]
    texts: Vec<String>,

    /// A file of texts: one a line (an empty line is an empty text), or a JSON list
    #[arg(short, long, value_name = "FILE", conflicts_with = "texts")]
    file: Option<PathBuf>,

    /// The text tower
    #[arg(long, value_name = "FILE")]
    text: PathBuf,

    /// Print JSON: an array of {text, ids}
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Tokens<'a> {
    text: &'a str,
    ids: Vec<u32>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Outcome> {
    let lines = match &args.file {
        Some(file) => read_texts(file)?,
        None => args.texts.clone(),
    };
    let tokenizer = with_file(&args.text, |mapping| Ok(Tokenizer::from_text_model(&onnx::File::parse(mapping)?)?))?;
    let encode = |text| Ok(Tokens { text, ids: tokenizer.encode(text)? });
    let tokens = lines.iter().map(String::as_str).map(encode).collect::<Result<Vec<_>>>()?;
    if args.json {
        print_json_lines(out, &tokens)?;
    } else {
        for Tokens { ids, .. } in tokens {
            let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
            writeln!(out, "{}", ids.join(" "))?;
        }
    }
    Ok(Outcome::Done)
}

/// The texts in a file: a JSON list if its name says so, else its lines; only `\n` and `\r\n` end one.
pub fn read_texts(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path)?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return serde_json::from_str(&text).with_context(|| format!("{}: no list of texts", path.display()));
    }
    Ok(text.lines().map(str::to_string).collect())
}
