//! The directory of a zip archive whose entries lie in it as they are: the only kind that PyTorch writes.
//!
//! Nothing is decompressed, so that an entry is never larger than the file it lies in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::error::Error;

/// Bytes of the record at the end without its comment, and of the longest comment.
const END: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;
/// Largest directory that is read: hundreds of thousands of entries.
const MAX_DIRECTORY: u64 = 64 << 20;

const END_MAGIC: &[u8] = b"PK\x05\x06";
const END64_LOCATOR_MAGIC: &[u8] = b"PK\x06\x07";
const END64_MAGIC: &[u8] = b"PK\x06\x06";
const ENTRY_MAGIC: &[u8] = b"PK\x01\x02";
const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";

/// An entry, as the directory tells of it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its own header starts.
    header: u64,
    /// Bytes it takes there.
    size: u64,
    /// Why it can't be read where it lies, if so.
    problem: Option<&'static str>,
}

/// All entries by their names.
#[derive(Debug)]
pub(super) struct Directory {
    entries: BTreeMap<String, Entry>,
    /// Where the entries end.
    end: u64,
}

impl Directory {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no archive, truncated, or has entries of one name or in one place.
    pub(super) fn read(path: &Path, file: &mut File) -> Result<Directory, Error> {
        let length = file.metadata().map_err(Error::io(path))?.len();
        let bad = |reason: &str| Error::malformed(path, format!("damaged zip archive: {reason}"));
        let (start, size) = find(path, file, length)?.ok_or_else(|| bad("truncated, its directory is missing"))?;
        if size > MAX_DIRECTORY || start.checked_add(size).is_none_or(|end| end > length) {
            return Err(bad("its directory does not lie in it"));
        }
        let bytes = at(path, file, start, size as usize)?;
        let mut entries = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while rest.starts_with(ENTRY_MAGIC) {
            let (name, entry, length) = entry(rest).ok_or_else(|| bad("an entry of its directory is cut off"))?;
            rest = rest.get(length..).ok_or_else(|| bad("an entry of its directory is cut off"))?;
            if entries.insert(name.clone(), entry).is_some() {
                return Err(bad(&format!("`{name}` is there twice")));
            }
        }
        let directory = Directory { entries, end: start };
        directory.check_places().map_err(|reason| bad(&reason))?;
        Ok(directory)
    }

    /// Refuses entries that share bytes, or reach beyond the archive.
    fn check_places(&self) -> Result<(), String> {
        let mut places: Vec<(u64, u64, &str)> =
            self.entries.iter().map(|(name, entry)| (entry.header, entry.size, name.as_str())).collect();
        places.sort_unstable();
        let ends = places.iter().skip(1).map(|place| place.0).chain([self.end]);
        for (&(header, size, name), end) in places.iter().zip(ends) {
            if header.checked_add(size).is_none_or(|reach| reach > end) {
                return Err(format!("`{name}` reaches into what follows"));
            }
        }
        Ok(())
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Where an entry's bytes lie in the file; `None` without such an entry.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a compressed or encrypted entry, or a place outside the file.
    pub(super) fn place(&self, path: &Path, file: &mut File, name: &str) -> Result<Option<Range<u64>>, Error> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        if let Some(problem) = entry.problem {
            return Err(Error::malformed(path, format!("entry `{name}` {problem}, which torch.save never does")));
        }
        let header = at(path, file, entry.header, 30)?;
        let (Some(true), Some(named), Some(extra)) =
            (Some(header.starts_with(LOCAL_MAGIC)), u16_at(&header, 26), u16_at(&header, 28))
        else {
            return Err(Error::malformed(path, format!("damaged zip archive: `{name}` is not where it should be")));
        };
        let start = entry.header + 30 + u64::from(named) + u64::from(extra);
        match start.checked_add(entry.size).filter(|&end| end <= self.end) {
            Some(end) => Ok(Some(start..end)),
            None => Err(Error::malformed(path, format!("damaged zip archive: `{name}` reaches beyond its end"))),
        }
    }

