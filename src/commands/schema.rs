//! `layergate schema`.

use super::{Exit, console};
use crate::cli::{SchemaArgs, SchemaOf};

/// Prints the schema. It is written by hand and part of the program; tests hold it to what is read and written.
///
/// # Errors
/// Whatever printing fails with.
pub fn run(arguments: &SchemaArgs) -> anyhow::Result<Exit> {
    console::result(text_of(arguments.of))?;
    Ok(Exit::Success)
}

fn text_of(of: SchemaOf) -> &'static str {
    match of {
        SchemaOf::Config => include_str!("../../schema/layergate.toml.json"),
        SchemaOf::Snapshot => include_str!("../../schema/snapshot.json"),
        SchemaOf::Report => include_str!("../../schema/report.json"),
    }
}
