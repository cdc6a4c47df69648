//! Text, cut at an ASCII character. The standard library's search for a lone character holds a branch to a panic, which no firmware should
//! have to link.

/// The parts of `text` between `separator`s: one more than there are of those.
pub(crate) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    // Cut at an ASCII character, UTF-8 stays UTF-8.
    text.as_bytes().split(move |&byte| byte == separator).map(|part| core::str::from_utf8(part).unwrap_or_default())
}

/// What is before the first `separator`, and what is behind it.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let middle = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..middle)?, text.get(middle + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_the_standard_library_does() {
        for text in ["", ",", "a", "a,b", ",a,,b,", "é,ü", "naïve", "日本,語"] {
            assert!(split(text, b',').eq(text.split(',')), "{text}");
            assert_eq!(split_once(text, b','), text.split_once(','), "{text}");
        }
    }
}
