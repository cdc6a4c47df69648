//! From a caption as it was found to plain words.

/// The words of a caption: tags stripped, entities and curly quotes made plain, lower case, split at everything that is neither letter,
/// digit nor an inner hyphen; the contractions `'s`, `n't` and their like are not words.
pub fn words(caption: &str) -> Vec<String> {
    let plain = decoded(&without_tags(caption)).to_lowercase();
    plain
        .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-'))
        .map(|word| word.trim_matches(['\'', '-']))
        .map(|word| word.strip_suffix("n't").unwrap_or(word))
        .map(|word| word.split('\'').next().unwrap_or(word))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Everything but `<…>`; a lone `<` is text.
fn without_tags(caption: &str) -> String {
    let mut out = String::with_capacity(caption.len());
    let mut rest = caption;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let is_tag = rest[open + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match rest[open..].find('>').filter(|_| is_tag) {
            Some(close) => {
                out.push(' ');
                rest = &rest[open + close + 1..];
            }
            None => {
                out.push('<');
                rest = &rest[open + 1..];
            }
        }
    }
    out + rest
}

/// The commonest entities and typographic characters as plain ones.
fn decoded(text: &str) -> String {
    let entities = [("&nbsp;", " "), ("&#39;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    let text = entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    text.chars()
        .map(|c| match c {
            '\u{2018}' | '\u{2019}' | '\u{2032}' => '\'',
            '\u{2010}'..='\u{2012}' => '-',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_entities_and_contractions() {
        let found = words("<b>Two dogs</b> aren\u{2019}t  in the girl&#39;s T-shirt -- 3 < 4 &amp; so on.");
        assert_eq!(found, ["two", "dogs", "are", "in", "the", "girl", "t-shirt", "3", "4", "so", "on"]);
        assert!(words(" <br/> ... ").is_empty());
    }
}
