//! A file held against a list.

use std::collections::BTreeMap;

use serde::Serialize;

use super::graph::{self, Node};
use super::list::{List, version};
use crate::Error;

/// What became of a check.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The accelerator and its version.
    pub accelerator: String,
    /// Where its list is from.
    pub source: String,
    /// ONNX's operator set that the file asks for; 0 if it names none.
    pub opset: u64,
    /// Nodes, those of subgraphs and functions included.
    pub nodes: usize,
    /// Those that are computed when the file is loaded, before the accelerator sees it.
    pub folded: usize,
    /// Those that are not taken.
    pub refused: Vec<Refusal>,
    /// What must hold for some of those that are taken.
    pub conditions: Vec<Condition>,
    /// What becomes of the refused ones.
    pub otherwise: String,
}

/// A node that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The node's name, which may be empty.
    pub node: String,
    /// Its operator, with its domain if that is not ONNX's.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// What the list asks of an operator and the file alone does not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The operator.
    pub operator: String,
    /// How many nodes it is about.
    pub nodes: usize,
    /// What must hold.
    pub condition: String,
}

/// Holds an ONNX file's nodes against a list.
///
/// # Errors
/// [`Error::Runtime`] if it is no ONNX file or damaged.
pub fn check(bytes: &[u8], list: &List) -> Result<Report, Error> {
    let graph = graph::read(bytes)?;
    let mut report = Report {
        accelerator: list.name.clone(),
        source: list.source.clone(),
        opset: graph.opsets.get("").copied().unwrap_or(0),
        nodes: graph.nodes.len(),
        folded: 0,
        refused: Vec::new(),
        conditions: Vec::new(),
        otherwise: list.otherwise.clone(),
    };
    let mut conditions: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for node in &graph.nodes {
        if list.folds_constants && node.is_constant() {
            report.folded += 1;
            continue;
        }
        let operator = match node.domain {
            "" => node.operator.to_string(),
            domain => format!("{domain}:{}", node.operator),
        };
        match judge(node, list) {
            Ok("") => {}
            Ok(condition) => conditions.entry(operator).or_insert((0, condition.to_string())).0 += 1,
            Err(reason) => report.refused.push(Refusal { node: node.name.to_string(), operator, reason }),
        }
    }
    let condition = |(operator, (nodes, condition))| Condition { operator, nodes, condition };
    report.conditions = conditions.into_iter().map(condition).collect();
    Ok(report)
}

/// On what condition a node is taken, or why not.
fn judge<'l>(node: &Node<'_>, list: &'l List) -> Result<&'l str, String> {
    let rule = list.rule(node.domain, node.operator).ok_or("the list does not have it")?;
    if node.domain.is_empty() {
        if let Some([first, last]) = list.opsets.filter(|[first, last]| !(*first..=*last).contains(&node.opset)) {
            return Err(format!("operator set {}; it takes {first} to {last}", node.opset));
        }
        let own = version(node.operator, node.opset);
        if !list.versions_of.is_empty() && !list.versions_of.iter().any(|&set| own == version(node.operator, set)) {
            let sets: Vec<_> = list.versions_of.iter().map(u64::to_string).collect();
            let own = own.map_or("unknown".into(), |own| own.to_string());
            return Err(format!("version {own}; it takes those of operator sets {}", sets.join(", ")));
        }
    }
    let types = list.types(rule);
    for (part, element) in [("data", node.data), ("target", node.to)] {
        if let Some(element) =
            element.filter(|element| !types.is_empty() && !types.iter().any(|other| other == element))
        {
            return Err(format!("{part} of type {element}; it takes {}", types.join(", ")));
        }
    }
    if let Some(input) = rule.constant.iter().find(|&&input| node.constant.get(input) == Some(&Some(false))) {
        return Err(format!("input {input} is computed; it takes a constant"));
    }
    Ok(&rule.condition)
}