    /// The bytes of an entry that has at most `limit`.
    ///
    /// # Errors
    /// Those of [`place`](Self::place), and [`Error::Malformed`] for a larger one.
    pub(super) fn bytes(&self, path: &Path, file: &mut File, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(place) = self.place(path, file, name)? else { return Ok(None) };
        let size = place.end - place.start;
        if size > limit {
            let reason = format!("entry `{name}` has {size} bytes; a description of tensors has at most {limit}");
            return Err(Error::malformed(path, reason));
        }
        at(path, file, place.start, size as usize).map(Some)
    }
}

/// Start and length of the directory, by the record at the end of the file.
fn find(path: &Path, file: &mut File, length: u64) -> Result<Option<(u64, u64)>, Error> {
    let tail_length = length.min((END + LONGEST_COMMENT) as u64) as usize;
    let tail_start = length - tail_length as u64;
    let tail = at(path, file, tail_start, tail_length)?;
    let Some(end) = (0..=tail.len().saturating_sub(END)).rev().find(|&at| tail[at..].starts_with(END_MAGIC)) else {
        return Ok(None);
    };
    let Some((size, start)) = u32_at(&tail[end..], 12).zip(u32_at(&tail[end..], 16)) else { return Ok(None) };
    let locator = end.checked_sub(20).map(|at| &tail[at..end]).filter(|record| record.starts_with(END64_LOCATOR_MAGIC));
    let Some(end64) = locator.and_then(|record| u64_at(record, 8)) else {
        return Ok(Some((u64::from(start), u64::from(size))));
    };
    if end64.checked_add(56).is_none_or(|end| end > length) {
        return Ok(None);
    }
    let record = at(path, file, end64, 56)?;
    Ok(record.starts_with(END64_MAGIC).then(|| u64_at(&record, 48).zip(u64_at(&record, 40))).flatten())
}

/// The entry at the start of `bytes`, with its name and the length of its record; `None` if it is cut off.
fn entry(bytes: &[u8]) -> Option<(String, Entry, usize)> {
    let (flags, method) = (u16_at(bytes, 8)?, u16_at(bytes, 10)?);
    let [named, extra, comment] = [28, 30, 32].map(|at| u16_at(bytes, at).map(usize::from));
    let (named, extra, comment) = (named?, extra?, comment?);
    let name = String::from_utf8_lossy(bytes.get(46..46 + named)?).into_owned();
    let mut wide = wide_fields(bytes.get(46 + named..46 + named + extra)?);
    let mut field = |at: usize| match u32_at(bytes, at)? {
        u32::MAX => wide.next(),
        value => Some(u64::from(value)),
    };
    // In this order the extra field lists what does not fit into 32 bits.
    let (size, compressed, header) = (field(24)?, field(20)?, field(42)?);
    let problem = match method {
        _ if flags & 1 != 0 => Some("is encrypted"),
        0 if size == compressed => None,
        0 => Some("has two sizes"),
        _ => Some("is compressed"),
    };
    Some((name, Entry { header, size: compressed, problem }, 46 + named + extra + comment))
}

/// The 64-bit numbers of a zip64 extra field.
fn wide_fields(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut numbers = Vec::new();
    while let Some((id, length)) = u16_at(extra, 0).zip(u16_at(extra, 2)) {
        let Some(field) = extra.get(4..4 + usize::from(length)) else { break };
        if id == 1 {
            numbers.extend(field.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)));
            break;
        }
        extra = &extra[4 + usize::from(length)..];
    }
    numbers.into_iter()
}

/// `length` bytes from `start` on.
fn at(path: &Path, file: &mut File, start: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(start)).map_err(Error::io(path))?;
    file.read_exact(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|word| u16::from_le_bytes(*word))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}
