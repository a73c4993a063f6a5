//! `layergate diff`.

use super::{Exit, console, measure, parse_images, printed_json};
use crate::baseline::Baseline;
use crate::cli::{Diff, Format};
use crate::report::{ImageReport, Report, markdown, text};

/// Runs the command.
///
/// # Errors
/// Where an image cannot be measured, or the two must not be compared.
pub async fn run(arguments: &Diff) -> anyhow::Result<Exit> {
    let images = parse_images(&[arguments.base.clone(), arguments.head.clone()])?;
    let snapshot = measure(&images[0], &arguments.reading).await?;
    let head = measure(&images[1], &arguments.reading).await?;
    let how = "as given".to_owned();
    let base = Baseline { snapshot, distance: None, exact: true, how };
    let difference = ImageReport::difference(&base, &head)?;
    let mut out = Vec::new();
    match arguments.format {
        Format::Text => text::write_difference(&difference, console::instruction_width(), &mut out)?,
        Format::Markdown => markdown::write_difference(&difference, &mut out)?,
        Format::Json => {
            out = printed_json(&Report::new(None, vec![difference]))?.into_bytes();
        }
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}
