//! One table of cases per op, checking any backend against the reference.
//!
//! A case has inputs that its storage type holds exactly, runs on any [`Backend`], and is compared element by element with
//! [`Reference<f64>`](serin_ops::reference::Reference) on the same inputs. What may differ is derived from unit roundoffs
//! and the sizes of the operands, never picked: [`tolerance`] says how. Properties hold bit for bit: the same call twice,
//! once on row-major activations and once on [`Backend::activations`], a row whatever rows are beside it, a weight however it came to its values.
#![forbid(unsafe_code)]

mod cases;
mod numbers;
mod op;
mod properties;
mod report;
mod tolerance;
mod trial;

pub use op::Op;
pub use report::{CaseReport, Report};

use cases::Case;
use properties::Property;
use serin_ops::Backend;
use serin_ops::reference::Reference;
use trial::{Output, Trial};

/// Which cases to run.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    containing: String,
}

impl Filter {
    /// All of them.
    pub fn all() -> Filter {
        Filter::default()
    }

    /// Those whose label contains `text`: an op's name, a storage type, a shape.
    pub fn containing(text: &str) -> Filter {
        Filter { containing: text.to_owned() }
    }

    fn keeps(&self, label: &str) -> bool {
        label.contains(&self.containing)
    }
}

/// Runs the cases that `filter` keeps on `backend`.
pub fn run<B: Backend>(backend: &B, filter: &Filter) -> Report {
    run_each(&[backend], filter).remove(0)
}

/// [`run`] on several backends; what is expected is computed once for all.
pub fn run_each<B: Backend>(backends: &[&B], filter: &Filter) -> Vec<Report> {
    let reports = backends.iter().map(|backend| Report::new(backend.name())).collect();
    let mut runner = Runner { backends, filter, reports };
    cases::each(&mut runner);
    properties::each(&mut runner);
    runner.reports
}

/// Takes every entry of the table.
pub(crate) trait Visitor {
    fn case(&mut self, case: impl Case);
    fn property(&mut self, property: impl Property);
}

struct Runner<'a, B: Backend> {
    backends: &'a [&'a B],
    filter: &'a Filter,
    reports: Vec<Report>,
}

impl<B: Backend> Runner<'_, B> {
    /// The label, where the entry is to run; otherwise it is written down as not run.
    fn chosen(&mut self, op: Op, label: &str) -> Option<String> {
        let label = format!("{op}: {label}");
        if self.filter.keeps(&label) {
            return Some(label);
        }
        self.reports.iter_mut().for_each(|report| report.not_run(op));
        None
    }
}

impl<B: Backend> Visitor for Runner<'_, B> {
    fn case(&mut self, case: impl Case) {
        let op = case.op();
        let Some(label) = self.chosen(op, &case.label()) else { return };
        let expected = expect(&case);
        let tolerances = case.tolerances(&expected);
        for (backend, report) in self.backends.iter().zip(&mut self.reports) {
            let [first, second] = [Trial::on(*backend), Trial::on(*backend).in_its_order()].map(|mut trial| {
                case.run(&mut trial);
                trial
            });
            let mut result = trial::compare(&first.outputs, &expected, &tolerances);
            if result.is_ok() && !same_bits(&first.outputs, &second.outputs) {
                result = Err("the same call on activations in the order of the device gives other bits".to_owned());
            }
            let bytes = first.outputs.iter().flat_map(|output| &output.bytes);
            let seconds = first.seconds.min(second.seconds);
            report.add(CaseReport { op, label: label.clone(), result, seconds }, bytes);
        }
    }

    fn property(&mut self, property: impl Property) {
        let op = property.op();
        let Some(label) = self.chosen(op, &property.label()) else { return };
        for (backend, report) in self.backends.iter().zip(&mut self.reports) {
            let mut trial = Trial::on(*backend);
            let result = property.check(&mut trial).map(|()| 0.0);
            report.add(CaseReport { op, label: label.clone(), result, seconds: trial.seconds }, []);
        }
    }
}

/// What the reference gives for a case, unrounded.
fn expect(case: &impl Case) -> Vec<Vec<f64>> {
    let reference = Reference::<f64>::new();
    let mut trial = Trial::reading(&reference, |_, buffer| buffer.values.clone());
    case.run(&mut trial);
    trial.outputs.into_iter().map(|output| output.values).collect()
}

fn same_bits(a: &[Output], b: &[Output]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.bytes == b.bytes)
}
