//! Optimizer groups, loss scaling, schedules, the training loop, evaluation.

pub mod report;
