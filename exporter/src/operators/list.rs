//! The committed lists: what an accelerator takes.

use std::collections::HashMap;

use super::element;
use crate::Error;

/// The names that [`List::named`] knows.
pub const NAMES: [&str; 5] = ["tensorrt", "ort-mobile", "xnnpack", "coreml", "nnapi"];

/// In which operator sets ONNX gave an operator a new version.
const VERSIONS: &str = include_str!("../../operators/versions.txt");

/// What an accelerator takes.
#[derive(Debug, Default)]
pub struct List {
    /// Its name and version.
    pub name: String,
    /// Where the list is from.
    pub source: String,
    /// What becomes of the rest.
    pub otherwise: String,
    /// The first and last operator set of a file, if it cares.
    pub(super) opsets: Option<[u64; 2]>,
    /// Operator sets one of whose versions an operator must be, if it cares.
    pub(super) versions_of: Vec<u64>,
    /// Types that operators without types of their own take; all if empty.
    types: Vec<String>,
    /// Whether nodes that depend on constants alone are computed before it sees the graph.
    pub(super) folds_constants: bool,
    rules: HashMap<String, Rule>,
}

/// When an operator is taken.
#[derive(Debug, Default)]
pub(super) struct Rule {
    /// Types that its data may have; all if empty.
    pub types: Vec<String>,
    /// Inputs that must be constant.
    pub constant: Vec<usize>,
    /// What else must hold, in words.
    pub condition: String,
}

impl List {
    /// One of [`NAMES`].
    ///
    /// # Errors
    /// [`Error::Operators`] for another name.
    pub fn named(name: &str) -> Result<List, Error> {
        let text = match name {
            "tensorrt" => include_str!("../../operators/tensorrt.txt"),
            "ort-mobile" => include_str!("../../operators/ort-mobile.txt"),
            "xnnpack" => include_str!("../../operators/xnnpack.txt"),
            "coreml" => include_str!("../../operators/coreml.txt"),
            "nnapi" => include_str!("../../operators/nnapi.txt"),
            other => return Err(Error::Operators(format!("no list for `{other}`; there are {}", NAMES.join(", ")))),
        };
        Self::parse(text)
    }

    /// Reads a list: settings, then an operator a line, with the types of its data, inputs that must be constant, and after a semicolon
    /// what else must hold. Operators of another domain than ONNX's are `domain:name`.
    fn parse(text: &str) -> Result<List, Error> {
        let mut list = List::default();
        for (index, line) in text.lines().enumerate() {
            let wrong = || Error::Operators(format!("line {}: can't read `{line}`", index + 1));
            if let Some(source) = line.strip_prefix("# Source: ") {
                list.source = source.trim_end_matches('.').to_string();
            }
            let line = line.trim();
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "" => {}
                word if word.starts_with('#') => {}
                "name" => list.name = rest.to_string(),
                "otherwise" => list.otherwise = rest.to_string(),
                "folds-constants" => list.folds_constants = true,
                "types" => list.types = rest.split(' ').map(str::to_string).collect(),
                "opsets" => {
                    let (first, last) = rest.split_once("..").ok_or_else(wrong)?;
                    list.opsets = Some([first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?]);
                }
                "versions-of" => {
                    let opsets = rest.split(' ').map(|opset| opset.parse().map_err(|_| wrong()));
                    list.versions_of = opsets.collect::<Result<_, _>>()?;
                }
                operator => {
                    let rule = Rule::parse(rest).ok_or_else(wrong)?;
                    if list.rules.insert(operator.to_string(), rule).is_some() {
                        return Err(wrong());
                    }
                }
            }
        }
        Ok(list)
    }

    /// The rule for an operator; `None` if it is not taken at all. ONNX's own domain is empty.
    pub(super) fn rule(&self, domain: &str, operator: &str) -> Option<&Rule> {
        match domain {
            "" | "ai.onnx" => self.rules.get(operator),
            domain => self.rules.get(&format!("{domain}:{operator}")),
        }
    }

    /// The types that a rule allows; all if empty.
    pub(super) fn types<'a>(&'a self, rule: &'a Rule) -> &'a [String] {
        if rule.types.is_empty() { &self.types } else { &rule.types }
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        let (words, condition) = text.split_once(';').unwrap_or((text, ""));
        let mut rule = Rule { condition: condition.trim().to_string(), ..Rule::default() };
        for word in words.split_whitespace() {
            match word.strip_prefix("constant:") {
                Some(inputs) => rule.constant = inputs.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
                None if element::is_known(word) => rule.types.push(word.to_string()),
                None => return None,
            }
        }
        Some(rule)
    }
}

/// The operator set in which ONNX gave an operator the version that it has in operator set `opset`; `None` if it is not there yet.
pub(super) fn version(operator: &str, opset: u64) -> Option<u64> {
    let mut lines = VERSIONS.lines().filter(|line| !line.starts_with('#'));
    let versions = lines.find_map(|line| line.strip_prefix(operator)?.strip_prefix(' '))?;
    versions.split(' ').filter_map(|version| version.parse().ok()).take_while(|&version| version <= opset).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_can_be_read_and_says_where_it_is_from() {
        for name in NAMES {
            let list = List::named(name).expect(name);
            assert!(
                list.source.contains("github.com/") && !list.name.is_empty() && !list.otherwise.is_empty(),
                "{name}"
            );
            assert!(list.rule("", "MatMul").is_some() && list.rule("", "StringNormalizer").is_none(), "{name}");
            for operator in list.rules.keys().filter(|operator| !operator.contains(':')) {
                // Operators that the source has beside ONNX's, or from before ONNX's first release.
                let other = ["ParametricSoftplus", "ScaledTanh", "ImageScaler"].contains(&operator.as_str());
                assert!(other || version(operator, u64::MAX).is_some(), "{name}: {operator}");
            }
        }
        assert!(List::named("npu").expect_err("unknown").to_string().contains("tensorrt"));
    }

    #[test]
    fn operators_have_versions() {
        assert_eq!(version("Add", 17), Some(14));
        assert_eq!(version("Add", 13), Some(13));
        assert_eq!(version("LayerNormalization", 16), None);
        assert_eq!(version("Adder", 17), None);
    }

    #[test]
    fn lines_that_mean_nothing_are_errors() {
        for line in ["Add f23", "Add constant:x", "opsets 9", "versions-of a", "Add f32\nAdd f32"] {
            assert!(List::parse(line).is_err(), "{line}");
        }
    }
}
