//! The C example, compiled against the header and the libraries, says what the library says.

use std::path::{Path, PathBuf};
use std::process::Command;

use edgelip::label_set::{DEFAULT_TEMPLATE, LabelSet};
use edgelip::{Labeller, Options, decode};

const LABELS: [&str; 4] = ["a cup of coffee", "a cat", "a rocket", "a house"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo puts this crate's libraries beside this test.
fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

fn compile(folder: &Path, program: &str, library: &[&str]) -> Option<PathBuf> {
    let ffi = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join(program);
    let status = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg("-I")
        .arg(ffi.join("include"))
        .arg(ffi.join("examples/label.c"))
        .arg("-o")
        .arg(&program)
        .args(library)
        .args(["-lm", "-lpthread", "-ldl"])
        .status();
    match status {
        Ok(status) => assert!(status.success(), "the example does not compile"),
        // Where there is no C compiler there is nothing to see.
        Err(_) => return None,
    }
    Some(program)
}

fn run(program: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(program).args(arguments).current_dir(root()).env("LD_LIBRARY_PATH", libraries()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn expected(model: &Path, photo: &Path, labels: Option<&Path>) -> String {
    let mut labeller = Labeller::open(model, Options::default()).unwrap();
    if let Some(text) = labels {
        let set = LabelSet::from_names("labels", LABELS).unwrap();
        labeller.choose_from(&set, &[DEFAULT_TEMPLATE.into()], text).unwrap();
    }
    let image = decode::rgb8(photo).unwrap();
    let top = labeller.classify(image.view()).unwrap().top(3);
    top.iter().map(|best| format!("{:6.2} %  {}\n", 100.0 * best.score, best.label)).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_example_labels_a_shipped_photo() {
    let folder = tempfile::tempdir().unwrap();
    let search = format!("-L{}", libraries().display());
    let archive = format!("{}/libedgelip_ffi.a", libraries().display());
    let (model, photo, text) =
        ("models/mlip-tiny/image.onnx", "fixtures/photos/coffee.jpg", "models/mlip-tiny/text.onnx");
    for library in [&[search.as_str(), "-ledgelip_ffi"][..], &[&archive]] {
        let Some(program) = compile(folder.path(), "label", library) else { return };
        let own = run(&program, &[model, photo]);
        assert_eq!(own, (Some(0), expected(&root().join(model), &root().join(photo), None), String::new()));
        let given = run(&program, &[&[model, photo, text][..], &LABELS].concat());
        let wanted = expected(&root().join(model), &root().join(photo), Some(&root().join(text)));
        assert!(wanted.lines().next().unwrap().ends_with("a cup of coffee"), "{wanted}");
        assert_eq!(given, (Some(0), wanted, String::new()));

        let (code, output, complaint) = run(&program, &[model, "none.jpg"]);
        assert_eq!((code, output.as_str()), (Some(2), ""));
        assert!(complaint.starts_with("error: none.jpg: No such file"), "{complaint}");
    }
}
