//! The label bank of an image tower.

use super::edit::node_name;
use super::{Attribute, Dim, ElementType, Error, Initializer, Node, OnnxModel, Payload, ValueInfo};

const EMBEDS: &str = "image_embeds";
const LOGITS: &str = "logits_per_image";
const WEIGHT: &str = "labels.weight";
const SCALE: &str = "labels.scale";
const BIAS: &str = "labels.bias";
const NAMES: &str = "edgelip.labels";
const TEMPLATE: &str = "edgelip.template";

/// Gives an image tower labels, or other ones:
/// `logits_per_image = logit_scale · image_embeds · rowsᵀ + logit_bias`.
///
/// `rows` is `[names.len(), embedding]`, each row l2-normalised; `templates` are the prompts the rows were made with.
///
/// # Errors
/// [`Error::Labels`] if there are no names, a name or template holds a line break (the file keeps one a line) or is
/// empty, `rows` has another length or values that are not finite, or the model does not give embeddings of this
/// length. The model is unchanged then.
pub fn attach_labels(
    model: &mut OnnxModel<'_>,
    names: &[String],
    rows: &[f32],
    embedding: usize,
    logit_scale: f32,
    logit_bias: f32,
    templates: &[String],
) -> Result<(), Error> {
    attach(model, names, rows, embedding, [logit_scale, logit_bias], &[], templates)
}

/// Gives an image tower the rows of a classifier, or some of them, as labels: `logits_per_image = image_embeds · rowsᵀ + biases`.
///
/// `rows` is `[names.len(), embedding]` as it was trained, `biases` as long as `names`. The model's own scale and bias of logits become 1 and 0.
///
/// # Errors
/// As [`attach_labels`].
pub fn attach_classifier(
    model: &mut OnnxModel<'_>,
    names: &[String],
    rows: &[f32],
    embedding: usize,
    biases: &[f32],
) -> Result<(), Error> {
    if biases.len() != names.len() || biases.iter().any(|bias| !bias.is_finite()) {
        return Err(Error::Labels(format!("{} names need as many finite biases", names.len())));
    }
    attach(model, names, rows, embedding, [1.0, 0.0], biases, &[])?;
    model.set_metadata("edgelip.logit_scale", "1");
    model.set_metadata("edgelip.logit_bias", "0");
    Ok(())
}

fn attach(
    model: &mut OnnxModel<'_>,
    names: &[String],
    rows: &[f32],
    embedding: usize,
    [scale, bias]: [f32; 2],
    biases: &[f32],
    templates: &[String],
) -> Result<(), Error> {
    check(names, rows, embedding, templates)?;
    check_model(model, embedding)?;
    detach(model)?;
    let count = names.len() as u64;
    let floats = |name: &str, dims: &[u64], values: &[f32]| Initializer {
        name: name.into(),
        element: ElementType::F32,
        dims: dims.to_vec(),
        payload: Payload::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    };
    let bias = if biases.is_empty() { floats(BIAS, &[], &[bias]) } else { floats(BIAS, &[count], biases) };
    let rows = floats(WEIGHT, &[count, embedding as u64], rows);
    model.initializers.extend([rows, floats(SCALE, &[], &[scale]), bias]);
    model.nodes.extend(nodes().iter().map(Node::encode));
    model.outputs.push(ValueInfo {
        name: LOGITS.into(),
        element: ElementType::F32,
        shape: vec![Dim::Symbol("N".into()), Dim::Fixed(count)],
    });
    model.set_metadata(NAMES, names.join("\n"));
    model.set_metadata(TEMPLATE, templates.join("\n"));
    Ok(())
}

fn nodes() -> [Node; 4] {
    let node = |op_type, name: &str, inputs: [&str; 2], output: &str| Node {
        op_type,
        name: name.into(),
        inputs: inputs.into_iter().filter(|input| !input.is_empty()).map(Into::into).collect(),
        outputs: vec![output.into()],
        attributes: Vec::new(),
    };
    let mut columns = node("Transpose", "labels/columns", [WEIGHT, ""], "labels.columns");
    columns.attributes.push(("perm", Attribute::Ints(vec![1, 0])));
    [
        columns,
        node("MatMul", "labels/cosines", [EMBEDS, "labels.columns"], "labels.cosines"),
        node("Mul", "labels/scale", ["labels.cosines", SCALE], "labels.scaled"),
        node("Add", "labels/bias", ["labels.scaled", BIAS], LOGITS),
    ]
}

/// Removes the label bank, if there is one.
fn detach(model: &mut OnnxModel<'_>) -> Result<(), Error> {
    let mut nodes = Vec::with_capacity(model.nodes.len());
    for node in &model.nodes {
        if !node_name(node)?.starts_with("labels/") {
            nodes.push(node.clone());
        }
    }
    model.nodes = nodes;
    model.initializers.retain(|initializer| !initializer.name.starts_with("labels."));
    model.outputs.retain(|output| output.name != LOGITS);
    Ok(())
}

fn check(names: &[String], rows: &[f32], embedding: usize, templates: &[String]) -> Result<(), Error> {
    let fail = |message: String| Err(Error::Labels(message));
    if names.is_empty() {
        return fail("there are none".into());
    }
    for (what, lines) in [("label", names), ("template", templates)] {
        for (index, line) in lines.iter().enumerate() {
            if line.trim().is_empty() {
                return fail(format!("{what} {} is empty", index + 1));
            }
            if line.contains(['\n', '\r']) {
                return fail(format!("{what} {line:?} holds a line break; a file keeps one a line"));
            }
        }
    }
    if names.len().checked_mul(embedding) != Some(rows.len()) {
        return fail(format!(
            "{} names of {embedding} values need another bank than {} values",
            names.len(),
            rows.len()
        ));
    }
    match rows.iter().position(|value| !value.is_finite()) {
        Some(index) => fail(format!("the embedding of `{}` is not finite", names[index / embedding])),
        None => Ok(()),
    }
}

fn check_model(model: &OnnxModel<'_>, embedding: usize) -> Result<(), Error> {
    let Some(output) = model.outputs.iter().find(|output| output.name == EMBEDS) else {
        return Err(Error::Labels(format!("the model has no output `{EMBEDS}`: it is not an image tower")));
    };
    match output.shape.last() {
        Some(&Dim::Fixed(width)) if width == embedding as u64 => Ok(()),
        Some(Dim::Fixed(width)) => {
            Err(Error::Labels(format!("the bank's embeddings have {embedding} values, the model's {width}")))
        }
        _ => Err(Error::Labels(format!("the length of `{EMBEDS}` is not known"))),
    }
}
