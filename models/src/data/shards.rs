//! WebDataset tar shards: members of one stem are one row, the extension tells what they are.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use tar::Archive;

use super::Record;
use crate::error::Error;

pub(super) fn read(path: &Path, take: &mut dyn FnMut(Record)) -> Result<usize, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut archive = Archive::new(BufReader::new(file));
    let mut skipped = 0;
    let mut current: Option<(String, Record)> = None;
    let mut finish = |row: Option<(String, Record)>| match row {
        Some((_, record)) if !record.image.is_empty() => take(record),
        Some(_) => skipped += 1,
        None => {}
    };
    for entry in archive.entries().map_err(Error::io(path))? {
        // A shard that was cut off: what came before is good.
        let Ok(mut entry) = entry else {
            finish(current.take());
            return Ok(skipped + 1);
        };
        let name = entry.path().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The stem ends at the first dot of the file's name, as WebDataset has it.
        let folder = name.rfind('/').map_or(0, |slash| slash + 1);
        let Some(dot) = name[folder..].find('.').map(|dot| folder + dot) else { continue };
        let (stem, extension) = (&name[..dot], name[dot + 1..].to_lowercase());
        let mut bytes = Vec::new();
        let whole = entry.read_to_end(&mut bytes).is_ok();
        if current.as_ref().is_none_or(|(of, _)| of != stem) {
            finish(current.replace((stem.to_owned(), Record::default())));
        }
        if let (true, Some((_, record))) = (whole, &mut current) {
            let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
            match extension.as_str() {
                "jpg" | "jpeg" | "png" | "webp" => record.image = bytes,
                "txt" => {
                    record.captions.extend(text().lines().filter(|line| !line.trim().is_empty()).map(str::to_owned))
                }
                "cls" => record.class = Some(text()),
                _ => {}
            }
        }
    }
    finish(current.take());
    Ok(skipped)
}
