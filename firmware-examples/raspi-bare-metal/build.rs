//! Links in what the environment names: `MODELS` and `PHOTOS` (paths between commas), and an arena of `ARENA_KIB`. A model may also be an
//! address, as `0x10000000`, where something else loads it.

#[path = "src/checksum.rs"]
mod checksum;

use std::env::{self, var};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=link.x");
    println!("cargo:rerun-if-changed=src/boot.s");
    println!(
        "cargo:rustc-link-search={}",
        env::current_dir().expect("cargo starts it in the crate's folder").display()
    );

    let arena: usize = setting("ARENA_KIB", "8192").parse().expect("ARENA_KIB is a number of KiB");
    let mut linked = format!("/// Bytes of the arena.\npub const ARENA: usize = {} << 10;\n", arena);
    let models = files("MODELS", "models/mlip-tiny.onnx,models/mlip-tiny-0.5.onnx");
    writeln!(linked, "/// The models, as they were linked in.\npub static MODELS: [Model; {}] = [", models.len())
        .unwrap();
    for path in &models {
        if let Some(address) = address(path) {
            writeln!(linked, "    loaded!({path:?}, {address:#x}),").unwrap();
            continue;
        }
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}; ./export.sh makes it", path.display()));
        let sum = checksum::checksum(&bytes);
        writeln!(linked, "    model!({:?}, {path:?}, {}, {sum:#018x}),", stem(path), bytes.len()).unwrap();
    }
    let photos = files("PHOTOS", "cat.png,coffee.jpg,rocket.webp");
    writeln!(linked, "];\n/// The photos.\npub static PHOTOS: [Photo; {}] = [", photos.len()).unwrap();
    for path in &photos {
        let photo = image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgb8();
        let raw = out.join(path.with_extension("rgb").file_name().expect("a file"));
        fs::write(&raw, photo.as_raw()).unwrap_or_else(|error| panic!("{}: {error}", raw.display()));
        let (width, height) = photo.dimensions();
        let (name, length) = (stem(path), photo.len());
        writeln!(linked, "    photo!({name:?}, {raw:?}, {length}, {height}, {width}),").unwrap();
    }
    linked.push_str("];\n");
    fs::write(out.join("linked.rs"), linked).expect("OUT_DIR can be written to");
}

/// The address that stands in place of a model's path.
fn address(path: &Path) -> Option<usize> {
    let digits = path.to_str()?.strip_prefix("0x")?;
    let address = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{} is no address", path.display()));
    assert!(address.is_multiple_of(64), "{} is no multiple of 64", path.display());
    Some(address)
}

/// The files that a variable names, or else these; photos that are only named lie among the fixtures.
fn files(variable: &str, default: &str) -> Vec<PathBuf> {
    let here = env::current_dir().expect("cargo starts it in the crate's folder");
    let list = setting(variable, default);
    let paths = list.split(',').filter(|path| !path.is_empty()).map(|path| match here.join(path) {
        local if local.exists() || path.contains('/') => local,
        _ if path.starts_with("0x") => path.into(),
        _ => here.join("../../fixtures/photos").join(path),
    });
    let watched = |path: &PathBuf| {
        if address(path).is_none() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    };
    paths.inspect(watched).collect()
}

fn setting(variable: &str, default: &str) -> String {
    println!("cargo:rerun-if-env-changed={variable}");
    var(variable).unwrap_or(default.into())
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("files have names in UTF-8")
}
