//! Label banks made on the spot: names and prompts through a text tower.

use edgelip_runtime::Labels;

use crate::Error;
use crate::label_set::{Label, LabelSet};
use crate::text_batch::Worker;
use crate::text_tower::TextTower;

/// Label names with one l2-normalised embedding each.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelBank {
    names: Vec<String>,
    lines: String,
    rows: Vec<f32>,
    embedding: usize,
    templates: Vec<String>,
}

impl LabelBank {
    /// Embeds every prompt of every label; a label's row is the mean of its prompts' embeddings, normalised before and after.
    /// Labels with prompts of their own do not use `templates`. `progress` hears how many labels are done.
    ///
    /// # Errors
    /// [`Error::Labels`] if a label's prompts cancel out, and the text tower's errors.
    pub fn embed(
        set: &LabelSet,
        templates: &[String],
        tower: &mut TextTower<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, Error> {
        let (labels, embedding) = (set.labels(), tower.text().embedding());
        let length = labels.len().saturating_mul(embedding);
        let mut rows: Vec<f32> = Vec::new();
        rows.try_reserve_exact(length)
            .map_err(|_| Error::labels("labels", "too many of them for this machine's memory"))?;
        rows.resize(length, 0.0);
        let mut done = 0;
        let row = |index: usize, worker: &mut Worker<'_>| row(&labels[index], templates, worker, embedding);
        tower.each(labels.len(), row, |index, row: Vec<f32>| {
            rows[index * embedding..][..embedding].copy_from_slice(&row);
            done += 1;
            progress(done);
        })?;
        let names = set.names();
        let used = set.labels().iter().any(|label| label.prompts.is_empty());
        let templates = if used { templates.to_vec() } else { Vec::new() };
        Ok(LabelBank { lines: names.join("\n"), names, rows, embedding, templates })
    }

    /// The bank as the runtime takes it.
    ///
    /// # Errors
    /// [`Error::Runtime`] if names and rows do not match, which they do.
    pub fn labels(&self) -> Result<Labels<'_>, Error> {
        Ok(Labels::new(&self.lines, &self.rows, self.embedding)?)
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The embeddings `[labels, embedding]`.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Width of an embedding.
    pub fn embedding(&self) -> usize {
        self.embedding
    }

    /// The templates that were used; none if every label has its own prompts.
    pub fn templates(&self) -> &[String] {
        &self.templates
    }
}

/// The mean of a label's prompts, l2-normalised.
fn row(label: &Label, templates: &[String], worker: &mut Worker<'_>, embedding: usize) -> Result<Vec<f32>, Error> {
    let mut mean = vec![0.0; embedding];
    for prompt in prompts(label, templates) {
        let row = worker.embed(&prompt)?;
        let scale = 1.0 / norm(row);
        mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) * scale);
    }
    let length = mean.iter().map(|value| value * value).sum::<f64>().sqrt();
    if !length.is_finite() || length < 1e-6 {
        return Err(Error::labels(format!("label `{}`", label.name), "its prompts have no common embedding"));
    }
    Ok(mean.into_iter().map(|value| (value / length) as f32).collect())
}

fn prompts(label: &Label, templates: &[String]) -> Vec<String> {
    let patterns = if label.prompts.is_empty() { templates } else { &label.prompts };
    let spoken = label.spoken.as_ref().unwrap_or(&label.name);
    patterns.iter().map(|pattern| pattern.replace("{}", spoken)).collect()
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_prompts_replace_the_templates() {
        let templates = ["a photo of a {}.".to_string(), "{}, {}".to_string()];
        let mut label = Label { name: "cat".into(), spoken: None, prompts: Vec::new() };
        assert_eq!(prompts(&label, &templates), ["a photo of a cat.", "cat, cat"]);
        label.prompts = vec!["my {}".into(), "a pet".into()];
        assert_eq!(prompts(&label, &templates), ["my cat", "a pet"]);
        label.spoken = Some("tomcat".into());
        assert_eq!(prompts(&label, &templates), ["my tomcat", "a pet"]);
    }
}
