//! The files through which a step communicates with the runner (GitHub Actions, "Workflow commands": "Environment
//! files").

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

use crate::files;

/// Adds outputs. Each value is enclosed in an unpredictable delimiter, so that no value can end itself and begin
/// another output.
///
/// # Errors
/// Any error from writing.
pub fn add_outputs(file: &Path, outputs: &[(&str, String)]) -> io::Result<()> {
    let mut text = String::new();
    for (name, value) in outputs {
        // The standard library seeds its hasher from the system's random numbers.
        let random = || RandomState::new().hash_one(name);
        let delimiter = format!("layergate_{:016x}{:016x}", random(), random());
        text.push_str(&format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"));
    }
    append(file, text.as_bytes())
}

/// Adds markdown to the step's summary.
///
/// # Errors
/// Any error from writing.
pub fn add_summary(file: &Path, markdown: &str) -> io::Result<()> {
    append(file, format!("{markdown}\n").as_bytes())
}

fn append(file: &Path, content: &[u8]) -> io::Result<()> {
    files::append(file)?.write_all(content)
}
