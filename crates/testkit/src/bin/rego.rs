//! Answers what OPA was asked: for every file of `testdata/rego/conformance`, one line with its name
//! and the value of `data.t.result`, in the form of the answers that are recorded there. For
//! `scripts/rego-diff`.

#![allow(clippy::print_stdout, reason = "this is its output")]

use std::error::Error;
use std::path::Path;

use stagegate_testkit::rego_answer;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path)?;
        let name = Path::new(&path).file_stem().unwrap_or_default();
        let name = name.to_string_lossy();
        println!("{name}\t{}", rego_answer(&name, &text));
    }
    Ok(())
}
