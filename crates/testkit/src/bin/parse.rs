//! The floor that a lint run is held against: `parse FOLDER` reads every YAML file below a folder
//! into memory, then parses them all, both on every core as lint does, and does nothing else. Prints
//! the bytes and the milliseconds of the parsing alone.

#![expect(clippy::print_stdout, reason = "a measurement's output")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use rayon::prelude::*;
use stagegate_manifest::{Format, Profile, Sources, decode, load};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Some(folder) = env::args().nth(1) else {
        return ExitCode::from(2);
    };
    let mut paths = Vec::new();
    if collect(Path::new(&folder), &mut paths).is_err() {
        return ExitCode::FAILURE;
    }
    let sources = Sources::new();
    let read = |path: &PathBuf| -> io::Result<_> {
        Ok(sources.add(path.display().to_string(), decode(fs::read(path)?)))
    };
    let files: io::Result<Vec<_>> = paths.par_iter().map(read).collect();
    let Ok(files) = files else {
        return ExitCode::FAILURE;
    };
    let begun = Instant::now();
    let loaded: Vec<_> = files
        .par_iter()
        .filter_map(|file| {
            let source = sources.get(*file)?;
            Some((
                source.text.len(),
                load(*file, &source, Format::Yaml, Profile::Apply),
            ))
        })
        .collect();
    let elapsed = begun.elapsed();
    let bytes: usize = loaded.iter().map(|(bytes, _)| bytes).sum();
    println!(
        "{bytes} bytes, {} files, {} ms",
        loaded.len(),
        elapsed.as_millis()
    );
    // What was parsed lives as long as it does in a lint run, and is not freed at the end there.
    std::mem::forget(loaded);
    ExitCode::SUCCESS
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
