//! The committed header is the one that the sources give.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_header_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut made = Vec::new();
    cbindgen::generate(folder).expect("sources that cbindgen understands").write(&mut made);
    let path = folder.join("include/edgelip.h");
    if env::var_os("EDGELIP_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let made = String::from_utf8(made).unwrap();
    assert!(committed == made, "include/edgelip.h is out of date: EDGELIP_BLESS=1 cargo test --release -p edgelip-ffi");
}
