//! The list of everyday things that comes with the models.

use std::path::Path;

use edgelip::label_set::LabelSet;

#[test]
fn the_everyday_list_is_about_a_thousand_plain_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/labels/everyday.txt");
    // Reading it refuses a name that is there twice.
    let labels = LabelSet::read(&path).expect("a list of labels");
    let names: Vec<&str> = labels.labels().iter().map(|label| label.name.as_str()).collect();
    assert!((900..=1100).contains(&names.len()), "{}", names.len());
    assert!(names.is_sorted(), "in the order of the alphabet");
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || " -'".contains(c)) && name.trim() == name;
    assert_eq!(names.iter().find(|name| !plain(name)), None);
    assert_eq!(std::fs::read_to_string(&path).expect("read").lines().count(), names.len());
}
