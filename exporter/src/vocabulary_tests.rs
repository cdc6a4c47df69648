//! Names from every kind of file, and rows by them.

use std::fs;

use super::*;

const INDEX: &str = "car n 1 0 1 1 02958343\nauto n 1 0 1 0 02958343\ncrane n 2 0 2 0 02012849 03126707\n";
const DATA: &str =
    "02958343 06 n 02 car 0 auto 0 000 | a\n02012849 05 n 01 crane 0 000 | b\n03126707 06 n 01 crane 0 000 | c\n";

fn net() -> WordNet {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("index.noun"), INDEX).expect("written");
    fs::write(folder.path().join("data.noun"), DATA).expect("written");
    WordNet::read(folder.path()).expect("WordNet")
}

fn read(text: &str, rows: usize, net: Option<&WordNet>) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("words.txt");
    fs::write(&path, text).expect("written");
    Vocabulary::read(&path, rows, net).map(|read| read.names).map_err(|error| error.to_string())
}

#[test]
fn names_come_from_the_file_or_from_wordnet() {
    let net = net();
    assert_eq!(read("tench\ngoldfish\n", 2, None).expect("names"), ["tench", "goldfish"]);
    let named = read("n2958343\t7\tautomobile\nn00000003 a third\n", 2, None).expect("names");
    assert_eq!(named, ["automobile", "a third"]);
    let first = read("# three\nn02958343\n\nn2012849\nn3126707\n", 2, Some(&net)).expect("names");
    assert_eq!(first, ["car", "crane"]);
    let both = read("n2958343\nn2012849\nn3126707\n", 3, Some(&net)).expect("names");
    assert_eq!(both, ["car", "crane (n02012849)", "crane (n03126707)"]);
    let known = Vocabulary::read(Path::new("imagenet"), 1000, None).expect("a known set");
    assert_eq!(known.names()[1], "goldfish");
}

#[test]
fn what_does_not_name_every_row_is_refused() {
    let net = net();
    let cases = [
        ("tench\ngoldfish\n", 3, None, "2 names for the 3 rows"),
        ("tench\ngoldfish\n", 1, None, "2 names for the 1 rows"),
        ("n2958343\n", 2, Some(&net), "1 names for the 2 rows"),
        ("n2958343\n", 1, None, "row 1 is a synset without a name: give --wordnet"),
        ("n2958343\nn5\n", 2, Some(&net), "row 2 is a synset that the noun files of WordNet 3.0 lack"),
        ("", 1, None, "no labels"),
    ];
    for (text, rows, net, reason) in cases {
        let error = read(text, rows, net).expect_err(reason);
        assert!(error.contains(reason) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn labels_find_rows_by_name_synset_and_sense() {
    let net = net();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("synsets.tsv");
    fs::write(&path, "n2012849\t9\tcrane\nn2958343\t5\tcar\n").expect("written");
    let words = Vocabulary::read(&path, 2, None).expect("names");
    let rows = |labels: &[&str], net| {
        let labels: Vec<String> = labels.iter().map(|&label| label.into()).collect();
        words.rows("labels.txt", &labels, net).map_err(|error| error.to_string())
    };
    assert_eq!(rows(&["car", "n02012849"], None), Ok(vec![1, 0]));
    assert_eq!(rows(&["Auto", "crane"], Some(&net)), Ok(vec![1, 0]));
    let error = rows(&["Car", "auto"], None).expect_err("unknown");
    assert_eq!(error, "labels.txt: the classifier has no row for `Car`, `auto` (there is `car`)");
    let error = rows(&["car", "auto"], Some(&net)).expect_err("twice");
    assert_eq!(error, "labels.txt: `car` and `auto` are one row of the classifier, `car`");
}
