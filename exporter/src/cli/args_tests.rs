//! Wishes that go together, and those that do not.

use super::*;

#[test]
fn what_is_not_asked_for_is_the_checkpoints() {
    let own =
        Merging { rule: graph::Merge::Tome, guide: Guide { strength: 0.3, semantic: 0.25 }, ..Merging::default() };
    let merging = |line: &str| check(line).expect(line).merging(&own).map_err(|error| error.to_string());
    assert_eq!(merging("-o m.onnx --compression 0.5"), Ok((graph::Merge::Tome, own.guide)));
    let asked = merging("-o m.onnx --compression 0.5 --merge ward --guide 0.7");
    assert_eq!(asked, Ok((graph::Merge::Ward, Guide { strength: 0.7, semantic: 0.25 })));
    let error = merging("-o m.onnx --compression 0.5 --guide 0 --guide-semantic 0.5").expect_err("of no effect");
    assert!(error.contains("--guide-semantic needs --guide"), "{error}");
}

fn check(line: &str) -> Result<Args, String> {
    let words = ["edgelip-export", "clip"].into_iter().chain(line.split_whitespace());
    Args::try_parse_from(words).map_err(|error| error.to_string())?.check().map_err(|error| error.to_string())
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory;
    Args::command().debug_assert();
}

#[test]
fn wishes_that_go_together() {
    for line in [
        "-o m.onnx",
        "--dry-run",
        "--text t.onnx",
        "--dry-run --compression 0.5 --merge tome --schedule geo --text t.onnx",
        "-o m.onnx --schedule list:1,0 --merge ward",
        "-o m.onnx --schedule list:1,0 --compression 0.1",
        "-o m.onnx --compression 0.5 --guide 0.3 --guide-semantic 1",
        "-o m.onnx --schedule list:1,0 --guide 0",
        "-o m.onnx --labels l.txt --template {} --template my.{}",
        "-o m.onnx --labels l.txt --text-model t.onnx",
        "-o m.onnx --text t.onnx --preprocess clip,bilinear --activation quick_gelu --tokenizer bpe.txt.gz",
        "-o m.onnx --compression 0.3 --schedule calibrate:photos --precision int8",
        "-o m.onnx --text t.onnx --precision i8 --threads 2 --image-size 160 --licence MIT",
    ] {
        check(line).expect(line);
    }
}

#[test]
fn wishes_that_do_not() {
    for (line, reason) in [
        ("", "nothing to write"),
        ("-o m.onnx --text m.onnx", "the same file"),
        ("-o m.onnx --text ./m.onnx", "the same file"),
        ("--text t.onnx --compression 0.5", "--compression is about the image tower"),
        ("--text t.onnx --labels l.txt", "--labels is about the image tower"),
        ("-o m.onnx --template {}", "--template needs --labels"),
        ("-o m.onnx --templates photo", "--templates needs --labels"),
        ("-o m.onnx --text-model t.onnx", "--labels"),
        ("-o m.onnx --labels l --text t.onnx --text-model u.onnx", "cannot be used with"),
        ("-o m.onnx --labels l --template {} --templates photo", "either --template or --templates"),
        ("-o m.onnx --schedule geo", "--schedule needs --compression"),
        ("-o m.onnx --compression 0 --schedule geo", "--schedule needs --compression"),
        ("-o m.onnx --merge ward", "--merge needs --compression"),
        ("-o m.onnx --guide 0.3", "--guide needs --compression"),
        ("-o m.onnx --compression 0.5 --guide -1", "--guide must be 0 or more"),
        ("-o m.onnx --compression 0.5 --guide nan", "--guide must be 0 or more"),
        ("-o m.onnx --compression 0.5 --guide 1 --guide-semantic 1.5", "--guide-semantic must be"),
        ("--text t.onnx --preprocess clip", "--preprocess is about the image tower"),
        ("-o m.onnx --preprocess clip,sharp", "`sharp` is none of"),
        ("--text t.onnx --guide 0.3", "--guide is about the image tower"),
        ("-o m.onnx --compression 0.5 --schedule fast", "no schedule is called `fast`"),
        ("-o m.onnx --compression 0.5 --schedule calibrate:", "needs a folder"),
        ("-o m.onnx --threads 0", "--threads must be"),
    ] {
        let error = check(line).expect_err(line);
        assert!(error.contains(reason), "{line}: {error}");
    }
}
