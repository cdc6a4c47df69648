//! Elements read from a part of a file, a little at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::element::Element;

/// Bytes converted at a time; a multiple of every element's size.
const CHUNK: usize = 1 << 18;

/// Reads `count` elements from byte `start` on; the caller has made sure that they are there.
pub(super) fn read(file: &mut File, start: u64, count: usize, element: Element) -> io::Result<Vec<f32>> {
    let widen = element.widen().map_err(io::Error::other)?;
    let mut left = count * element.size();
    let mut data = Vec::with_capacity(count);
    let mut buffer = vec![0; CHUNK.min(left)];
    file.seek(SeekFrom::Start(start))?;
    while left > 0 {
        let chunk = &mut buffer[..CHUNK.min(left)];
        file.read_exact(chunk)?;
        widen(chunk, &mut data);
        left -= chunk.len();
    }
    Ok(data)
}
