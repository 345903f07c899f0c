//! The stack machine: one opcode at a time, bounded in every direction.

use std::collections::HashMap;
use std::path::Path;

use super::globals::{self, Global};
use super::source::Source;
use super::stack::MAX_VALUES;
use super::value::{Storage, Value, ValueId};
use crate::{CheckpointError, Hint};

/// `_rebuild_tensor_v2` takes the most, seven.
const MAX_ARGUMENTS: usize = 16;
/// Protocols 2 to 5 are what `torch.save` can be told to write.
const HIGHEST_PROTOCOL: u8 = 5;

/// A finished pickle.
#[derive(Debug)]
pub(in crate::tensors) struct Unpickled {
    values: Vec<Value>,
    root: ValueId,
    /// How many bytes it took, its STOP included.
    pub(in crate::tensors) length: usize,
}

impl Unpickled {
    pub(in crate::tensors) fn root(&self) -> &Value {
        self.get(self.root)
    }

    pub(in crate::tensors) fn get(&self, id: ValueId) -> &Value {
        self.values.get(id).unwrap_or(&Value::None)
    }

    /// Every storage that the pickle mentions.
    pub(in crate::tensors) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

/// Reads one pickle from the start of `bytes`; `path` is for messages.
pub(in crate::tensors) fn unpickle(path: &Path, bytes: &[u8]) -> Result<Unpickled, CheckpointError> {
    let mut machine = Machine::new(bytes);
    match machine.run() {
        Ok(root) => Ok(Unpickled { root, length: machine.source.position(), values: machine.values }),
        Err(Stop::Refused(global)) => Err(CheckpointError::RefusedGlobal { path: path.to_owned(), global }),
        Err(Stop::Broken(reason)) => Err(CheckpointError::Pickle {
            path: path.to_owned(),
            offset: machine.source.position(),
            reason,
            hint: Hint::NONE,
        }),
    }
}

/// Why the machine stopped early.
pub(super) enum Stop {
    /// The pickle names something outside the list.
    Refused(String),
    Broken(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<&str> for Stop {
    fn from(reason: &str) -> Self {
        Self::Broken(reason.to_owned())
    }
}

pub(super) struct Machine<'a> {
    source: Source<'a>,
    pub(super) values: Vec<Value>,
    pub(super) stack: Vec<ValueId>,
    /// Stack heights at each MARK.
    pub(super) marks: Vec<usize>,
    memo: HashMap<usize, ValueId>,
    /// Items copied out of lists so far, see `ordered_dict`.
    pub(super) listed_items: usize,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let source = Source::new(bytes);
        let (values, stack, marks, memo) = Default::default();
        Self { source, values, stack, marks, memo, listed_items: 0 }
    }

