//! Removable files, for every output.

use super::escape::{code, log, plain, prose};
use super::instruction;
use super::look::{Sizes, TextLayout};
use super::table::{Align, ListLine, list, markdown};
use crate::image::layer_ref::LayerRef;
use crate::image::removable::sum;
use crate::image::{Bytes, Removable, Weight};
use crate::sort;

/// Maximum number of rows; JSON has all of them.
const MAX_ROWS: usize = 12;
/// Maximum number of packages and paths in one row.
const MAX_NAMED: usize = 3;

/// `108 MB in application layers, 584 MB in the base image`; empty if there is none.
pub fn summary(found: &[Removable], sizes: Sizes) -> Option<String> {
    let counting =
        |of_base: bool| sum(found.iter().filter(|one| one.counts() && one.layer.of_base_image == of_base));
    let deleted = sum(found.iter().filter(|one| one.deleted));
    let part =
        |bytes: Bytes, place: &str| (bytes > Bytes(0)).then(|| format!("{} {place}", sizes.bytes(bytes)));
    let parts = [
        part(counting(false), "in application layers"),
        part(counting(true), "in the base image"),
        part(deleted, "deleted in a later instruction but still in the image"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The application layers' files first, because a change to the Dockerfile can remove them.
pub fn in_order(found: &[Removable]) -> Vec<&Removable> {
    let mut found: Vec<&Removable> = found.iter().collect();
    let key = |one: &&Removable| {
        (one.ignored.is_some(), one.layer.of_base_image, one.deleted, std::cmp::Reverse(one.bytes))
    };
    sort::by_key(&mut found, key);
    found
}

/// One row: what it is and where, which layer stored it and what to do.
struct RemovableRow<'a> {
    bytes: Bytes,
    what: String,
    /// Packages, or directories and files.
    places: Vec<String>,
    /// `None` for the base image.
    layer: Option<&'a LayerRef>,
    next: String,
}

/// The kind that matters whatever its size.
const SECRETS: &str = "secrets";

/// The rows worth showing: build tools and build inputs, and others that are not negligible beside the largest. All
/// files of the base image share one row, since one measure helps against all of them. Also returns how many are left
/// out.
fn rows(found: &[Removable]) -> (Vec<RemovableRow<'_>>, usize) {
    let is_base = |one: &&Removable| one.layer.of_base_image && one.counts();
    let (base, own): (Vec<&Removable>, Vec<&Removable>) = in_order(found).into_iter().partition(is_base);
    let largest = own.iter().map(|one| one.bytes.0).max().unwrap_or_default();
    let tells =
        |one: &&Removable| one.weight <= Weight::Input || one.bytes.0 >= largest / 100 || one.kind == SECRETS;
    let all = own.len();
    let mut rows: Vec<RemovableRow<'_>> = own.into_iter().filter(tells).take(MAX_ROWS).map(row).collect();
    let left = all - rows.len();
    rows.extend(base_row(&base));
    (rows, left)
}

fn row(one: &Removable) -> RemovableRow<'_> {
    let accepted = one.ignored.as_ref().map(|why| format!("accepted: {why}"));
    RemovableRow {
        bytes: one.bytes,
        what: format!("{}{}", one.what, state(one)),
        places: names(one),
        layer: Some(&one.layer).filter(|layer| !layer.of_base_image),
        next: accepted.unwrap_or_else(|| format!("next: {}", one.help)),
    }
}

fn base_row(base: &[&Removable]) -> Option<RemovableRow<'static>> {
    let first = base.first()?;
    let mut kinds: Vec<(&str, Bytes)> = Vec::new();
    for one in base {
        match kinds.iter_mut().find(|(what, _)| *what == one.what) {
            Some((_, bytes)) => *bytes = bytes.saturating_add(one.bytes),
            None => kinds.push((&one.what, one.bytes)),
        }
    }
    sort::by_key(&mut kinds, |(_, bytes)| std::cmp::Reverse(*bytes));
    let named = kinds.iter().take(MAX_NAMED).map(|(what, bytes)| format!("{what} ({bytes})"));
    let named: Vec<String> = named.collect();
    let more = match kinds.len() - named.len() {
        0 => String::new(),
        left => format!(" and {left} more kinds"),
    };
    Some(RemovableRow {
        bytes: sum(base.iter().copied()),
        what: format!("{}{more}", named.join(", ")),
        places: Vec::new(),
        layer: None,
        next: format!("next: {}", first.help),
    })
}

/// A list for terminals and logs: each kind with where it is and what to do.
pub fn text_list(found: &[Removable], look: TextLayout) -> String {
    let (rows, left) = rows(found);
    let item = |row: &RemovableRow<'_>| {
        let mut lines = vec![ListLine::Cut(log(&row.what))];
        if !row.places.is_empty() {
            lines.push(ListLine::Cut(format!("in {}", log(&row.places.join(", ")))));
        }
        lines.push(ListLine::Cut(format!("stored by {}", stored_by_text(row.layer))));
        lines.push(ListLine::Prose(log(&row.next)));
        (look.sizes.bytes(row.bytes), lines)
    };
    if rows.is_empty() {
        return String::new();
    }
    let heading = ["Removable", "What, where, and what to do"];
    list(heading, rows.iter().map(item).collect(), look) + &more(left, "  ")
}

/// The same as a table for GitHub.
pub fn markdown_rows(found: &[Removable], sizes: Sizes) -> String {
    let columns = [
        ("Size", Align::Right),
        ("What", Align::Left),
        ("Stored by", Align::Left),
        ("What to do", Align::Left),
    ];
    let cells = |row: &RemovableRow<'_>| {
        let places = row.places.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
        let places = if places.is_empty() { places } else { format!("<br>{places}") };
        let stored_by = match row.layer {
            None => "the base image".to_owned(),
            Some(LayerRef { dockerfile: None, instruction: None, index, .. }) => {
                format!("layer {}", index + 1)
            }
            Some(layer) => instruction::markdown(layer.dockerfile.as_ref(), layer.instruction.as_ref()),
        };
        let next = row.next.strip_prefix("next: ").unwrap_or(&row.next);
        let bytes = plain(&sizes.bytes(row.bytes));
        [bytes, format!("{}{places}", plain(&row.what)), stored_by, prose(next)]
    };
    let (rows, left) = rows(found);
    markdown(columns, rows.iter().map(cells).collect()) + &more(left, "")
}

fn more(left: usize, indent: &str) -> String {
    match left {
        0 => String::new(),
        1 => format!("\n\n{indent}\u{2026} and 1 smaller one, in the JSON report."),
        left => format!("\n\n{indent}\u{2026} and {left} smaller ones, in the JSON report."),
    }
}

fn state(one: &Removable) -> &'static str {
    match (one.deleted, one.ignored.is_some()) {
        (true, _) => ", deleted in a later instruction but still in the image",
        (false, true) => ", not counted",
        (false, false) => "",
    }
}

/// The packages, or else the directories and files.
fn names(one: &Removable) -> Vec<String> {
    let paths: Vec<String> = one.paths.iter().map(|path| format!("/{path}")).collect();
    let all = if one.packages.is_empty() { &paths } else { &one.packages };
    let mut names: Vec<String> = all.iter().take(MAX_NAMED).cloned().collect();
    names.extend((all.len() > MAX_NAMED).then(|| "\u{2026}".to_owned()));
    names
}

fn stored_by_text(layer: Option<&LayerRef>) -> String {
    layer.map_or_else(|| "the base image".to_owned(), instruction::layer)
}
