//! What `layergate inspect` prints of one image.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::escape::{code, log, short};
use super::table::{self, Align, Column};
use super::words::{counted, exact};
use crate::image::census::PathRef;
use crate::image::{Bytes, Layer, Snapshot};
use crate::layer::{Applied, apply};

/// How many paths are listed.
const MAX_PATHS: usize = 10;

/// Writes an image's accounting, layers, largest and wasted files for a terminal or a log.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_text(snapshot: &Snapshot, width: usize, out: &mut impl Write) -> io::Result<()> {
    let image = &snapshot.image;
    writeln!(out, "Image {} ({}, {})", log(&image.name), log(&image.reference), snapshot.platform_text())?;
    write_tables(snapshot, &Style::Text { width }, out)
}

/// Writes the same as markdown.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_markdown(snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "### {} {}", code(&snapshot.image.name), code(&snapshot.platform_text()))?;
    write_tables(snapshot, &Style::Markdown, out)
}

/// How tables and the hostile text in them are written.
enum Style {
    Text { width: usize },
    Markdown,
}

impl Style {
    fn table<const N: usize>(&self, columns: [Column; N], rows: Vec<[String; N]>) -> String {
        match self {
            Style::Text { .. } => table::text(columns, rows),
            Style::Markdown => table::markdown(columns, rows),
        }
    }

    fn hostile(&self, text: &str) -> String {
        match self {
            Style::Text { width } => short(&log(text), *width),
            Style::Markdown => code(text),
        }
    }

    fn path(&self, path: PathRef<'_>) -> String {
        self.hostile(&format!("/{path}"))
    }
}

fn write_tables(snapshot: &Snapshot, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let columns = [("", Align::Left), ("", Align::Right), ("", Align::Right)];
    writeln!(out, "\n{}", style.table(columns, accounting(snapshot)))?;
    let columns = [
        ("Layer", Align::Right),
        ("Bytes", Align::Right),
        ("Compressed", Align::Right),
        ("Files", Align::Right),
        ("Instruction", Align::Left),
    ];
    let rows = snapshot.layers.iter().enumerate().map(|(index, layer)| layer_row(index, layer, style));
    writeln!(out, "\n{}", style.table(columns, rows.collect()))?;
    let Some(applied) = applied(snapshot) else { return Ok(()) };
    let columns = [("Bytes", Align::Right), ("Layer", Align::Right), ("Largest files", Align::Left)];
    let rows = largest(&applied.existing, |file| (file.size, Reverse(file.path.0)))
        .map(|file| [file.size.grouped(), (file.layer + 1).to_string(), style.path(file.path)]);
    writeln!(out, "\n{}", style.table(columns, rows.collect()))?;
    if applied.wasted == Bytes(0) {
        return Ok(());
    }
    let columns = [
        ("Bytes", Align::Right),
        ("Layers", Align::Left),
        ("Wasted: shipped, cannot be reached", Align::Left),
    ];
    let rows = largest(&applied.waste, |file| (file.size, Reverse(file.path.0))).map(|file| {
        let layers = format!("stored by {}, hidden by {}", file.stored_by + 1, file.hidden_by + 1);
        [file.size.grouped(), layers, style.path(file.path)]
    });
    writeln!(out, "\n{}", style.table(columns, rows.collect()))
}

fn accounting(snapshot: &Snapshot) -> Vec<[String; 3]> {
    let totals = &snapshot.totals;
    let bytes = |name: &str, bytes: Option<Bytes>| {
        [name.to_owned(), exact(bytes), bytes.map_or_else(String::new, |bytes| bytes.to_string())]
    };
    let count = |name: &str, of: Option<u64>| [name.to_owned(), counted(of), String::new()];
    vec![
        bytes("unpacked bytes", Some(totals.unpacked)),
        bytes("visible bytes", totals.visible),
        bytes("wasted bytes", totals.wasted),
        bytes("compressed bytes", totals.compressed),
        count("layers", Some(totals.layers)),
        count("files", totals.files),
    ]
}

fn layer_row(index: usize, layer: &Layer, style: &Style) -> [String; 5] {
    let step = layer.created_by.as_ref();
    [
        (index + 1).to_string(),
        exact(layer.size),
        exact(layer.compressed),
        counted(layer.files),
        step.map_or_else(|| "(no history)".into(), |step| style.hostile(step.as_str())),
    ]
}

/// The image's file system, where all censuses are at hand.
fn applied(snapshot: &Snapshot) -> Option<Applied<'_>> {
    let censuses: Vec<_> =
        snapshot.layers.iter().map(|layer| layer.census.as_deref()).collect::<Option<_>>()?;
    (!censuses.is_empty()).then(|| apply(censuses))
}

/// The first few in descending order, without putting all of them in order.
fn largest<'t, T, K: Ord>(files: &'t [T], key: impl Fn(&'t T) -> K) -> impl Iterator<Item = &'t T> {
    let mut files: Vec<&T> = files.iter().collect();
    if files.len() > MAX_PATHS {
        files.select_nth_unstable_by_key(MAX_PATHS, |file| Reverse(key(file)));
        files.truncate(MAX_PATHS);
    }
    files.sort_by_key(|file| Reverse(key(file)));
    files.into_iter()
}
