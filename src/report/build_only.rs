//! What an image ships and only its build needed, for every output.

use super::escape::{code, log, plain, short, short_path};
use super::markdown::located;
use super::table::{Align, markdown, text};
use crate::image::build_only::sum;
use crate::image::snapshot::LayerRef;
use crate::image::{BuildOnly, Bytes, Weight};

/// The most rows; JSON has all of them.
const MAX_ROWS: usize = 12;
/// The most packages and paths of one row.
const MAX_NAMED: usize = 3;

/// `12.3 MiB that only the build needed, 8 MiB of it with the base image`; nothing where there is none.
pub fn summary(found: &[BuildOnly]) -> Option<String> {
    let counting = || found.iter().filter(|one| one.counts());
    let (all, of_base) = (sum(counting()), sum(counting().filter(|one| one.layer.of_base_image)));
    let deleted = sum(found.iter().filter(|one| one.deleted));
    if all == Bytes(0) && deleted == Bytes(0) {
        return None;
    }
    let base = match of_base {
        Bytes(0) => String::new(),
        of_base if of_base == all => ", all of it with the base image".to_owned(),
        of_base => format!(", {of_base} of it with the base image"),
    };
    let deleted = match deleted {
        Bytes(0) => String::new(),
        bytes => format!("; {bytes} more were deleted in a later step"),
    };
    Some(format!("{all} that only the build needed{base}{deleted}"))
}

/// What is ours first: it is what a change of the Dockerfile can help.
pub fn in_order(found: &[BuildOnly]) -> Vec<&BuildOnly> {
    let mut found: Vec<&BuildOnly> = found.iter().collect();
    let key = |one: &&BuildOnly| {
        (one.ignored.is_some(), one.layer.of_base_image, one.deleted, std::cmp::Reverse(one.bytes))
    };
    found.sort_by_key(key);
    found
}

/// One row: what it is and where, who stored it and what to do.
struct Row<'a> {
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

/// A row for each that says something: programs that build and what they read, and of the others what is not
/// nothing beside the largest. What is the base image's has one row, for one thing helps against all of it.
/// Comes with how many are left out.
fn rows(found: &[BuildOnly]) -> (Vec<Row<'_>>, usize) {
    let is_base = |one: &&BuildOnly| one.layer.of_base_image && one.counts();
    let (base, own): (Vec<&BuildOnly>, Vec<&BuildOnly>) = in_order(found).into_iter().partition(is_base);
    let largest = own.iter().map(|one| one.bytes.0).max().unwrap_or_default();
    let tells =
        |one: &&BuildOnly| one.weight <= Weight::Input || one.bytes.0 >= largest / 100 || one.kind == SECRETS;
    let all = own.len();
    let mut rows: Vec<Row<'_>> = own.into_iter().filter(tells).take(MAX_ROWS).map(row).collect();
    let left = all - rows.len();
    rows.extend(base_row(&base));
    (rows, left)
}

fn row(one: &BuildOnly) -> Row<'_> {
    let accepted = one.ignored.as_ref().map(|why| format!("accepted: {why}"));
    Row {
        bytes: one.bytes,
        what: format!("{}{}", one.what, state(one)),
        places: names(one),
        layer: Some(&one.layer).filter(|layer| !layer.of_base_image),
        next: accepted.unwrap_or_else(|| format!("next: {}", one.help)),
    }
}

fn base_row(base: &[&BuildOnly]) -> Option<Row<'static>> {
    let first = base.first()?;
    let mut kinds: Vec<(&str, Bytes)> = Vec::new();
    for one in base {
        match kinds.iter_mut().find(|(what, _)| *what == one.what) {
            Some((_, bytes)) => *bytes = bytes.saturating_add(one.bytes),
            None => kinds.push((&one.what, one.bytes)),
        }
    }
    kinds.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let named = kinds.iter().take(MAX_NAMED).map(|(what, bytes)| format!("{what} ({bytes})"));
    let named: Vec<String> = named.collect();
    let more = match kinds.len() - named.len() {
        0 => String::new(),
        left => format!(" and {left} more kinds"),
    };
    Some(Row {
        bytes: sum(base.iter().copied()),
        what: format!("{}{more}", named.join(", ")),
        places: Vec::new(),
        layer: None,
        next: format!("next: {}", first.help),
    })
}

/// A list for terminals and logs: each kind with where it is and what to do.
pub fn text_list(found: &[BuildOnly], width: usize) -> String {
    let (rows, left) = rows(found);
    let mut lines = Vec::new();
    for row in &rows {
        lines.push([row.bytes.grouped(), log(&row.what)]);
        let places: Vec<String> = row.places.iter().map(|name| short_path(&log(name), width / 2)).collect();
        if !places.is_empty() {
            lines.push([String::new(), format!("  in {}", short(&places.join(", "), width))]);
        }
        lines.push([String::new(), format!("  stored by {}", stored_by_text(row.layer, width))]);
        lines.push([String::new(), format!("  {}", log(&row.next))]);
    }
    if lines.is_empty() {
        return String::new();
    }
    let columns = [("Build only", Align::Right), ("What, where, and what to do", Align::Left)];
    text(columns, lines) + &more(left, "  ")
}

/// The same as a table of GitHub's.
pub fn markdown_rows(found: &[BuildOnly]) -> String {
    let columns = [
        ("Bytes", Align::Right),
        ("What", Align::Left),
        ("Stored by", Align::Left),
        ("What to do", Align::Left),
    ];
    let cells = |row: &Row<'_>| {
        let places = row.places.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ");
        let places = if places.is_empty() { places } else { format!("<br>{places}") };
        let stored_by = match row.layer {
            None => "the base image".to_owned(),
            Some(LayerRef { dockerfile: None, instruction: None, index, .. }) => {
                format!("layer {}", index + 1)
            }
            Some(layer) => located(layer.dockerfile.as_ref(), layer.instruction.as_ref()),
        };
        let next = row.next.strip_prefix("next: ").unwrap_or(&row.next);
        let bytes = plain(&row.bytes.to_string()).replace(' ', "\u{a0}");
        [bytes, format!("{}{places}", plain(&row.what)), stored_by, plain(next)]
    };
    let (rows, left) = rows(found);
    markdown(columns, rows.iter().map(cells).collect()) + &more(left, "")
}

fn more(left: usize, indent: &str) -> String {
    match left {
        0 => String::new(),
        left => format!(
            "\n\n{indent}\u{2026} and {left} more, with fewer bytes; the JSON report has all of them."
        ),
    }
}

fn state(one: &BuildOnly) -> &'static str {
    match (one.deleted, one.ignored.is_some()) {
        (true, _) => ", deleted in a later step and shipped all the same",
        (false, true) => ", not counted",
        (false, false) => "",
    }
}

/// The packages, or the directories and files where they are of none.
fn names(one: &BuildOnly) -> Vec<String> {
    let paths: Vec<String> = one.paths.iter().map(|path| format!("/{path}")).collect();
    let all = if one.packages.is_empty() { &paths } else { &one.packages };
    let mut names: Vec<String> = all.iter().take(MAX_NAMED).cloned().collect();
    names.extend((all.len() > MAX_NAMED).then(|| "\u{2026}".to_owned()));
    names
}

fn stored_by_text(layer: Option<&LayerRef>, width: usize) -> String {
    match layer {
        None => "the base image".to_owned(),
        Some(LayerRef { instruction: None, index, .. }) => format!("layer {}", index + 1),
        Some(layer) => super::text::step(layer.dockerfile.as_ref(), layer.instruction.as_ref(), width),
    }
}
