//! What the allowed globals mean when the pickle "calls" them: descriptions built from checked arguments.

use super::super::strided::Layout;
use super::globals::Global;
use super::machine::{Machine, Stop};
use super::value::{Storage, Value, ValueId};

/// Weights of this model family have at most two; PyTorch allows 64.
const MAX_DIMENSIONS: usize = 8;
/// `torch.save` writes decimal numbers as keys. Memoised texts can be mentioned again and again in a
/// few bytes, so what is copied from them must be short.
const MAX_KEY_BYTES: usize = 64;
/// Items of an `OrderedDict([…])`, which are copied too.
const MAX_LISTED_ITEMS: usize = 100_000;

impl Machine<'_> {
    /// `OrderedDict()`, or `OrderedDict([[key, value], …])` as Python 2 pickled it.
    pub(super) fn ordered_dict(&mut self, arguments: &[ValueId]) -> Result<Value, Stop> {
        let pairs = match arguments {
            [] => Vec::new(),
            &[list] => {
                let Value::List(items) = self.get(list) else {
                    return Err("OrderedDict is called with something other than a list".into());
                };
                if self.listed_items.saturating_add(items.len()) > MAX_LISTED_ITEMS {
                    return Err("OrderedDicts are built from too many listed items".into());
                }
                let pairs = items.iter().map(|&item| self.pair(item)).collect::<Result<Vec<_>, _>>()?;
                self.listed_items += pairs.len();
                pairs
            }
            _ => return Err("OrderedDict is called with more than one argument".into()),
        };
        Ok(Value::Dict(pairs))
    }

    fn pair(&self, id: ValueId) -> Result<(ValueId, ValueId), Stop> {
        match self.get(id) {
            Value::List(items) | Value::Tuple(items) => match items.as_slice() {
                &[key, value] => Ok((key, value)),
                _ => Err("an OrderedDict item is not a pair".into()),
            },
            _ => Err("an OrderedDict item is not a pair".into()),
        }
    }

    /// `torch.Size((…))`: the tuple itself.
    pub(super) fn size(&self, arguments: &[ValueId]) -> Result<ValueId, Stop> {
        let &[tuple] = arguments else {
            return Err("torch.Size needs one argument".into());
        };
        self.numbers(tuple, "torch.Size")?;
        Ok(tuple)
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])`.
    pub(super) fn rebuild_tensor(&self, arguments: &[ValueId]) -> Result<Value, Stop> {
        let &[storage, offset, size, stride, ..] = arguments else {
            return Err("_rebuild_tensor_v2 needs a storage, an offset, a size and a stride".into());
        };
        if !matches!(self.get(storage), Value::Storage(_)) {
            return Err(format!("a tensor is built on {} instead of a storage", self.get(storage).kind()).into());
        }
        let layout = Layout {
            offset: self.number(offset, "a storage offset")?,
            shape: self.numbers(size, "a shape")?,
            strides: self.numbers(stride, "a stride")?,
        };
        Ok(Value::Tensor { storage, layout })
    }

    /// `_rebuild_parameter(tensor, requires_grad, backward_hooks)`: the tensor itself.
    pub(super) fn rebuild_parameter(&self, arguments: &[ValueId]) -> Result<ValueId, Stop> {
        match arguments {
            &[tensor, ..] if matches!(self.get(tensor), Value::Tensor { .. }) => Ok(tensor),
            _ => Err("_rebuild_parameter needs a tensor".into()),
        }
    }

    /// The persistent id `("storage", type, key, location, elements[, view])`.
    pub(super) fn storage(&self, id: ValueId) -> Result<Storage, Stop> {
        let Value::Tuple(fields) = self.get(id) else {
            return Err("a persistent id is not a tuple".into());
        };
        let &[tag, storage_type, key, _location, elements, ref view @ ..] = fields.as_slice() else {
            return Err("a persistent id has too few fields".into());
        };
        if !matches!(self.get(tag), Value::Text(tag) if tag == "storage") {
            return Err("a persistent id is not of a storage".into());
        }
        let &Value::Global(Global::StorageType(dtype)) = self.get(storage_type) else {
            return Err("a storage has no type".into());
        };
        let Value::Text(key) = self.get(key) else {
            return Err("a storage has no key".into());
        };
        if key.len() > MAX_KEY_BYTES {
            return Err("a storage's key is too long".into());
        }
        if view.iter().any(|&view| !matches!(self.get(view), Value::None)) {
            return Err("storages that are views of others (PyTorch before 0.4) are not read".into());
        }
        let elements = self.number(elements, "a storage's size")?;
        Ok(Storage { dtype, key: key.clone(), elements })
    }

    fn number(&self, id: ValueId, what: &str) -> Result<usize, Stop> {
        match self.get(id) {
            &Value::Int(number) => usize::try_from(number).map_err(|_| format!("{what} is {number}").into()),
            other => Err(format!("{what} is {}, not an integer", other.kind()).into()),
        }
    }

    fn numbers(&self, id: ValueId, what: &str) -> Result<Vec<usize>, Stop> {
        match self.get(id) {
            Value::Tuple(items) if items.len() > MAX_DIMENSIONS => {
                Err(format!("{what} has more than {MAX_DIMENSIONS} dimensions").into())
            }
            Value::Tuple(items) => items.iter().map(|&item| self.number(item, what)).collect(),
            other => Err(format!("{what} is {}, not a tuple", other.kind()).into()),
        }
    }
}
