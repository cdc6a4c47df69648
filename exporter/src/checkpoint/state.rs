//! Which of a pickle's values are the weights, and what they are called.

use std::collections::BTreeMap;

use super::pickle::{Node, Pickle, Value};
use super::view::TensorView;

/// What training scripts keep a state dict under, the likelier first.
const WRAPPERS: [&str; 6] = ["state_dict", "model_state_dict", "model", "module", "net", "params"];
/// Most of these around each other.
const MAX_WRAPPERS: usize = 8;
/// Deepest nesting of modules, steps in all, and longest name.
const MAX_DEPTH: usize = 64;
const MAX_STEPS: usize = 1 << 20;
const MAX_NAME: usize = 1 << 10;

/// The tensors of a state dict or of a TorchScript module, by their dotted names.
///
/// # Errors
/// The reason: no tensors, names that are there twice, or values that contain themselves.
pub(super) fn tensors(pickle: &Pickle) -> Result<BTreeMap<String, TensorView>, String> {
    let mut walk = Walk { pickle, path: Vec::new(), steps: 0, name: String::new(), found: BTreeMap::new() };
    walk.visit(unwrap(pickle)?)?;
    if walk.found.is_empty() {
        return Err("describes no tensors: a state dict, alone or under `state_dict` or `model`, is read".into());
    }
    Ok(walk.found)
}

/// The state dict itself, whatever it is wrapped in.
fn unwrap(pickle: &Pickle) -> Result<Value, String> {
    let mut value = pickle.root();
    for _ in 0..MAX_WRAPPERS {
        let Some((_, Node::Dict(entries))) = pickle.node(value) else { return Ok(value) };
        let wrapped = WRAPPERS.iter().find_map(|&wrapper| {
            let is_it = |entry: &&(Value, Value)| pickle.text(entry.0) == Some(wrapper);
            let (_, inner) = entries.iter().rev().find(is_it)?;
            matches!(pickle.node(*inner), Some((_, Node::Dict(_) | Node::Object(_)))).then_some(*inner)
        });
        match wrapped {
            Some(inner) => value = inner,
            None => return Ok(value),
        }
    }
    Err(format!("a state dict more than {MAX_WRAPPERS} dicts deep, or one that contains itself"))
}

struct Walk<'a> {
    pickle: &'a Pickle,
    /// The nodes on the way to this one.
    path: Vec<usize>,
    steps: usize,
    name: String,
    found: BTreeMap<String, TensorView>,
}

impl Walk<'_> {
    /// Collects what is below a value; as deep as [`MAX_DEPTH`] allows, and so is the call stack.
    fn visit(&mut self, value: Value) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(format!("more than {MAX_STEPS} values in a state dict"));
        }
        let Some((index, node)) = self.pickle.node(value) else { return Ok(()) };
        let entries = match node {
            Node::Tensor(view) => {
                if self.found.insert(self.name.clone(), view.clone()).is_some() {
                    return Err(format!("`{}` is there twice", self.name));
                }
                return Ok(());
            }
            Node::Dict(entries) => entries,
            Node::Object(Some(attributes)) => match self.pickle.at(*attributes) {
                Node::Dict(entries) => entries,
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        if self.path.contains(&index) {
            return Err("a dict or module that contains itself".into());
        }
        if self.path.len() == MAX_DEPTH {
            return Err(format!("modules more than {MAX_DEPTH} deep"));
        }
        self.path.push(index);
        for &(key, value) in entries {
            let Some(key) = self.pickle.text(key) else { continue };
            let length = self.name.len();
            if length + key.len() >= MAX_NAME {
                return Err(format!("a name of more than {MAX_NAME} bytes"));
            }
            if length > 0 {
                self.name.push('.');
            }
            self.name.push_str(key);
            self.visit(value)?;
            self.name.truncate(length);
        }
        self.path.pop();
        Ok(())
    }
}
