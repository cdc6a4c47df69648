//! Every text that the images of a run can be paired with.

use std::collections::HashMap;

use super::Dataset;
use crate::random::Stream;

/// How often a class goes by its first, most common name.
const FIRST_NAME: f32 = 0.7;

/// The texts of a class, or of one image with sentences.
#[derive(Debug, Clone, PartialEq)]
pub enum Group {
    /// A class: its id, its names, and for each name the texts of all templates.
    Class {
        /// What tells it from others.
        id: String,
        /// The most common first.
        names: Vec<String>,
        /// Indices of texts.
        texts: Vec<Vec<usize>>,
    },
    /// One image's sentences: indices of texts.
    Sentences(Vec<usize>),
}

/// Distinct texts, and which of them belong together.
#[derive(Debug, Default)]
pub struct Texts {
    /// The texts.
    pub strings: Vec<String>,
    /// Classes, in the order of their first image, and images with sentences.
    pub groups: Vec<Group>,
    /// The group of each image.
    pub of_image: Vec<u32>,
    /// The groups that are classes.
    pub classes: Vec<u32>,
    /// The groups that are sentences.
    pub sentences: Vec<u32>,
}

impl Texts {
    /// Collects the texts of a data set; class names are put into the templates.
    pub fn collect(dataset: &Dataset, templates: &[String]) -> Texts {
        let mut texts = Texts::default();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut classes: HashMap<&str, u32> = HashMap::new();
        for item in &dataset.items {
            let mut index = |text: String| {
                *known.entry(text).or_insert_with_key(|text| {
                    texts.strings.push(text.clone());
                    texts.strings.len() - 1
                })
            };
            let next = texts.groups.len() as u32;
            let group = match &item.class {
                Some(id) => *classes.entry(id).or_insert(next),
                None => next,
            };
            if group == next {
                texts.groups.push(match &item.class {
                    Some(id) => {
                        texts.classes.push(next);
                        let of_name = |name: &String| {
                            templates.iter().map(|template| index(template.replace("{}", name))).collect()
                        };
                        let indices = item.captions.iter().map(of_name).collect();
                        Group::Class { id: id.clone(), names: item.captions.clone(), texts: indices }
                    }
                    None => {
                        texts.sentences.push(next);
                        Group::Sentences(item.captions.iter().map(|caption| index(caption.trim().to_owned())).collect())
                    }
                });
            }
            texts.of_image.push(group);
        }
        texts
    }

    /// The class of each image as a place in `classes`, −1 for images that have none.
    pub fn labels(&self) -> Vec<i64> {
        let place = |group: &u32| self.classes.iter().position(|class| class == group).map_or(-1, |i| i as i64);
        self.of_image.iter().map(place).collect()
    }

    /// One text of a group at random.
    pub fn draw(&self, group: u32, stream: &mut Stream) -> usize {
        match &self.groups[group as usize] {
            Group::Class { texts, .. } => {
                let others = texts.len() - 1;
                let name = if others == 0 || stream.unit() < FIRST_NAME { 0 } else { 1 + stream.below(others) };
                texts[name][stream.below(texts[name].len())]
            }
            Group::Sentences(texts) => texts[stream.below(texts.len())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Item, Photo};

    fn item(captions: &[&str], class: Option<&str>) -> Item {
        let photo = Photo { width: 1, height: 1, pixels: vec![0; 3] };
        Item { photo, captions: captions.iter().map(|&c| c.into()).collect(), class: class.map(str::to_owned) }
    }

    #[test]
    fn classes_share_a_group_and_texts_are_distinct() {
        let items = vec![
            item(&["cat", "tabby"], Some("n1")),
            item(&["A dog."], None),
            item(&["cat"], Some("n1")),
            item(&["A dog."], None),
        ];
        let templates = ["a {}".to_owned(), "one {}".to_owned()];
        let texts = Texts::collect(&Dataset { items, ..Dataset::default() }, &templates);
        assert_eq!(texts.of_image, [0, 1, 0, 2]);
        assert_eq!(texts.strings, ["a cat", "one cat", "a tabby", "one tabby", "A dog."]);
        assert_eq!((texts.classes.as_slice(), texts.sentences.as_slice()), ([0].as_slice(), [1, 2].as_slice()));
        assert_eq!(texts.labels(), [0, -1, 0, -1]);
        let mut stream = Stream::new(&[1]);
        let drawn: std::collections::BTreeSet<usize> = (0..200).map(|_| texts.draw(0, &mut stream)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
