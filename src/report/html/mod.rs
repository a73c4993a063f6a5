//! The HTML report: one page without requests. The page itself is built from `web/`, and this fills in the documents
//! that its script reads; `web/src/data.ts` describes them. Text from images is untrusted: it enters the page only as
//! JSON, in which no character can end the element, and the script inserts it only as text.

mod document;
mod files;

use std::io::{self, Write};

use memchr::memchr3_iter;
use serde::Serialize;

use document::Page;
pub use files::{Details, MAX_FILES};

use super::history::History;
use super::links::RunLinks;
use super::look::Sizes;
use super::{Report, escape, fleet, markdown, words};
use crate::fleet::Fleet;
use crate::image::bytes::Units;

/// The page, with the placeholders `{{title}}` and `{{data}}`.
const SHELL: &str = include_str!("../../../web/dist/report.html");

/// The subject of the page, which determines its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSubject<'a> {
    /// Images that were checked.
    Check,
    /// Two images that were compared, as they were requested.
    Difference {
        /// The image that it is compared with.
        base: &'a str,
        /// The image as it is now.
        head: &'a str,
    },
    /// One image, or its platforms.
    Image,
}

/// Writes the page of a report. `details`: what is known about each of its images beyond the report, if anything.
///
/// # Errors
/// Any error from writing.
pub fn write(
    report: &Report,
    subject: PageSubject<'_>,
    details: &[Details],
    links: Option<&RunLinks>,
    out: &mut impl Write,
) -> io::Result<()> {
    let title = headline(report, subject);
    let page = Page::new(&title, report, subject, details, links);
    fill(&title, out, |out| write_data(&page, details, out))
}

/// Writes the page with its title and documents.
fn fill<W: Write>(title: &str, out: &mut W, data: impl Fn(&mut W) -> io::Result<()>) -> io::Result<()> {
    for part in SHELL.split("{{") {
        let (name, rest) = part.split_once("}}").unwrap_or(("", part));
        match name {
            "title" => out.write_all(text(title).as_bytes())?,
            "data" => data(out)?,
            _ => {}
        }
        out.write_all(rest.as_bytes())?;
    }
    Ok(())
}

/// Writes the page of recorded sizes: the trend of each image; the newest `most` of each platform.
///
/// # Errors
/// Any error from writing.
pub fn write_history(histories: &[History], most: usize, out: &mut impl Write) -> io::Result<()> {
    let title = match histories {
        [history] => format!("{}: {} size", history.image, history.metric),
        _ => format!("Sizes of {} images", histories.len()),
    };
    let page = Page::of_histories(&title, histories, most);
    fill(&title, out, |out| write_element("data", &page, out))
}

/// Writes the page of many repositories.
///
/// # Errors
/// Any error from writing.
pub fn write_fleet(fleet: &Fleet, out: &mut impl Write) -> io::Result<()> {
    let title = fleet::answer(fleet, Sizes::Rounded);
    fill(&title, out, |out| write_element("fleet", fleet, out))
}

fn write_data(page: &Page<'_>, details: &[Details], out: &mut impl Write) -> io::Result<()> {
    write_element("data", page, out)?;
    for (index, files) in
        details.iter().enumerate().filter_map(|(index, of)| Some((index, of.files.as_ref()?)))
    {
        write_element(&document::files_id(index), files, out)?;
    }
    Ok(())
}

fn write_element(id: &str, document: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<script type=\"application/json\" id=\"{id}\">")?;
    serde_json::to_writer(InElement(out), document)?;
    writeln!(out, "</script>")
}

/// The verdict and the amount, in one line.
fn headline(report: &Report, subject: PageSubject<'_>) -> String {
    let sentence = match (subject, report.images.as_slice()) {
        (PageSubject::Check, _) => return markdown::headline(report),
        (PageSubject::Difference { base, head }, [image]) => {
            let size = image.shown().size_and_change(Units::default());
            format!("{base} \u{2192} {head}: {size}")
        }
        (PageSubject::Difference { base, head }, images) => {
            format!("{base} \u{2192} {head}: {} platforms", images.len())
        }
        (PageSubject::Image, [image]) => {
            let layers = image.head_totals().map(|totals| totals.layers);
            format!(
                "{}: {} in {} layers",
                image.name,
                words::amount(image.head_size()),
                words::counted(layers)
            )
        }
        (_, images) => {
            let name = images.first().map_or("", |image| image.name.as_str());
            format!("{name}: {} platforms", images.len())
        }
    };
    escape::log(&sentence)
}

/// Untrusted text as an element's text.
fn text(untrusted: &str) -> String {
    escape::visible(untrusted).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Keeps text in a JSON document from ending the element that holds it: `<`, `>` and `&` are escaped. Outside of texts,
/// JSON has none of them.
struct InElement<'w, W: Write>(&'w mut W);

impl<W: Write> Write for InElement<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut from = 0;
        for at in memchr3_iter(b'<', b'>', b'&', bytes) {
            self.0.write_all(&bytes[from..at])?;
            write!(self.0, "\\u{:04x}", bytes[at])?;
            from = at + 1;
        }
        self.0.write_all(&bytes[from..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests;
