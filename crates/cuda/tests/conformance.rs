//! Every op against the reference: on the emulator, and on the card where there is one.

mod support;

use serin_conformance::{Filter, Op};
use serin_cuda::Cuda;

fn check(device: &Cuda) {
    let report = serin_conformance::run(device, &Filter::all());
    eprintln!("{report}");
    report.assert_ok();
    for op in Op::ALL {
        assert!(report.cases().iter().any(|case| case.op == op), "no case of {op} ran");
    }
}

#[test]
fn every_op_conforms_on_the_emulator() {
    if let Some(device) = support::emulator() {
        check(device);
    }
}

#[test]
fn every_op_conforms_on_the_card() {
    if let Some(device) = support::card() {
        check(device);
    }
}
