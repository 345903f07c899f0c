//! What computed a run: it may go on on another device, or with other instructions, whose roundings are others.

use serde::{Deserialize, Serialize};

/// The parts of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Parts(Vec<Part>);

/// Steps in a row that the same arithmetic computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    /// The last step before it; 0 at the run's beginning.
    after_step: u64,
    /// What decides its roundings, as [`Hardware::arithmetic`](crate::device::Hardware::arithmetic) gives it.
    isa: String,
}

impl Parts {
    /// The run goes on after `step` with `isa`: parts of which no step is left are forgotten.
    pub(super) fn go_on(&mut self, step: u64, isa: &str) {
        self.0.retain(|part| part.after_step < step);
        if self.0.last().is_none_or(|part| part.isa != isa) {
            self.0.push(Part { after_step: step, isa: isa.to_owned() });
        }
    }

    /// What computed the steps up to `step`, where something else goes on after it.
    pub(super) fn left_at(&self, step: u64) -> Option<&str> {
        let [.., before, last] = &self.0[..] else { return None };
        (last.after_step == step).then_some(&before.isa)
    }

    /// "amx; after step 40 avx2".
    pub(crate) fn describe(&self) -> String {
        let part = |part: &Part| match part.after_step {
            0 => part.isa.clone(),
            step => format!("after step {step} {}", part.isa),
        };
        self.0.iter().map(part).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_a_run_there_and_back() {
        let mut parts = Parts::default();
        for (step, isa, described, left) in [
            (0, "amx", "amx", None),
            (10, "amx", "amx", None),
            (20, "gpu", "amx; after step 20 gpu", Some("amx")),
            (30, "gpu", "amx; after step 20 gpu", None),
            (40, "amx", "amx; after step 20 gpu; after step 40 amx", Some("gpu")),
        ] {
            parts.go_on(step, isa);
            assert_eq!((parts.describe().as_str(), parts.left_at(step)), (described, left));
        }
    }

    #[test]
    fn steps_that_were_lost_leave_no_part() {
        let mut parts = Parts::default();
        for (step, isa) in [(0, "amx"), (20, "gpu"), (40, "avx2")] {
            parts.go_on(step, isa);
        }
        // Killed before it saved: what goes on after step 40 is another; then that did not come far either.
        parts.go_on(40, "gpu");
        assert_eq!(parts.describe(), "amx; after step 20 gpu");
        parts.go_on(20, "amx");
        assert_eq!(parts.describe(), "amx");
        parts.go_on(0, "gpu");
        assert_eq!(parts.describe(), "gpu");
    }
}
