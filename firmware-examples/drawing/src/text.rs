//! Text in the fonts' ISO 8859-1: clipped where the room ends, and readable where a letter is missing.

use core::fmt::{self, Write};

use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::Baseline;
use embedded_graphics::text::renderer::TextRenderer;

use crate::Paint;

/// A short text that is put together where it is needed: 256 bytes, what is more is left out.
///
/// ```
/// let line = edgelip_drawing::Line::new(format_args!("{} photos", 3));
/// assert_eq!(line.as_str(), "3 photos");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Line {
    /// The text that these arguments make.
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        let mut line = Line { bytes: [0; 256], length: 0 };
        // Writing to a line can't fail.
        let _ = line.write_fmt(text);
        line
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = text.floor_char_boundary(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + room].copy_from_slice(&text.as_bytes()[..room]);
        self.length += room;
        Ok(())
    }
}

/// Draws one line with its top left corner at `at`, in at most so many `columns`.
pub(crate) fn draw<D: DrawTarget<Color: Paint>>(
    target: &mut D,
    text: &str,
    font: &MonoFont<'_>,
    mut at: Point,
    columns: usize,
    colour: Rgb888,
) -> Result<(), D::Error> {
    let style = MonoTextStyle::new(font, colour.into());
    for character in fitted(text, columns) {
        at = style.draw_string(character.encode_utf8(&mut [0; 4]), at, Baseline::Top, target)?;
    }
    Ok(())
}

/// The characters of `text` as the fonts have them; if they are more than `columns`, the last ones are dots.
fn fitted(text: &str, columns: usize) -> impl Iterator<Item = char> {
    let clipped = printable(text).nth(columns).is_some();
    let dots = if clipped && columns > 2 { 2 } else { 0 };
    printable(text).take(columns - dots).chain(core::iter::repeat_n('.', dots))
}

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    printable(text).count()
}

/// Base letters of U+0100 to U+017F.
const LATIN_EXTENDED_A: &[u8; 128] = b"AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiJjJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|character| !combines(*character)).flat_map(|character| {
        let known = match character {
            '\u{2026}' => return core::iter::repeat_n('.', 3),
            ' '..='~' | '\u{A1}'..='\u{FF}' => character,
            '\u{100}'..='\u{17F}' => char::from(LATIN_EXTENDED_A[character as usize - 0x100]),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201C}'..='\u{201E}' => '"',
            _ if character.is_whitespace() => ' ',
            _ => '?',
        };
        core::iter::repeat_n(known, 1)
    })
}

/// Whether a character only changes its neighbour: accents, joiners, variation selectors.
fn combines(character: char) -> bool {
    matches!(character, '\u{AD}' | '\u{300}'..='\u{36F}' | '\u{200B}'..='\u{200D}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// A text in lines of at most `columns` characters, broken between words where it can be; each with all that follows it.
pub(crate) fn wrapped(text: &str, columns: usize) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text.trim();
    core::iter::from_fn(move || {
        if rest.is_empty() || columns == 0 {
            return None;
        }
        let end = rest.char_indices().nth(columns).map_or(rest.len(), |(end, _)| end);
        let newline = rest[..end].find('\n');
        let end = match newline {
            Some(newline) => newline,
            None if end == rest.len() || rest[end..].starts_with(char::is_whitespace) => end,
            None => rest[..end].rfind(char::is_whitespace).unwrap_or(end),
        };
        let line = (rest[..end].trim_end(), rest);
        rest = rest[end..].trim_start();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn letters_that_no_font_has_stay_readable() {
        let shown = |text: &str| printable(text).collect::<String>();
        assert_eq!(shown("Löwe — “ça”…"), "Löwe - \"ça\"...");
        assert_eq!(shown("Łódź, Dvořák, ſtraße"), "Lódz, Dvorák, straße");
        assert_eq!(shown("e\u{301}te\u{301} 猫 🐈\u{FE0F}\n"), "ete ? ? ");
        assert_eq!(columns("…"), 3);
    }

    #[test]
    fn long_text_ends_in_dots() {
        let shown = |text: &str, columns| fitted(text, columns).collect::<String>();
        assert_eq!(shown("squirrel", 8), "squirrel");
        assert_eq!(shown("squirrel", 7), "squir..");
        assert_eq!(shown("squirrel", 2), "sq");
        assert_eq!(shown("squirrel", 0), "");
    }

    #[test]
    fn lines_break_between_words() {
        let lines = |text, columns| wrapped(text, columns).map(|line| line.0).collect::<Vec<_>>();
        assert_eq!(lines("model too large for the arena", 11), ["model too", "large for", "the arena"]);
        assert_eq!(lines("0123456789", 4), ["0123", "4567", "89"]);
        assert_eq!(lines("one\ntwo  three", 20), ["one", "two  three"]);
        assert_eq!(lines("ééé éé", 3), ["ééé", "éé"]);
        assert!(lines("text", 0).is_empty() && lines(" \n ", 5).is_empty());
    }

    #[test]
    fn a_line_keeps_what_fits() {
        assert_eq!(Line::new(format_args!("{}é", "x".repeat(255))).as_str(), "x".repeat(255));
        assert_eq!(Line::new(format_args!("{:>300}", 7)).as_str().len(), 256);
    }
}
