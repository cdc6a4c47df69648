//! Settings of a JSON object, with errors that name the file and the key.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::Error;

/// More than any length in a model; products of four stay far from overflowing.
const MAX_SIZE: u64 = 1 << 24;

/// A JSON object and where it stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    path: PathBuf,
    prefix: String,
    object: Map<String, Value>,
}

impl Fields {
    /// Reads a file that holds one object.
    pub(super) fn read(path: &Path) -> Result<Fields, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Fields { path: path.into(), prefix: String::new(), object }),
            Ok(_) => Err(Error::malformed(path, "not a JSON object")),
            Err(error) => Err(Error::malformed(path, format!("not JSON: {error}"))),
        }
    }

    /// Reads a file that holds a list of objects.
    pub(super) fn read_list(path: &Path) -> Result<Vec<Fields>, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let objects: Vec<Map<String, Value>> = serde_json::from_str(&text)
            .map_err(|error| Error::malformed(path, format!("not a JSON list of objects: {error}")))?;
        let named = |(index, object)| Fields { path: path.into(), prefix: format!("{index}."), object };
        Ok(objects.into_iter().enumerate().map(named).collect())
    }

    /// Every key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.object.keys().map(String::as_str)
    }

    /// The value of a key; `null` is as good as absent.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The object of a key.
    pub(super) fn nested(&self, key: &str) -> Result<Option<Fields>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Fields {
                path: self.path.clone(),
                prefix: format!("{}{key}.", self.prefix),
                object: object.clone(),
            })),
            Some(_) => Err(self.error(key, "not an object")),
        }
    }

    /// An object without keys: every default.
    pub(super) fn empty(&self, key: &str) -> Fields {
        Fields { path: self.path.clone(), prefix: format!("{}{key}.", self.prefix), object: Map::new() }
    }

    /// A length of at least 1.
    pub(super) fn size(&self, key: &str, default: usize) -> Result<usize, Error> {
        self.get(key).map_or(Ok(default), |value| self.as_size(key, value))
    }

    /// A length, or a list of one or two equal ones.
    pub(super) fn square(&self, key: &str, default: usize) -> Result<usize, Error> {
        match self.get(key) {
            Some(Value::Array(sides)) => match sides.as_slice() {
                [side] => self.as_size(key, side),
                [height, width] if height == width => self.as_size(key, height),
                _ => Err(self
                    .error(key, format!("{} is not square; only squares are supported", Value::Array(sides.clone())))),
            },
            _ => self.size(key, default),
        }
    }

    pub(super) fn as_size(&self, key: &str, value: &Value) -> Result<usize, Error> {
        match value.as_u64() {
            Some(size @ 1..=MAX_SIZE) => Ok(size as usize),
            _ => Err(self.error(key, format!("{value} is not a whole number from 1 to {MAX_SIZE}"))),
        }
    }

    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) if number.is_finite() => Ok(number),
                _ => Err(self.error(key, format!("{value} is not a number"))),
            },
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.error(key, format!("{value} is neither true nor false"))),
        }
    }

    pub(super) fn text(&self, key: &str, default: &str) -> Result<String, Error> {
        match self.get(key) {
            None => Ok(default.into()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.error(key, format!("{other} is not a string"))),
        }
    }

    /// An error about one setting.
    pub(super) fn error(&self, key: &str, reason: impl ToString) -> Error {
        Error::config(&self.path, format!("{}{key}", self.prefix), reason)
    }
}
