//! What a pickle's calls make: storages, tensors and dicts, and of everything else nothing.

use std::ops::Range;

use super::allowed::{Global, allowed};
use super::machine::Machine;
use super::pickle::{MAX_NAME, Node, Value, text};
use super::view::{Storage, TensorView};

/// Longest name of a storage; torch counts them.
const MAX_KEY: usize = 64;

impl Machine<'_> {
    /// Puts what a name stands for on the stack.
    pub(super) fn global(&mut self, module: Range<usize>, name: Range<usize>) -> Result<(), String> {
        if module.len().max(name.len()) > MAX_NAME {
            return Err(format!("a name of more than {MAX_NAME} bytes"));
        }
        let [module, name] = [module, name].map(|range| String::from_utf8_lossy(&self.bytes[range]));
        match allowed(&module, &name) {
            Some(global) => self.push(Value::Global(global)),
            None => {
                let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect::<String>();
                Err(format!(
                    "it names `{}.{}`, which has no part in describing tensors: nothing was run; save model.state_dict() alone",
                    shown(&module),
                    shown(&name)
                ))
            }
        }
    }

    fn items(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::Node(index) => match &self.nodes[index] {
                Node::Tuple(items) | Node::List(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a persistent id stands for: `("storage", type, key, device, number of elements)`.
    pub(super) fn storage(&self, id: Value) -> Result<Storage, String> {
        match self.items(id) {
            Some(&[kind, Value::Global(Global::Storage(element)), key, _, Value::Int(count), ..])
                if text(self.bytes, kind) == Some("storage") =>
            {
                let key = text(self.bytes, key).filter(|key| key.len() <= MAX_KEY).ok_or("a storage without a name")?;
                let count = usize::try_from(count).map_err(|_| format!("a storage of {count} elements"))?;
                Ok(Storage { key: key.into(), element, count })
            }
            _ => Err("a persistent id that is no storage".into()),
        }
    }

    /// What a call makes, without making it.
    pub(super) fn call(&mut self, callable: Value, arguments: Value) -> Result<Value, String> {
        let Value::Global(global) = callable else {
            return match callable {
                Value::Opaque => Ok(Value::Opaque),
                _ => Err("a call of what is no name".into()),
            };
        };
        let arguments = self.items(arguments).ok_or("arguments that are no tuple")?;
        match (global, arguments) {
            (Global::Dict, []) => self.made(Node::Dict(Vec::new())),
            // A Counter is made of a dict.
            (Global::Dict, &[dict]) if matches!(self.node(dict), Some((_, Node::Dict(_)))) => Ok(dict),
            (Global::Dict, _) => Err("an OrderedDict with arguments: save with a newer torch".into()),
            (Global::Tensor, &[storage, offset, shape, strides, ..]) => {
                let element = match arguments.get(6) {
                    Some(&Value::Global(Global::Type(element))) => Some(element),
                    _ => None,
                };
                let Some((_, Node::Storage(storage))) = self.node(storage) else {
                    return Err("a tensor of what is no storage".into());
                };
                let view =
                    TensorView::new(storage, element, offset_of(offset)?, self.sizes(shape)?, self.sizes(strides)?)?;
                self.made(Node::Tensor(view))
            }
            (Global::Same, &[first, ..]) => Ok(first),
            (Global::FromType, &[callable, _, arguments, ..]) if callable != Value::Global(Global::FromType) => {
                self.call(callable, arguments)
            }
            (Global::Script, _) => self.made(Node::Object(None)),
            (Global::Opaque | Global::Type(_), _) => Ok(Value::Opaque),
            _ => Err(format!("a call with {} arguments, which is not known", arguments.len())),
        }
    }

    fn made(&mut self, node: Node) -> Result<Value, String> {
        self.make(node)?;
        self.pop()
    }

    fn node(&self, value: Value) -> Option<(usize, &Node)> {
        match value {
            Value::Node(index) => Some((index, &self.nodes[index])),
            _ => None,
        }
    }

    /// Lengths or strides.
    fn sizes(&self, value: Value) -> Result<Vec<usize>, String> {
        let items = self.items(value).ok_or("a shape that is no tuple")?;
        items.iter().map(|&item| offset_of(item)).collect()
    }

    /// Attributes of an object; those of anything else (metadata of a state dict, say) hold no tensors.
    pub(super) fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let Value::Node(object) = self.top()? else { return Ok(()) };
        if !matches!(self.nodes[object], Node::Object(_)) {
            return Ok(());
        }
        match self.node(state) {
            Some((attributes, Node::Dict(_))) => self.nodes[object] = Node::Object(Some(attributes)),
            _ => return Err("attributes that are no dict".into()),
        }
        Ok(())
    }
}

fn offset_of(value: Value) -> Result<usize, String> {
    match value {
        Value::Int(number) => usize::try_from(number).map_err(|_| format!("a tensor with a length of {number}")),
        _ => Err("a tensor whose lengths are no integers".into()),
    }
}
