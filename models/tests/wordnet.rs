//! Captions to synsets over a small WordNet in the real one's format.

use std::fs;
use std::path::Path;

use edgelip_models::data::{Dataset, Item, Photo};
use edgelip_models::wordnet::{Vocabulary, WordNet};

/// Lines in the format of wndb(5WN): a licence, then lemmas with their senses, then synsets with their words.
const INDEX: &str = "  1 This software and database is being provided to you
dog n 7 2 @ ~ 7 1 02084071 10114209
man n 2 1 @ 2 1 10287213 04387932
photo n 1 1 @ 1 1 03925226
photograph n 1 1 @ 1 1 03925226
box n 1 0 1 0 02883344
bus n 1 0 1 0 02924116
bu n 1 0 1 0 00000007
";
const DATA: &str = "  1 This software and database is being provided to you
02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 02083346 n 0000 | a member of the genus Canis
10287213 18 n 02 man 0 adult_male 0 000 | an adult person who is male
03925226 06 n 03 photograph 0 photo 0 pic 0 000 | a representation
02883344 06 n 01 box 0 000 | a container
02924116 06 n 01 bus 0 000 | a vehicle
00000007 03 n 01 bu 0 000 | made up
";

fn net(folder: &Path) -> WordNet {
    fs::write(folder.join("index.noun"), INDEX).unwrap();
    fs::write(folder.join("data.noun"), DATA).unwrap();
    fs::write(folder.join("noun.exc"), "buses bus\n").unwrap();
    WordNet::read(folder).unwrap()
}

fn item(captions: &[&str], class: Option<&str>) -> Item {
    let photo = Photo { width: 1, height: 1, pixels: vec![0; 3] };
    Item { photo, captions: captions.iter().map(|&c| c.into()).collect(), class: class.map(str::to_owned) }
}

#[test]
fn plurals_exceptions_and_heads() {
    let folder = tempfile::tempdir().unwrap();
    let net = net(folder.path());
    assert_eq!(net.synsets("Two dogs, a dog and three men with boxes"), [2084071, 10287213, 2883344]);
    assert_eq!(net.lemma("buses"), "bus");
    // Of the lemmas `bus` and `bu` the shortest is taken.
    assert_eq!(net.lemma("bus"), "bu");
    assert_eq!(net.lemma("xylophones"), "xylophones");
    // The first sense of `photo` is the synset `photograph`: not named after it.
    assert!(net.synsets("a photo").is_empty());
    assert_eq!(net.synsets("a photograph"), [3925226]);
}

#[test]
fn a_vocabulary_is_counted_pruned_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let net = net(folder.path());
    let items = vec![
        item(&["a dog", "dogs and a man"], None),
        item(&["boxes"], Some("n02084071")),
        item(&["a man"], Some("c1")),
    ];
    let dataset = Dataset { items, ..Dataset::default() };
    let vocabulary = Vocabulary::build(&dataset, &net, 1, 10);
    let rows: Vec<_> = vocabulary.labels.iter().map(|label| (label.offset, label.count, label.name.as_str())).collect();
    assert_eq!(rows, [(2084071, 2, "dog"), (10287213, 2, "man"), (2883344, 1, "box")]);
    assert_eq!(Vocabulary::build(&dataset, &net, 2, 10).labels.len(), 2);
    assert_eq!(Vocabulary::build(&dataset, &net, 1, 1).labels.len(), 1);
    assert_eq!(vocabulary.targets(&dataset, &net), [vec![0, 1], vec![0, 2], vec![1]]);
    assert_eq!(vocabulary.row("n02084071"), Some(0));

    let path = folder.path().join("vocabulary.tsv");
    vocabulary.write(&path).unwrap();
    assert_eq!(Vocabulary::read(&path).unwrap(), vocabulary);
    fs::write(&path, "n1\tdog\n").unwrap();
    assert!(Vocabulary::read(&path).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn a_damaged_file_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    net(folder.path());
    fs::write(folder.path().join("index.noun"), "dog n 7 two\n").unwrap();
    assert!(WordNet::read(folder.path()).unwrap_err().to_string().contains("line 1"));
}