    /// Runs until STOP and gives the value on top.
    fn run(&mut self) -> Result<ValueId, Stop> {
        loop {
            match self.source.byte()? {
                b'.' => return self.pop(),
                0x80 => self.check_protocol()?,
                0x95 => drop(self.source.array::<8>()?), // FRAME
                opcode => self.step(opcode)?,
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Stop> {
        match opcode {
            b'(' | b'0' | b'1' | b'2' => self.arrange_stack(opcode),
            b'h' | b'j' | b'q' | b'r' | 0x94 => self.memo(opcode),
            b'c' | 0x93 => self.global(opcode),
            b')' | b't' | 0x85..=0x87 | b']' | b'l' | b'}' | b'd' | 0x8f => self.container(opcode),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.extend(opcode),
            b'R' => self.reduce(),
            b'b' => self.build(),
            b'Q' => self.persistent_id(),
            _ => self.scalar(opcode),
        }
    }

    fn check_protocol(&mut self) -> Result<(), Stop> {
        match self.source.byte()? {
            protocol if protocol <= HIGHEST_PROTOCOL => Ok(()),
            protocol => Err(format!("pickle protocol {protocol} is unknown").into()),
        }
    }

    fn scalar(&mut self, opcode: u8) -> Result<(), Stop> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.source.array()?).into()),
            b'K' => Value::Int(self.source.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.source.array()?).into()),
            0x8a => {
                let length = self.source.byte()?.into();
                Value::Int(self.source.long(length)?)
            }
            0x8b => {
                let length = usize::try_from(self.source.u32()?).map_err(|_| "a length overflows")?;
                Value::Int(self.source.long(length)?)
            }
            b'G' => {
                self.source.take(8)?;
                Value::Float
            }
            b'U' | 0x8c => Value::Text(self.source.text::<1>()?),
            b'T' | b'X' => Value::Text(self.source.text::<4>()?),
            0x8d => Value::Text(self.source.text::<8>()?),
            b'C' => self.source.counted::<1>().map(|_| Value::Bytes)?,
            b'B' => self.source.counted::<4>().map(|_| Value::Bytes)?,
            0x8e | 0x96 => self.source.counted::<8>().map(|_| Value::Bytes)?,
            _ => return Err(self.unwanted(opcode)),
        };
        self.push(value)
    }

    /// Opcodes that weights never need; INST names what it wants to run, so the refusal names it too.
    fn unwanted(&mut self, opcode: u8) -> Stop {
        let name = match opcode {
            b'i' => match (self.source.line(), self.source.line()) {
                (Ok(module), Ok(name)) => return Stop::Refused(format!("{module}.{name}")),
                _ => "INST",
            },
            b'o' => "OBJ",
            0x81 => "NEWOBJ",
            0x92 => "NEWOBJ_EX",
            0x82..=0x84 => return Stop::Refused("something from the extension registry (opcode EXT)".to_owned()),
            b'I' | b'L' | b'F' | b'S' | b'V' | b'g' | b'p' | b'P' => "of text protocol 0",
            _ => return Stop::Broken(format!("0x{opcode:02x} is not an opcode that weights need")),
        };
        Stop::Broken(format!("opcode 0x{opcode:02x} ({name}) is refused: weights never need it"))
    }

    fn arrange_stack(&mut self, opcode: u8) -> Result<(), Stop> {
        match opcode {
            b'(' if self.marks.len() >= MAX_VALUES => return Err("too many marks".into()),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            _ => self.push_id(self.top()?)?,
        }
        Ok(())
    }

    fn memo(&mut self, opcode: u8) -> Result<(), Stop> {
        let index = match opcode {
            b'h' | b'q' => self.source.byte()?.into(),
            b'j' | b'r' => usize::try_from(self.source.u32()?).map_err(|_| "a memo index overflows")?,
            _ => self.memo.len(),
        };
        if matches!(opcode, b'h' | b'j') {
            let id = *self.memo.get(&index).ok_or_else(|| format!("memo {index} was never stored"))?;
            return self.push_id(id);
        }
        if self.memo.len() >= MAX_VALUES {
            return Err("too many memo entries".into());
        }
        self.memo.insert(index, self.top()?);
        Ok(())
    }

    fn global(&mut self, opcode: u8) -> Result<(), Stop> {
        let (module, name) = if opcode == b'c' {
            (self.source.line()?, self.source.line()?)
        } else {
            let name = self.pop_text()?;
            (self.pop_text()?, name)
        };
        match globals::lookup(&module, &name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(Stop::Refused(format!("{module}.{name}"))),
        }
    }

    fn container(&mut self, opcode: u8) -> Result<(), Stop> {
        let value = match opcode {
            b')' => Value::Tuple(Vec::new()),
            b't' => Value::Tuple(self.pop_to_mark()?),
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                Value::Tuple(items)
            }
            b']' => Value::List(Vec::new()),
            b'l' => Value::List(self.pop_to_mark()?),
            b'}' => Value::Dict(Vec::new()),
            b'd' => Value::Dict(pairs(&self.pop_to_mark()?)?),
            _ => Value::Set,
        };
        self.push(value)
    }

    /// APPEND, APPENDS, SETITEM, SETITEMS, ADDITEMS.
    fn extend(&mut self, opcode: u8) -> Result<(), Stop> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        match (opcode, self.values.get_mut(target)) {
            (b'a' | b'e', Some(Value::List(list))) => list.extend(items),
            (b's' | b'u', Some(Value::Dict(dict))) => dict.extend(pairs(&items)?),
            (0x90, Some(Value::Set)) => {}
            (_, Some(other)) => return Err(format!("items are added to {}", other.kind()).into()),
            (_, None) => return Err("items are added to nothing".into()),
        }
        Ok(())
    }

    /// Attributes: only dicts have harmless ones (`OrderedDict._metadata`), which are ignored.
    fn build(&mut self) -> Result<(), Stop> {
        let state = self.pop()?;
        let target = self.top()?;
        match (self.get(target), self.get(state)) {
            (Value::Dict(_), Value::Dict(_)) => Ok(()),
            (target, state) => {
                Err(format!("BUILD of {} from {} is refused: weights never need it", target.kind(), state.kind())
                    .into())
            }
        }
    }

    fn reduce(&mut self) -> Result<(), Stop> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let (&Value::Global(function), Value::Tuple(arguments)) = (self.get(function), self.get(arguments)) else {
            return Err("REDUCE needs a function and a tuple".into());
        };
        if arguments.len() > MAX_ARGUMENTS {
            return Err("REDUCE has too many arguments".into());
        }
        let arguments = &arguments.clone();
        match function {
            Global::OrderedDict => {
                let dict = self.ordered_dict(arguments)?;
                self.push(dict)
            }
            Global::RebuildTensor => {
                let tensor = self.rebuild_tensor(arguments)?;
                self.push(tensor)
            }
            Global::RebuildParameter => {
                let tensor = self.rebuild_parameter(arguments)?;
                self.push_id(tensor)
            }
            Global::Size => {
                let tuple = self.size(arguments)?;
                self.push_id(tuple)
            }
            Global::StorageType(_) | Global::ElementType => Err("a storage or element type is no function".into()),
        }
    }

    fn persistent_id(&mut self) -> Result<(), Stop> {
        let id = self.pop()?;
        let storage = self.storage(id)?;
        self.push(Value::Storage(storage))
    }
}

fn pairs(items: &[ValueId]) -> Result<Vec<(ValueId, ValueId)>, Stop> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err("a dict has a key without a value".into()),
    }
}
