//! A pickle reader for weights: it builds tuples, dicts, numbers, texts and tensor descriptions, and
//! calls nothing.
//!
//! A pickle is a program for a stack machine whose GLOBAL and REDUCE opcodes import and call anything
//! (<https://docs.python.org/3/library/pickle.html>, opcodes in Lib/pickletools.py). This machine
//! knows the dozen globals that `torch.save(state_dict)` writes, as descriptions rather than code
//! ([`globals`]); any other is an error that names it. Opcodes of the text protocol 0 and of class
//! instances, which `torch.save` never writes for weights, are errors too.

mod calls;
mod globals;
mod machine;
mod source;
mod stack;
mod value;

pub(super) use machine::{Unpickled, unpickle};
pub(super) use value::{Storage, Value};
