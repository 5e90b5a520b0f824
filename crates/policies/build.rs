//! Lists the policies: every file in a category's folder is one, and a file without its `mod`
//! line does not compile. So that adding a policy edits one existing line.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    let mut registry = String::from(
        "/// Every native policy.\npub fn all() -> Vec<Box<dyn Policy>> {\n    vec![\n",
    );
    for category in sorted(Path::new("src"))? {
        if !Path::new("src").join(&category).is_dir() {
            continue;
        }
        for file in sorted(&Path::new("src").join(&category))? {
            if let Some(module) = file.strip_suffix(".rs").filter(|m| *m != "mod") {
                let _ = writeln!(
                    registry,
                    "        Box::new({category}::{module}::policy()),"
                );
            }
        }
    }
    registry.push_str("    ]\n}\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("registry.rs"), registry)
}

fn sorted(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
