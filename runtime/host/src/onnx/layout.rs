//! Where each byte of a file lies: aligns payloads by a `doc_string` before them.

use super::Error;
use super::model::{Initializer, field};
use super::wire::{Message, varint_len};

/// Every payload of at least as many bytes starts at a multiple of this, counted from the start of the file: a cache
/// line. Shorter ones start at a multiple of their element's size.
pub const ALIGNMENT: u64 = 64;

/// Protobuf refuses messages of 2 GiB.
const LIMIT: u64 = 1 << 31;

/// Offsets of a file.
pub(super) struct Layout {
    /// Bytes of the `GraphProto`.
    pub graph_len: u64,
    /// Bytes of the file.
    pub file_len: u64,
    /// One for each initializer.
    pub slots: Vec<Slot>,
    /// Length of a `doc_string` that ends the graph, if there is one.
    pub filler: Option<usize>,
}

/// One initializer's place.
pub(super) struct Slot {
    /// Bytes of the `TensorProto`.
    tensor_len: u64,
    /// Bytes of the `doc_string`.
    padding: u64,
}

impl Layout {
    /// Lays out a file whose fields before the graph take `head_len` bytes, and the graph's fields before the
    /// initializers `graph_head_len`.
    pub fn new(initializers: &[Initializer<'_>], head_len: u64, graph_head_len: u64) -> Result<Self, Error> {
        let payloads = initializers.iter().fold(0u64, |sum, initializer| sum.saturating_add(initializer.byte_len()));
        if payloads >= LIMIT {
            return Err(Error::TooLarge(payloads));
        }
        // The graph's length prefix moves all payloads and so changes their padding, on which the graph's length
        // depends: try its lengths.
        let mut too_large = 0;
        for prefix_len in 1..=5 {
            let graph_start = head_len + 1 + prefix_len;
            let mut at = graph_start + graph_head_len;
            let slots: Vec<Slot> = initializers.iter().map(|initializer| Slot::place(initializer, &mut at)).collect();
            let unfilled = at - graph_start;
            // Just below a power of 128 no length may fit its own prefix. Then the graph is made a little longer.
            let shortest = if prefix_len == 1 { 0 } else { 1 << (7 * (prefix_len - 1)) };
            let filler = (unfilled < shortest).then(|| (shortest - unfilled).saturating_sub(2));
            let graph_len = unfilled + filler.map_or(0, |length| 2 + length);
            let file_len = graph_start + graph_len;
            if varint_len(graph_len) == prefix_len && file_len < LIMIT {
                return Ok(Layout { graph_len, file_len, slots, filler: filler.map(|length| length as usize) });
            }
            too_large = file_len;
        }
        Err(Error::TooLarge(too_large))
    }
}

impl Slot {
    /// Places an initializer's field at `at` and moves `at` behind it.
    fn place(initializer: &Initializer<'_>, at: &mut u64) -> Slot {
        let payload = initializer.byte_len();
        let alignment = if payload >= ALIGNMENT { ALIGNMENT } else { initializer.element.size() };
        let fixed = described(initializer).len() + 2 + 1 + varint_len(payload);
        // A longer padding may lengthen the tensor's own prefix and skip an offset; one of the next 64 lengths hits it.
        let mut slot = Slot { tensor_len: 0, padding: 0 };
        for padding in 0..2 * ALIGNMENT - 1 {
            let tensor_len = fixed + padding + payload;
            let end = *at + 1 + varint_len(tensor_len) + tensor_len;
            slot = Slot { tensor_len, padding };
            if (end - payload).is_multiple_of(alignment) {
                break;
            }
        }
        *at += 1 + varint_len(slot.tensor_len) + slot.tensor_len;
        slot
    }

    /// All that comes before the payload.
    pub fn header(&self, initializer: &Initializer<'_>) -> Vec<u8> {
        let mut header = Message::default();
        header.prefix(field::GRAPH_INITIALIZER, self.tensor_len);
        let mut header = header.finish();
        let mut tensor = described(initializer);
        tensor.bytes(field::TENSOR_DOC, &b" ".repeat(self.padding as usize));
        tensor.prefix(field::TENSOR_RAW, initializer.byte_len());
        header.extend(tensor.finish());
        header
    }
}

fn described(initializer: &Initializer<'_>) -> Message {
    let mut tensor = Message::default();
    for &dim in &initializer.dims {
        tensor.int(field::TENSOR_DIMS, dim as i64);
    }
    tensor.int(field::TENSOR_TYPE, initializer.element as i64).text(field::TENSOR_NAME, &initializer.name);
    tensor
}
