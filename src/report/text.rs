//! Reports for terminals and logs.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::escape::{log, short};
use super::model::{ImageReport, Report};
use super::table::{Align, text as table};
use super::words;
use crate::compare::{LayerRow, Status};
use crate::image::{Bytes, Delta};
use crate::policy::Verdict;

/// The widest instruction where there is no terminal to ask.
pub const DEFAULT_INSTRUCTION_WIDTH: usize = 72;

/// Writes a check's report: the answer first, then each image's figures, layers and findings.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_check(report: &Report, width: usize, out: &mut impl Write) -> io::Result<()> {
    let images = words::by_difference(report);
    if images.len() > 1 {
        headline(report.verdict, &words::headline_of_many(report), out)?;
        writeln!(out)?;
    }
    for image in images {
        let sentence = format!("{} {}", log(&image.name), words::headline(image));
        headline(image.verdict, &sentence, out)?;
        write_image(image, width, out)?;
    }
    Ok(())
}

/// Writes what differs between two images; `named` by its platform where there are several.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_difference(
    image: &ImageReport,
    named: bool,
    width: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let platform = image.platform.as_deref().filter(|_| named);
    let platform = platform.map_or_else(String::new, |platform| format!(" ({})", log(platform)));
    let base = image.base.as_ref().map_or("nothing", |base| base.name.as_str());
    writeln!(
        out,
        "{} {} \u{2192} {}{platform}",
        paint(Style::new().bold(), "Difference"),
        log(base),
        log(&image.name)
    )?;
    write_image(image, width, out)
}

fn headline(verdict: Verdict, sentence: &str, out: &mut impl Write) -> io::Result<()> {
    let color = match verdict {
        Verdict::Pass => AnsiColor::Green,
        Verdict::Warn | Verdict::Accepted => AnsiColor::Yellow,
        Verdict::Fail => AnsiColor::Red,
    };
    let word = paint(color.on_default().bold(), verdict.as_str());
    writeln!(out, "{} {word}: {}", words::icon(verdict), log(sentence))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn write_image(image: &ImageReport, width: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}\n", figures(image))?;
    if image.delta.is_some() {
        writeln!(out, "  Layers: {}", words::layer_counts(image))?;
        let rows: Vec<[String; 5]> = image
            .layers
            .iter()
            .filter(|row| row.status != Status::Kept)
            .map(|row| layer_cells(row, width))
            .collect();
        if !rows.is_empty() {
            let columns = [
                ("Layer", Align::Left),
                ("Base", Align::Right),
                ("Head", Align::Right),
                ("Delta", Align::Right),
                ("Instruction", Align::Left),
            ];
            writeln!(out, "\n{}", table(columns, rows))?;
        }
        writeln!(out)?;
    }
    for finding in &image.findings {
        writeln!(out, "  {} {}: {}", words::severity(finding), log(&finding.rule), log(&finding.message))?;
        if finding.subject != image.name {
            writeln!(out, "       about {}", short(&log(&finding.subject), width))?;
        }
        writeln!(out, "       next: {}", log(&finding.help))?;
    }
    if !image.findings.is_empty() {
        writeln!(out)?;
    }
    let (label, how) = words::baseline(image);
    let label = label.map(|label| format!("{label}, ")).unwrap_or_default();
    writeln!(out, "  ({}; baseline {}{})\n", words::basis(image), log(&label), log(how))
}

/// The accounting, both sides, to the byte.
fn figures(image: &ImageReport) -> String {
    let rows = words::figures(image);
    if image.base.is_none() {
        let rows = rows.into_iter().map(|figure| [figure.name.to_owned(), figure.head]).collect();
        return table([("", Align::Left), ("", Align::Right)], rows);
    }
    let columns = [
        ("", Align::Left),
        ("Base", Align::Right),
        ("Head", Align::Right),
        ("Delta", Align::Right),
        ("", Align::Right),
    ];
    let cells = |figure: words::Figure| {
        [figure.name.to_owned(), figure.base, figure.head, figure.delta, figure.share.trim_start().to_owned()]
    };
    table(columns, rows.into_iter().map(cells).collect())
}

fn layer_cells(row: &LayerRow, width: usize) -> [String; 5] {
    let side = |index: Option<u64>, size: Option<Bytes>| match index {
        None => "-".to_owned(),
        Some(_) => words::exact(size),
    };
    [
        words::status(row.status).to_owned(),
        side(row.base_index, row.base_size),
        side(row.head_index, row.head_size),
        row.delta.map_or_else(|| "unknown".into(), Delta::grouped),
        row.instruction
            .as_ref()
            .map_or_else(|| "(no history)".into(), |step| short(&log(step.as_str()), width)),
    ]
}
