//! Protobuf's wire format, read in place.

use crate::Error;

/// A field's value as it lies in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A variable-length integer.
    Varint(u64),
    /// Eight bytes, little endian.
    Fixed64(u64),
    /// A string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes, little endian.
    Fixed32(u32),
}

/// A field of a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's number in its message.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// Where the field, its tag included, starts in the message.
    pub start: usize,
    /// Where the field ends.
    pub end: usize,
}

impl<'a> Field<'a> {
    /// The bytes of a length-delimited field.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another wire type.
    pub fn bytes(&self) -> Result<&'a [u8], Error> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::Malformed),
        }
    }

    /// The bytes as UTF-8.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another wire type or invalid UTF-8.
    pub fn text(&self) -> Result<&'a str, Error> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Error::Malformed)
    }
}

/// The fields of `message`, in file order. After an error it ends.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { message, at: 0 }
}

/// Iterator over a message's fields; see [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Continues at a byte offset that an earlier field's `start` or `end` gave.
    pub fn from(message: &'a [u8], at: usize) -> Self {
        Fields { message, at }
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let (value, length) = varint(self.message.get(self.at..).unwrap_or(&[]))?;
        self.at += length;
        Ok(value)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let length = usize::try_from(length).map_err(|_| Error::Truncated)?;
        let end = self.at.checked_add(length).ok_or(Error::Truncated)?;
        let bytes = self.message.get(self.at..end).ok_or(Error::Truncated)?;
        self.at = end;
        Ok(bytes)
    }

    fn field(&mut self) -> Result<Field<'a>, Error> {
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Error::Malformed)?;
        if number == 0 {
            return Err(Error::Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Error::Truncated)?)),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Error::Truncated)?)),
            _ => return Err(Error::Malformed),
        };
        Ok(Field { number, value, start, end: self.at })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.message.len();
        }
        Some(field)
    }
}

/// A varint at the start of `bytes` and its length in bytes.
///
/// # Errors
/// [`Error::Truncated`] if it does not end, [`Error::Malformed`] if it is longer than ten bytes.
pub fn varint(bytes: &[u8]) -> Result<(u64, usize), Error> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, i + 1));
        }
    }
    Err(if bytes.len() < 10 { Error::Truncated } else { Error::Malformed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_wire_type() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0, 0, 0];
        let mut found = fields(&message).map(Result::unwrap);
        assert_eq!(found.next().unwrap().value, Value::Varint(150));
        let text = found.next().unwrap();
        assert_eq!((text.number, text.text(), text.start, text.end), (2, Ok("hi"), 3, 7));
        assert_eq!(found.next().unwrap().value, Value::Fixed32(1));
        assert_eq!(found.next().unwrap().value, Value::Fixed64(2));
        assert!(found.next().is_none());
    }

    #[test]
    fn refuses_what_is_cut_short_or_malformed() {
        let error = |bytes: &[u8]| fields(bytes).find_map(Result::err);
        assert_eq!(error(&[0x12, 5, b'h']), Some(Error::Truncated));
        assert_eq!(error(&[0x08]), Some(Error::Truncated));
        assert_eq!(error(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Some(Error::Truncated));
        assert_eq!(error(&[0x0b]), Some(Error::Malformed));
        assert_eq!(error(&[0x00, 0x00]), Some(Error::Malformed));
        assert_eq!(error(&[0xff; 12]), Some(Error::Malformed));
    }
}
