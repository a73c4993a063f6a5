//! `layergate inspect`.

use std::path::Path;

use super::{Exit, console, measure, parse_images, printed_json, write_file};
use crate::cli::{Format, Inspect};
use crate::image::Snapshot;
use crate::report::inspect as report;

/// zstd's level for snapshots that are kept.
const ZSTD_LEVEL: i32 = 9;

/// Runs the command.
///
/// # Errors
/// Where the image cannot be measured or the snapshot cannot be written.
pub async fn run(arguments: &Inspect) -> anyhow::Result<Exit> {
    let images = parse_images(std::slice::from_ref(&arguments.image))?;
    let snapshot = measure(&images[0], &arguments.reading).await?;
    if let Some(path) = &arguments.output {
        write_file(path, &packed(&snapshot, path)?)?;
        console::note(&format!("wrote {}", path.display()));
    }
    let mut out = Vec::new();
    match arguments.format {
        Format::Text => report::write_text(&snapshot, console::instruction_width(), &mut out)?,
        Format::Markdown => report::write_markdown(&snapshot, &mut out)?,
        Format::Json => {
            let mut short = snapshot.clone();
            short.layers.iter_mut().for_each(|layer| layer.census = None);
            out = printed_json(&short)?.into_bytes();
        }
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}

fn packed(snapshot: &Snapshot, path: &Path) -> anyhow::Result<Vec<u8>> {
    let json = serde_json::to_vec(snapshot)?;
    Ok(match path.extension().and_then(|ending| ending.to_str()) {
        Some("zst") => zstd::encode_all(json.as_slice(), ZSTD_LEVEL)?,
        Some("gz") => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            std::io::Write::write_all(&mut encoder, &json)?;
            encoder.finish()?
        }
        _ => json,
    })
}
