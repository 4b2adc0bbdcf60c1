//! `dialback demo`.

mod run;
mod sample;

pub(crate) use run::{DemoOptions, run};
