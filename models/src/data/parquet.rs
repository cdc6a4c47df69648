//! Parquet with the columns `image` (bytes), `captions` (a list of strings, or one) and, if there are classes, `wnid` (string or null).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::Record;
use crate::error::Error;

const COLUMNS: [&str; 3] = ["image", "captions", "wnid"];

pub(super) fn read(path: &Path, take: &mut dyn FnMut(Record)) -> Result<usize, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let wrong = |error| Error::malformed(path, error);
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let schema = columns(&reader).map_err(wrong)?;
    if let Some(missing) = COLUMNS[..2].iter().find(|name| schema.get_fields().iter().all(|of| of.name() != **name)) {
        return Err(Error::malformed(path, format!("no column `{missing}`")));
    }
    let (mut taken, mut skipped, mut failure) = (0, 0, None);
    for index in 0..reader.num_row_groups() {
        let rows = reader.metadata().row_group(index).num_rows().max(0) as usize;
        let before = taken + skipped;
        let group = reader.get_row_group(index).map_err(wrong)?;
        let read = RowIter::from_row_group(Some(schema.clone()), group.as_ref()).and_then(|mut iter| {
            iter.try_for_each(|row| {
                match record(&row?) {
                    Some(record) => {
                        taken += 1;
                        take(record);
                    }
                    None => skipped += 1,
                }
                Ok(())
            })
        });
        // Behind a damaged value the columns no longer keep step: captions would be another image's.
        if let Err(error) = read {
            skipped = before + rows - taken;
            failure = failure.or(Some(error));
        }
    }
    match failure {
        Some(error) if taken == 0 => Err(wrong(error)),
        _ => Ok(skipped),
    }
}

/// The part of the file's schema that is read.
fn columns(reader: &dyn FileReader) -> Result<Type, ParquetError> {
    let schema = reader.metadata().file_metadata().schema();
    let known = |field: &&Arc<Type>| COLUMNS.contains(&field.name());
    let fields = schema.get_fields().iter().filter(known).cloned().collect();
    Type::group_type_builder(schema.name()).with_fields(fields).build()
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
            ("captions", Field::Str(text)) => record.captions = vec![text.clone()],
            ("wnid", Field::Str(id)) => record.class = Some(id.clone()),
            _ => {}
        }
    }
    (!record.image.is_empty()).then_some(record)
}
