//! What must hold bit for bit.

mod independence;
mod memory;
mod weight;

use crate::Visitor;
use crate::op::Op;
use crate::trial::Trial;
use serin_ops::Backend;

/// Something that holds or does not.
pub(crate) trait Property {
    fn op(&self) -> Op;
    fn label(&self) -> String;
    /// Says what does not hold.
    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String>;
}

/// Shows every property to `visitor`.
pub(crate) fn each(visitor: &mut impl Visitor) {
    memory::each(visitor);
    weight::each(visitor);
    independence::each(visitor);
}
