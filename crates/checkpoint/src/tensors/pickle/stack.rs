//! The machine's stack and arena: what may be pushed, and what a MARK protects.

use super::machine::{Machine, Stop};
use super::value::{Value, ValueId};

/// Values, stack entries, marks and memo entries; a state dict of 10,000 tensors needs 300,000.
pub(super) const MAX_VALUES: usize = 1_000_000;

impl Machine<'_> {
    pub(super) fn get(&self, id: ValueId) -> &Value {
        self.values.get(id).unwrap_or(&Value::None)
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), Stop> {
        if self.values.len() >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values").into());
        }
        self.values.push(value);
        self.push_id(self.values.len() - 1)
    }

    pub(super) fn push_id(&mut self, id: ValueId) -> Result<(), Stop> {
        if self.stack.len() >= MAX_VALUES {
            return Err("the stack grows too high".into());
        }
        self.stack.push(id);
        Ok(())
    }

    /// The lowest stack height that may be popped to: the last MARK protects what lies below.
    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn top(&self) -> Result<ValueId, Stop> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        above.last().copied().ok_or_else(|| "the stack is empty".into())
    }

    pub(super) fn pop(&mut self) -> Result<ValueId, Stop> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<ValueId>, Stop> {
        let mark = self.marks.pop().ok_or("no MARK to return to")?;
        // Collected, so that a value's memory is what it holds and not the stack's capacity.
        Ok(self.stack.drain(mark.min(self.stack.len())..).collect())
    }

    pub(super) fn pop_text(&mut self) -> Result<String, Stop> {
        let id = self.pop()?;
        match self.get(id) {
            Value::Text(text) => Ok(text.clone()),
            other => Err(format!("a name must be a text, not {}", other.kind()).into()),
        }
    }
}
