//! Parquet with the columns `image` (bytes), `captions` (a list of strings) and, if there are classes, `wnid` (string or null).

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use super::Record;
use crate::error::Error;

pub(super) fn read(path: &Path, take: &mut dyn FnMut(Record)) -> Result<usize, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let wrong = |error| Error::malformed(path, error);
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let mut skipped = 0;
    for row in reader.get_row_iter(None).map_err(wrong)? {
        match row.ok().and_then(|row| record(&row)) {
            Some(record) => take(record),
            None => skipped += 1,
        }
    }
    Ok(skipped)
}

fn record(row: &Row) -> Option<Record> {
    let mut record = Record::default();
    for (name, field) in row.get_column_iter() {
        match (name.as_str(), field) {
            ("image", Field::Bytes(bytes)) => record.image = bytes.data().to_vec(),
            ("captions", Field::ListInternal(list)) => {
                record.captions = list
                    .elements()
                    .iter()
                    .filter_map(|caption| match caption {
                        Field::Str(text) => Some(text.clone()),
                        _ => None,
                    })
                    .collect();
            }
            ("wnid", Field::Str(id)) => record.class = Some(id.clone()),
            _ => {}
        }
    }
    (!record.image.is_empty()).then_some(record)
}
