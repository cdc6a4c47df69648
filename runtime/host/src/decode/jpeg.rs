//! Whether a JPEG file is whole. The decoder fills what is missing with grey; Pillow, and we, refuse it.

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;

/// Walks the markers up to the end of the image; an end marker inside a segment (a thumbnail's) does not count.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Scan data and fill bytes lie before a marker: 0xFF, then neither 0 nor another 0xFF nor a restart.
        let marker =
            rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD8 | 0xFF));
        let Some(position) = marker else { return false };
        let code = rest[position + 1];
        rest = &rest[position + 2..];
        match code {
            END_OF_IMAGE => return true,
            START_OF_SCAN => {}
            _ => {
                let Some(&[high, low]) = rest.first_chunk::<2>() else { return false };
                let Some(after) = rest.get(usize::from(u16::from_be_bytes([high, low]))..) else { return false };
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_marker_inside_a_segment_does_not_count() {
        assert!(is_complete(&[0xFF, 0xD8, 0xFF, 0xE0, 0, 2, 0xFF, 0xD9]));
        assert!(!is_complete(&[0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0xFF, 0xD9]));
        assert!(!is_complete(&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 0xFF, 0x00, 0xFF, 0xD0]));
        assert!(!is_complete(&[0xFF]));
    }
}
