//! Every op on every instruction set of this machine against the reference, and on one thread against two.

use serin_conformance::{Filter, Op, Report, run_each};
use serin_cpu::{Cpu, CpuOptions, Isa, IsaLevel};

/// The backends on one and on two threads of every level of the machine; the others are named.
fn backends() -> Vec<(IsaLevel, [Cpu; 2])> {
    let isa = Isa::detect();
    for level in IsaLevel::ALL.into_iter().filter(|level| !isa.levels().contains(level)) {
        eprintln!("not run: {level}, which this machine lacks");
    }
    let on = |level, threads| Cpu::new(CpuOptions { threads, isa: isa.up_to(level) }).unwrap();
    isa.levels().into_iter().map(|level| (level, [1, 2].map(|threads| on(level, threads)))).collect()
}

#[test]
fn every_op_conforms_on_every_level_and_number_of_threads() {
    let backends = backends();
    let all: Vec<&Cpu> = backends.iter().flat_map(|(_, cpus)| cpus).collect();
    let reports = run_each(&all, &Filter::all());
    for ((level, _), pair) in backends.iter().zip(reports.chunks(2)) {
        eprintln!("{}", pair[0]);
        pair.iter().for_each(Report::assert_ok);
        for op in Op::ALL {
            assert!(pair[0].cases().iter().any(|case| case.op == op), "{level}: no case of {op} ran");
            assert_eq!(pair[0].bits().get(&op), pair[1].bits().get(&op), "{level}: {op} differs on two threads");
        }
    }
}

#[test]
#[should_panic(expected = "no case ran")]
fn a_run_of_nothing_is_no_success() {
    let cpu = Cpu::new(CpuOptions { threads: 1, isa: Isa::detect() }).unwrap();
    serin_conformance::run(&cpu, &Filter::containing("no such case")).assert_ok();
}
