//! Time and error of every case of every op: `cargo run --release -p serin-cpu --example conformance_timing -- [text]`.
//!
//! `text` keeps the cases whose label contains it.

use serin_conformance::{Filter, run_each};
use serin_cpu::{Cpu, CpuOptions, Isa};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = std::env::args().nth(1).map_or_else(Filter::all, |text| Filter::containing(&text));
    let isa = Isa::detect();
    let levels = isa.levels();
    let cpus: Result<Vec<Cpu>, _> =
        levels.iter().map(|&level| Cpu::new(CpuOptions { isa: isa.up_to(level), ..CpuOptions::default() })).collect();
    let cpus = cpus?;
    let reports = run_each(&cpus.iter().collect::<Vec<_>>(), &filter);
    let names: String = levels.iter().map(|level| format!("{:>20}", level.name())).collect();
    println!("{names}  (µs, error/tolerance)");
    for index in 0..reports[0].cases().len() {
        for report in &reports {
            let case = &report.cases()[index];
            let error = case.result.as_ref().map_or("WRONG".to_owned(), |ratio| format!("{ratio:.3}"));
            print!("{:>12.1} {error:>7}", case.seconds * 1e6);
        }
        println!("  {}", reports[0].cases()[index].label);
    }
    Ok(())
}
