//! `edgelip-export check-ops`: what an accelerator won't take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use edgelip::Mapping;
use edgelip_export::operators::{List, NAMES, Report, check};

use super::say;

const EXAMPLES: &str = "\
Examples:
  edgelip-export check-ops model.onnx --for tensorrt
  edgelip-export check-ops anything.onnx --for coreml --json

The lists, with their sources and versions, are in exporter/operators/. Nothing is run: a node is taken if the list has its operator, in
this version, for this type of data as far as the file tells it, with constants where it wants them.

Exit status: 0 all nodes are taken, 1 some are not, 2 anything else.";

/// Say which nodes of an ONNX file an accelerator does not take
#[derive(Debug, Parser)]
#[command(name = "edgelip-export check-ops", bin_name = "edgelip-export check-ops", after_help = EXAMPLES)]
pub struct CheckOps {
    /// Any ONNX file
    file: PathBuf,

    /// The accelerator
    #[arg(long = "for", value_name = "NAME", value_parser = NAMES)]
    accelerator: String,

    /// Print the result as JSON: {accelerator, source, opset, nodes, folded, refused: [{node, operator, reason}], conditions, otherwise}
    #[arg(long)]
    json: bool,
}

/// Whether all nodes are taken.
pub fn run(args: &CheckOps) -> Result<bool> {
    let list = List::named(&args.accelerator)?;
    let file = Mapping::open(&args.file)?;
    let report = check(&file, &list).map_err(|error| anyhow!("{}: {error}", args.file.display()))?;
    if args.json {
        say(serde_json::to_string_pretty(&report)?)?;
    } else {
        print(args, &report)?;
    }
    Ok(report.refused.is_empty())
}

fn print(args: &CheckOps, report: &Report) -> Result<()> {
    let mut rows: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for refusal in &report.refused {
        rows.entry((&refusal.operator, &refusal.reason)).or_default().push(&refusal.node);
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["not taken", "nodes", "why", "the first"]);
    for ((operator, reason), nodes) in &rows {
        let first = nodes.iter().find(|name| !name.is_empty()).unwrap_or(&"");
        table.add_row([operator.to_string(), nodes.len().to_string(), reason.to_string(), first.to_string()]);
    }
    if !rows.is_empty() {
        say(table.trim_fmt())?;
        say("")?;
    }
    let folded = match report.folded {
        0 => String::new(),
        folded => format!(" ({folded} of them constant, computed when the file is loaded)"),
    };
    let verdict = match report.refused.len() {
        0 => "takes all of them".to_string(),
        refused => format!("does not take {refused} of them: {}", report.otherwise),
    };
    let (file, opset, name) = (args.file.display(), report.opset, &report.accelerator);
    say(format!("{file}: {} nodes{folded}, operator set {opset}; {name} {verdict}", report.nodes))?;
    for condition in &report.conditions {
        say(format!("not checked: {} ({} nodes): {}", condition.operator, condition.nodes, condition.condition))?;
    }
    say(format!("by {}", report.source))?;
    Ok(())
}
