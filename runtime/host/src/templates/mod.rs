//! Prompts with a place for a label's name: sets that are known by name, and files.

use std::path::Path;

use crate::label_set;

/// The names [`resolve`] knows.
pub const NAMES: [&str; 5] = ["photo", "none", "simple-7", "openai-80", "imagenet-80"];

/// The templates of a set (one of [`NAMES`]) or of a file, one a line with `{}` for the name.
///
/// # Errors
/// [`crate::Error::Io`] if it is neither, or as [`label_set::read_templates`].
pub fn resolve(name: &str) -> Result<Vec<String>, crate::Error> {
    let set = match name {
        "photo" => label_set::DEFAULT_TEMPLATE,
        "none" => "{}",
        "simple-7" => include_str!("simple-7.txt"),
        "openai-80" | "imagenet-80" => include_str!("openai-80.txt"),
        file if !Path::new(file).exists() => {
            return Err(crate::Error::labels(file, format!("neither a file nor one of {}", NAMES.join(", "))));
        }
        file => return label_set::read_templates(file),
    };
    label_set::templates(name, set.lines().filter(|line| !line.starts_with('#')))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sets_are_complete() {
        for (name, count) in NAMES.into_iter().zip([1, 1, 7, 80, 80]) {
            let templates = resolve(name).expect("a set");
            assert_eq!(templates.len(), count);
            assert_eq!(templates.iter().collect::<HashSet<_>>().len(), count);
            assert!(templates.iter().all(|template| template.matches("{}").count() == 1));
        }
        let all = resolve("openai-80").expect("a set");
        assert!(resolve("simple-7").expect("a set").iter().all(|template| all.contains(template)));
    }

    #[test]
    fn what_is_neither_set_nor_file_is_an_error() {
        let error = resolve("imagenet-81").expect_err("unknown").to_string();
        assert_eq!(error, "imagenet-81: neither a file nor one of photo, none, simple-7, openai-80, imagenet-80");
    }
}
