//! Exit statuses, and what a broken question gets for an answer.

use std::path::Path;
use std::process::{Command, Output};
use std::{fs, str};

const TABLE: &str = r#"{"image":64,"rule":null,"guide":0,"rate":0,"macs":1000,"saved":0,"top1":0.6,"versus_full":null}
{"image":64,"rule":"ward","guide":0.3,"rate":0.5,"macs":500,"saved":0.5,"top1":0.59,"versus_full":null}
"#;

fn edgelip_train(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edgelip-train")).args(arguments).output().unwrap()
}

fn plan(table: &Path, rest: &[&str]) -> Output {
    edgelip_train(&[&["plan", "--table", table.to_str().unwrap()], rest].concat())
}

#[test]
fn a_plan_that_fits_is_told_from_one_that_does_not_and_from_a_wrong_question() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.jsonl");
    fs::write(&table, TABLE).unwrap();

    let fits = plan(&table, &["--saving", "0.5", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&fits.stdout).unwrap();
    assert_eq!((fits.status.code(), &answer["chosen"]["rate"]), (Some(0), &0.5.into()));

    let refused = [
        (plan(&table, &["--budget-macs", "499"]), 1, "the cheapest variant has 500"),
        (plan(&table, &["--saving", "1.5"]), 2, "error: --saving 1.5 is not"),
        (plan(&folder.path().join("none"), &[]), 2, "none: No such file"),
        (edgelip_train(&["--threads", "0", "plan", "--table", "x"]), 2, "--threads"),
    ];
    for (output, status, reason) in refused {
        let complaint = str::from_utf8(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{complaint}");
        assert!(complaint.contains(reason) && output.stdout.is_empty(), "{complaint}");
    }
}
