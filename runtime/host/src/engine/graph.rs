//! What engines share that run a file's graph: what goes in, and what of that which comes out is of use.

use edgelip_runtime::Padding;

use crate::Error;

/// Longest side of an input that is believed.
const MAX_SIDE: usize = 8192;

/// ONNX's number of 32-bit floating point.
pub(super) const F32: i32 = 1;

/// An input or output that a graph declares.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// ONNX's number of its element type.
    pub element: i32,
    /// Its dimensions; `None` where they are open.
    pub dims: Vec<Option<usize>>,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<_> = self.dims.iter().map(|dim| dim.map_or("?".to_string(), |dim| dim.to_string())).collect();
        write!(f, "`{}` [{}]", self.name, dims.join(", "))
    }
}

/// The one image that a graph takes.
///
/// # Errors
/// [`Error::Unusable`] if it takes something else.
pub fn image_input(inputs: &[Port]) -> Result<&Port, Error> {
    let list = || inputs.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
    let [input] = inputs else {
        return Err(Error::Unusable(format!(
            "the graph has {} inputs ({}); engines that run graphs take those with one image input",
            inputs.len(),
            list()
        )));
    };
    let is_image = input.dims.len() == 4 && input.dims[1].is_none_or(|channels| channels == 3);
    if !is_image || input.element != F32 {
        return Err(Error::Unusable(format!(
            "the graph's input {} is no image of shape [N, 3, height, width] in f32",
            list()
        )));
    }
    Ok(input)
}

/// Height and width of an image input; where it leaves them open, `wanted` or else 224.
///
/// # Errors
/// [`Error::Unusable`] if it takes another size than `wanted`.
pub fn image_size(input: &Port, wanted: Option<[usize; 2]>) -> Result<[usize; 2], Error> {
    let mut size = [0; 2];
    for (axis, side) in size.iter_mut().enumerate() {
        let wanted = wanted.map(|size| size[axis]);
        *side = match (input.dims.get(2 + axis).copied().flatten(), wanted) {
            (Some(fixed), Some(wanted)) if fixed != wanted => {
                return Err(Error::Unusable(format!("the graph's input {input} takes no images of side {wanted}")));
            }
            (Some(side), _) | (None, Some(side)) => side,
            (None, None) => 224,
        };
        if !(1..=MAX_SIDE).contains(side) {
            return Err(Error::Unusable(format!("the graph's input {input} is no image of a usable size")));
        }
    }
    Ok(size)
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Embedding,
    Logits,
    /// The graph's only output, by whose name it may be either.
    Either,
}

/// The outputs that are of use: logits by their name, an embedding by its name or its being alone.
pub(super) fn choose(outputs: &[Port]) -> Result<Vec<(String, Kind)>, Error> {
    let flat: Vec<&Port> = outputs.iter().filter(|output| matches!(output.dims.len(), 0 | 2)).collect();
    let named = |parts: &[&str]| {
        parts.iter().find_map(|part| flat.iter().find(|output| output.name.to_lowercase().contains(part)))
    };
    let logits = named(&["logits", "prob"]);
    let others: Vec<_> = flat.iter().filter(|output| Some(*output) != logits).collect();
    let embedding = named(&["image_embed", "image_features", "embed", "pooler", "feature"])
        .filter(|output| Some(*output) != logits);
    let kind = if embedding.is_some() { Kind::Embedding } else { Kind::Either };
    let embedding = embedding.or(match others[..] {
        [only] if logits.is_none() => Some(only),
        _ => None,
    });
    let chosen: Vec<_> = [(embedding, kind), (logits, Kind::Logits)]
        .into_iter()
        .filter_map(|(output, kind)| Some((output?.name.clone(), kind)))
        .collect();
    if chosen.is_empty() {
        let list: Vec<_> = outputs.iter().map(Port::to_string).collect();
        return Err(Error::Unusable(format!(
            "the graph gives neither an embedding nor logits of shape [N, values]; it gives {}",
            list.join(", ")
        )));
    }
    Ok(chosen)
}

