//! The stack machine that pickles are programs for, as far as tensors need it: it moves values about, and `call` makes some.

use std::collections::HashMap;
use std::ops::Range;

use super::pickle::{Node, Value};

/// Most values on the stack, in the memo, and made in all.
const MAX_VALUES: usize = 1 << 19;

/// A program under way.
pub(super) struct Machine<'a> {
    pub(super) bytes: &'a [u8],
    /// The next byte.
    pub(super) at: usize,
    pub(super) nodes: Vec<Node>,
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Machine<'a> {
        Machine { bytes, at: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    /// Runs to the end; what is on top of the stack then.
    pub(super) fn run(&mut self) -> Result<Value, String> {
        loop {
            let code = self.take(1)?.start;
            match self.bytes[code] {
                b'.' => return self.pop(),
                0x80 => match self.number(1)? {
                    2..=5 => {}
                    other => return Err(format!("protocol {other} is not supported")),
                },
                // The length of a frame says nothing that the file does not.
                0x95 => {
                    self.take(8)?;
                }
                b'(' => self.mark()?,
                b'0' => {
                    self.pop()?;
                }
                b'1' => {
                    self.since_mark()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }
                b'N' | 0x88 | 0x89 => self.push(Value::Opaque)?,
                b'J' => {
                    let number = self.number(4)? as u32 as i32;
                    self.push(Value::Int(number.into()))?;
                }
                b'K' => self.integer(1)?,
                b'M' => self.integer(2)?,
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Opaque)?;
                }
                b'X' => self.string(4)?,
                0x8c => self.string(1)?,
                0x8d => self.string(8)?,
                b'T' | b'B' => self.blob(4)?,
                b'U' | b'C' => self.blob(1)?,
                0x8e => self.blob(8)?,
                b']' | 0x8f => self.make(Node::List(Vec::new()))?,
                b'}' => self.make(Node::Dict(Vec::new()))?,
                b')' => self.make(Node::Tuple(Vec::new()))?,
                b't' => {
                    let items = self.since_mark()?;
                    self.make(Node::Tuple(items))?;
                }
                b'l' => {
                    let items = self.since_mark()?;
                    self.make(Node::List(items))?;
                }
                b'd' => {
                    let items = self.since_mark()?;
                    self.make(Node::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                code @ 0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let start = self.height(count)?;
                    let items = self.stack.split_off(start);
                    self.make(Node::Tuple(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'q' => {
                    let id = self.number(1)?;
                    self.remember(id)?;
                }
                b'r' => {
                    let id = self.number(4)?;
                    self.remember(id)?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'h' => {
                    let id = self.number(1)?;
                    self.recall(id)?;
                }
                b'j' => {
                    let id = self.number(4)?;
                    self.recall(id)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (module, name) {
                        (Value::Text(a, b), Value::Text(c, d)) => self.global(a..b, c..d)?,
                        _ => return Err("a name that is no text".into()),
                    }
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.make(Node::Storage(storage))?;
                }
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    let made = self.call(callable, arguments)?;
                    self.push(made)?;
                }
                b'b' => self.build()?,
                other => {
                    return Err(format!("instruction {other:#04x} is not one that torch.save writes"));
                }
            }
        }
    }

    /// The next `count` bytes.
    fn take(&mut self, count: usize) -> Result<Range<usize>, String> {
        let range =
            self.at..self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or("it is cut off")?;
        self.at = range.end;
        Ok(range)
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, size: usize) -> Result<u64, String> {
        let range = self.take(size)?;
        Ok(self.bytes[range].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn integer(&mut self, size: usize) -> Result<(), String> {
        let number = self.number(size)?;
        self.push(Value::Int(number as i64))
    }

    /// An integer of any length; one beyond 64 bits is nothing that a tensor is described with.
    fn long(&mut self) -> Result<(), String> {
        let size = self.number(1)? as usize;
        let range = self.take(size)?;
        let bytes = &self.bytes[range];
        let value = match bytes.last() {
            None => Value::Int(0),
            Some(&last) if size <= 8 => {
                let filling = if last < 0x80 { 0 } else { 0xff };
                let mut word = [filling; 8];
                word[..size].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(word))
            }
            Some(_) => Value::Opaque,
        };
        self.push(value)
    }

    fn sized(&mut self, size: usize) -> Result<Range<usize>, String> {
        let length = usize::try_from(self.number(size)?).map_err(|_| "it is cut off")?;
        self.take(length)
    }

    fn string(&mut self, size: usize) -> Result<(), String> {
        let range = self.sized(size)?;
        self.push(Value::Text(range.start, range.end))
    }

    /// Bytes, or a string of Python 2: file names and numbers, if anything.
    fn blob(&mut self, size: usize) -> Result<(), String> {
        let range = self.sized(size)?;
        self.push(Value::Text(range.start, range.end))
    }

    /// Bytes up to a line break.
    fn line(&mut self) -> Result<Range<usize>, String> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or("it is cut off")?;
        let range = self.take(length + 1)?;
        Ok(range.start..range.end - 1)
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), String> {
        if self.stack.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values at a time"));
        }
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn make(&mut self, node: Node) -> Result<(), String> {
        if self.nodes.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        self.nodes.push(node);
        self.push(Value::Node(self.nodes.len() - 1))
    }

    /// Where the topmost `count` values start; what lies below the last mark is out of reach.
    fn height(&self, count: usize) -> Result<usize, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.len().checked_sub(count).filter(|&start| start >= floor).ok_or_else(|| "its stack is empty".into())
    }

    pub(super) fn pop(&mut self) -> Result<Value, String> {
        let start = self.height(1)?;
        let value = self.stack[start];
        self.stack.truncate(start);
        Ok(value)
    }

    pub(super) fn top(&self) -> Result<Value, String> {
        self.height(1).map(|start| self.stack[start])
    }

    fn mark(&mut self) -> Result<(), String> {
        if self.marks.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} marks"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let start = self.marks.pop().ok_or("its stack has no mark")?;
        Ok(self.stack.split_off(start))
    }

    fn remember(&mut self, id: u64) -> Result<(), String> {
        let top = self.top()?;
        if self.memo.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values to remember"));
        }
        self.memo.insert(id, top);
        Ok(())
    }

    fn recall(&mut self, id: u64) -> Result<(), String> {
        let value = *self.memo.get(&id).ok_or_else(|| format!("value {id} was never remembered"))?;
        self.push(value)
    }

    fn append(&mut self, items: &[Value]) -> Result<(), String> {
        match self.top()? {
            Value::Node(list) => match &mut self.nodes[list] {
                Node::List(list) => {
                    list.extend_from_slice(items);
                    Ok(())
                }
                _ => Err("items for what is no list".into()),
            },
            Value::Opaque => Ok(()),
            _ => Err("items for what is no list".into()),
        }
    }

    fn set_items(&mut self, items: &[Value]) -> Result<(), String> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without a value".into());
        }
        match self.top()? {
            Value::Node(dict) => match &mut self.nodes[dict] {
                Node::Dict(dict) => {
                    dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                    Ok(())
                }
                _ => Err("items for what is no dict".into()),
            },
            Value::Opaque => Ok(()),
            _ => Err("items for what is no dict".into()),
        }
    }
}
