//! What became of the cases on one backend.

use crate::Op;
use std::collections::BTreeMap;
use std::fmt;

/// A case that ran.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// What was checked.
    pub op: Op,
    /// The op, the storage type, the shape and what else tells the case from others.
    pub label: String,
    /// The largest error over what is allowed (0 for properties), or what is wrong.
    pub result: Result<f64, String>,
    /// Seconds inside the op, the faster of two runs.
    pub seconds: f64,
}

/// What became of the cases on one backend.
#[derive(Clone, Debug)]
pub struct Report {
    backend: String,
    cases: Vec<CaseReport>,
    not_run: BTreeMap<Op, usize>,
    /// A hash of all output bytes of each op.
    bits: BTreeMap<Op, u64>,
}

impl Report {
    pub(crate) fn new(backend: String) -> Report {
        Report { backend, cases: Vec::new(), not_run: BTreeMap::new(), bits: BTreeMap::new() }
    }

    pub(crate) fn not_run(&mut self, op: Op) {
        *self.not_run.entry(op).or_default() += 1;
    }

    pub(crate) fn add<'a>(&mut self, case: CaseReport, bytes: impl IntoIterator<Item = &'a u8>) {
        // FNV-1a (Fowler, Noll, Vo 1991).
        let bits = self.bits.entry(case.op).or_insert(0xcbf2_9ce4_8422_2325);
        for &byte in bytes {
            *bits = (*bits ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.cases.push(case);
    }

    /// The backend, as it names itself.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The cases that ran.
    pub fn cases(&self) -> &[CaseReport] {
        &self.cases
    }

    /// The cases that ran and are wrong.
    pub fn failures(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| case.result.is_err())
    }

    /// A hash of all bits that each op gave: backends that must agree bit for bit have the same.
    pub fn bits(&self) -> &BTreeMap<Op, u64> {
        &self.bits
    }

    /// Panics with all failures; also when no case ran, because that shows nothing.
    pub fn assert_ok(&self) {
        assert!(!self.cases.is_empty(), "{}: no case ran", self.backend);
        let count = self.failures().count();
        let shown: String = self.failures().take(20).map(|case| format!("  {case}\n")).collect();
        assert!(count == 0, "{}: {count} of {} cases failed\n{shown}{self}", self.backend, self.cases.len());
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(ratio) => write!(f, "{} (error/tolerance {ratio:.3})", self.label),
            Err(what) => write!(f, "{}: {what}", self.label),
        }
    }
}

/// A table, a line an op.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.backend)?;
        writeln!(f, "  {:28} {:>6} {:>6} {:>7}  worst error/tolerance", "op", "passed", "failed", "not run")?;
        for op in Op::ALL {
            let of_op = || self.cases.iter().filter(|case| case.op == op);
            let passed = || of_op().filter_map(|case| case.result.as_ref().ok().map(|&ratio| (ratio, &case.label)));
            let failed = of_op().count() - passed().count();
            let not_run = self.not_run.get(&op).copied().unwrap_or(0);
            write!(f, "  {op:28} {:>6} {failed:>6} {not_run:>7}", passed().count())?;
            match passed().max_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((ratio, label)) => writeln!(f, "  {ratio:.3} {label}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
