//! Protobuf messages, written.

/// Bytes of `value` as a varint.
pub(super) const fn varint_len(value: u64) -> u64 {
    match value.checked_ilog2() {
        None => 1,
        Some(bits) => bits as u64 / 7 + 1,
    }
}

/// A message under construction.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// An integer or enum field. Negative ones take ten bytes, as protobuf wants.
    pub fn int(&mut self, field: u32, value: i64) -> &mut Self {
        self.varint(u64::from(field) << 3);
        self.varint(value as u64);
        self
    }

    /// A 32-bit float field.
    pub fn float(&mut self, field: u32, value: f32) -> &mut Self {
        self.varint(u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A string, bytes or message field.
    pub fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.prefix(field, value.len() as u64);
        self.0.extend(value);
        self
    }

    /// A string field.
    pub fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    /// A message field.
    pub fn message(&mut self, field: u32, value: &Message) -> &mut Self {
        self.bytes(field, &value.0)
    }

    /// The tag and length of a field whose `length` bytes follow.
    pub fn prefix(&mut self, field: u32, length: u64) -> &mut Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(length);
        self
    }

    /// The encoded fields.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_predicted_length() {
        for value in [0, 1, 127, 128, 16383, 16384, u64::from(u32::MAX), u64::MAX] {
            let mut message = Message::default();
            message.varint(value);
            assert_eq!(message.len(), varint_len(value), "{value}");
        }
    }
}