/// The inputs of a text tower: token ids and attention mask, `[context]` each.
pub(super) const TEXT_INPUTS: [&str; 2] = ["input_ids", "attention_mask"];

/// Fills them: ids up to the whole context, of which only the first ones count, unless the tower has a padding of its own.
pub(super) fn text_inputs(ids: &[u32], context: usize, padding: Option<Padding>) -> Result<[Vec<i64>; 2], Error> {
    if let (Some(Padding { id, before }), Some(missing)) = (padding, context.checked_sub(ids.len())) {
        let fill = |count| std::iter::repeat_n(&id, count);
        let front = if before { missing } else { 0 };
        let all = fill(front).chain(ids).chain(fill(missing - front));
        return Ok([all.map(|&id| i64::from(id)).collect(), vec![1; context]]);
    }
    let (Some(&last), true) = (ids.last(), ids.len() <= context) else {
        return Err(edgelip_runtime::Error::Tokens.into());
    };
    let padded = (0..context).map(|i| i64::from(*ids.get(i).unwrap_or(&last))).collect();
    Ok([padded, (0..context).map(|i| i64::from(i < ids.len())).collect()])
}

/// Puts an embedding to unit length.
pub(super) fn normalise(embedding: &mut [f32]) {
    let norm = embedding.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
    // Files of edgelip are normalised already: leave their bits alone.
    if (norm - 1.0).abs() > 1e-5 {
        embedding.iter_mut().for_each(|value| *value = (f64::from(*value) / norm.max(1e-12)) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, dims: &[Option<usize>]) -> Port {
        Port { name: name.into(), element: 1, dims: dims.to_vec() }
    }

    #[test]
    fn outputs_are_chosen_by_name_and_shape() {
        let chosen = |outputs: &[Port]| choose(outputs).map_err(|error| error.to_string());
        let hidden = port("last_hidden_state", &[None, Some(50), Some(768)]);
        let embeds = port("image_embeds", &[None, Some(512)]);
        let logits = port("logits_per_image", &[None, Some(3)]);
        assert_eq!(chosen(&[embeds.clone(), hidden.clone()]).unwrap(), [("image_embeds".into(), Kind::Embedding)]);
        assert_eq!(chosen(&[embeds, logits.clone()]).unwrap().len(), 2);
        assert_eq!(chosen(&[logits]).unwrap(), [("logits_per_image".into(), Kind::Logits)]);
        assert_eq!(chosen(&[port("2891", &[Some(1), Some(512)])]).unwrap(), [("2891".into(), Kind::Either)]);
        assert!(chosen(&[hidden]).unwrap_err().contains("`last_hidden_state` [?, 50, 768]"));
    }

    #[test]
    fn inputs_are_one_image_of_the_size_wanted() {
        let image = port("pixels", &[None, Some(3), Some(64), None]);
        assert_eq!(image_size(&image, None).unwrap(), [64, 224]);
        assert_eq!(image_size(&image, Some([64, 96])).unwrap(), [64, 96]);
        assert!(image_size(&image, Some([96, 96])).is_err());
        assert!(image_input(&[image.clone(), image]).unwrap_err().to_string().contains("2 inputs"));
        assert!(image_input(&[port("x", &[None, Some(4), None, None])]).is_err());
    }

    #[test]
    fn texts_are_padded_and_masked() {
        assert_eq!(text_inputs(&[5, 7], 3, None).unwrap(), [vec![5, 7, 7], vec![1, 1, 0]]);
        assert!(text_inputs(&[], 3, None).is_err() && text_inputs(&[1; 4], 3, None).is_err());
        for (before, ids) in [(false, vec![5, 7, 1]), (true, vec![1, 5, 7])] {
            let padding = Some(Padding { id: 1, before });
            assert_eq!(text_inputs(&[5, 7], 3, padding).unwrap(), [ids, vec![1; 3]]);
            assert!(text_inputs(&[1; 4], 3, padding).is_err());
        }
    }
}
