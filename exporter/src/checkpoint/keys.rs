//! Pickles without tensors: names, and what was counted by them.

use std::fs;
use std::path::Path;

use super::pickle::{Node, Pickle};
use crate::error::Error;

/// The largest such file; that of all of WordNet's nouns has two megabytes.
const MAX_BYTES: u64 = 16 << 20;

/// The keys of a pickled dict, or the items of a pickled list: texts, in their order. Nothing is run.
///
/// # Errors
/// [`Error::Malformed`] for anything else, and for what is damaged or hostile; [`Error::Io`].
pub fn pickled_keys(path: &Path) -> Result<Vec<String>, Error> {
    let bad = |reason: String| Error::malformed(path, reason);
    if fs::metadata(path).map_err(Error::io(path))?.len() > MAX_BYTES {
        return Err(bad(format!("has more than {MAX_BYTES} bytes: too many for names")));
    }
    let pickle = Pickle::read(fs::read(path).map_err(Error::io(path))?).map_err(bad)?;
    let values: Vec<_> = match pickle.node(pickle.root()) {
        Some((_, Node::Dict(entries))) => entries.iter().map(|entry| entry.0).collect(),
        Some((_, Node::List(items) | Node::Tuple(items))) => items.clone(),
        _ => return Err(bad("is no pickled dict of names and counts".into())),
    };
    let text = |value| pickle.text(value).map(str::to_owned).ok_or_else(|| bad("has keys that are no names".into()));
    values.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vocab.pkl");
        fs::write(&path, bytes).expect("written");
        pickled_keys(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dict_gives_its_keys_and_nothing_is_run() {
        // pickle.dumps({"n5928118": 52418327, "n2": 4}, protocol=4)
        let dict = b"\x80\x04\x95\x1d\0\0\0\0\0\0\0}\x94(\x8c\x08n5928118\x94J\x17\xd7\x1f\x03\x8c\x02n2\x94K\x04u.";
        assert_eq!(keys(dict).expect("keys"), ["n5928118", "n2"]);
        assert_eq!(keys(b"\x80\x02]q\0X\x02\0\0\0n7q\x01a.").expect("items"), ["n7"]);
        // pickle.dumps(collections.Counter({"n7": 2}), protocol=4)
        let counter = b"\x80\x04\x95)\0\0\0\0\0\0\0\x8c\x0bcollections\x94\x8c\x07Counter\x94\x93\x94}\x94\x8c\x02n7\x94K\x02s\x85\x94R\x94.";
        assert_eq!(keys(counter).expect("keys"), ["n7"]);
        let hostile = keys(b"\x80\x02cos\nsystem\nq\0X\x02\0\0\0lsq\x01\x85q\x02Rq\x03.").expect_err("hostile");
        assert!(hostile.contains("os.system"), "{hostile}");
        for damaged in [&dict[..20], b"", b"\x80\x04K\x01.", b"\x80\x04}\x94K\x01K\x02s."] {
            assert!(keys(damaged).is_err());
        }
    }
}
