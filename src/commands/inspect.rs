//! `layergate inspect`.

use std::path::Path;
use std::sync::Arc;

use super::locate::Locator;
use super::{Exit, UsageError, console, measure, parse_images, printed_json, reading_options, write_file};
use crate::cli::{Format, Inspect};
use crate::compare::{censuses, duplicates, file_system};
use crate::evidence::Catalogue;
use crate::image::Snapshot;
use crate::policy::Build;
use crate::report::inspect as report;
use crate::source::Platforms;

/// zstd's level for snapshots that are kept.
const ZSTD_LEVEL: i32 = 9;

/// Runs the command.
///
/// # Errors
/// Where the image cannot be measured or the snapshot cannot be written.
pub async fn run(arguments: &Inspect) -> anyhow::Result<Exit> {
    let images = parse_images(std::slice::from_ref(&arguments.image))?;
    let all = arguments.reading.platform == Some(Platforms::All);
    if all && arguments.output.is_some() {
        let message = "--output holds one image; choose one with --platform os/arch";
        return Err(UsageError(message.into()).into());
    }
    let mut options = reading_options(&arguments.reading, None)?;
    if let (true, Some(options)) = (arguments.duplicates, Arc::get_mut(&mut options)) {
        options.contents = true;
        options.known = std::mem::take(&mut options.known).forgetting();
    }
    let build = Build::from_settings(&arguments.build.settings())?;
    let mut snapshots = measure(&images[0], &options, &arguments.reading).await?;
    let mut locator = match arguments.looks_for_build_only() {
        true => Locator::new(Catalogue::builtin()),
        false => Locator::default(),
    };
    let censuses: Vec<_> = snapshots.iter().map(censuses).collect();
    let files: Vec<_> = censuses.iter().map(|of| of.as_deref().map(file_system)).collect();
    for (snapshot, files) in snapshots.iter_mut().zip(&files) {
        locator.explain(snapshot, &images[0], &build, true, files.as_ref(), &options).await;
        // A snapshot that was read keeps those that were found when it was written.
        if arguments.duplicates && snapshot.duplicates.is_none() {
            snapshot.duplicates = duplicates(snapshot);
            if snapshot.duplicates.is_none() {
                console::warn(
                    "--duplicates: what the files hold is not known of this image; measure it from its layers",
                );
            }
        }
    }
    if let (Some(path), [snapshot]) = (&arguments.output, snapshots.as_slice()) {
        write_file(path, &packed(snapshot, path)?)?;
        console::note(&format!("wrote {}", path.display()));
    }
    let mut out = Vec::new();
    for (snapshot, files) in snapshots.iter().zip(&files) {
        let files = files.as_ref();
        match arguments.format {
            Format::Text => report::write_text(snapshot, files, console::instruction_width(), &mut out)?,
            Format::Markdown => report::write_markdown(snapshot, files, &mut out)?,
            Format::Json => {}
        }
    }
    if arguments.format == Format::Json {
        let short: Vec<Snapshot> = snapshots.into_iter().map(Snapshot::without_files).collect();
        let json = if all { printed_json(&short)? } else { printed_json(&short[0])? };
        out = json.into_bytes();
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
