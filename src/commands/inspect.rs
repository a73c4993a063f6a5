//! `layergate inspect`.

use std::path::Path;
use std::sync::Arc;

use super::analyze::Analyzer;
use super::outputs::NamedFiles;
use super::{
    Exit, UsageError, console, measure, parse_images, printed_json, reading_options, write_file, write_html,
};
use crate::cli::{Format, InspectArgs};
use crate::config::BuildSettings;
use crate::image::Snapshot;
use crate::removable::Catalogue;
use crate::report::html::{self, Details, PageSubject};
use crate::report::look::Sizes;
use crate::report::{ImageReport, Report, inspect as report};
use crate::source::Platforms;

/// zstd's level for saved snapshots.
const ZSTD_LEVEL: i32 = 9;

/// Runs the command.
///
/// # Errors
/// If the image cannot be measured or the snapshot cannot be written.
pub async fn run(arguments: &InspectArgs) -> anyhow::Result<Exit> {
    let images = parse_images(std::slice::from_ref(&arguments.image))?;
    NamedFiles::default()
        .writes("--output", arguments.output.as_ref())
        .writes("--html", arguments.html.as_ref())
        .reads_images(&images)
        .reads_build(&arguments.build)
        .check()?;
    let all = arguments.reading.platform == Some(Platforms::All);
    if all && arguments.output.is_some() {
        let message = "--output takes one image; choose its platform with --platform os/arch";
        return Err(UsageError(message.into()).into());
    }
    let mut options = reading_options(&arguments.reading, None)?;
    if let (true, Some(options)) = (arguments.duplicates, Arc::get_mut(&mut options)) {
        options.contents = true;
        options.known = std::mem::take(&mut options.known).forgetting();
    }
    let build = BuildSettings::from_settings(&arguments.build.settings())?;
    let mut analyzer = match arguments.looks_for_removable() {
        true => Analyzer::new(Catalogue::builtin()),
        false => Analyzer::default(),
    }
    .with_metadata(&arguments.build.stage.build_metadata)?;
    let sizes = Sizes::of_flag(arguments.bytes);
    let (mut snapshots, mut out) = (Vec::new(), Vec::new());
    let (mut room, mut images_shown, mut details) = (html::MAX_FILES, Vec::new(), Vec::new());
    analyzer.check_flags(&build)?;
    // One after the other, because the file system of an image may be large.
    for measured in measure(&images[0], &options, &arguments.reading).await? {
        let analysis = analyzer.analyze(measured, &images[0], &build, true, &options).await;
        if arguments.duplicates && analysis.snapshot().duplicates.is_none() {
            console::warn("--duplicates needs the image's layers; measure it by name, or from an archive");
        }
        if arguments.html.is_some() {
            images_shown.push(ImageReport::added(&analysis));
            details.push(Details::of(&analysis, None, &mut room));
        }
        match arguments.format {
            Format::Text => report::write_text(&analysis, console::look(sizes), &mut out)?,
            Format::Markdown => report::write_markdown(&analysis, sizes, &mut out)?,
            Format::Json => {}
        }
        let snapshot = analysis.into_snapshot();
        snapshots.push(if arguments.output.is_some() { snapshot } else { snapshot.without_files() });
    }
    analyzer.finish();
    if let (Some(path), [snapshot]) = (&arguments.output, snapshots.as_slice()) {
        write_file(path, &packed(snapshot, path)?)?;
        console::note(&format!("wrote {}", path.display()));
    }
    if let Some(path) = &arguments.html {
        write_html(path, &Report::new(None, images_shown), PageSubject::Image, &details, None)?;
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
