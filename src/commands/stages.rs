//! `layergate stages`: how far Dockerfiles are with building in stages.

use super::dockerfiles::{Assigned, assign, build_of, dockerfiles};
use super::locate::Locator;
use super::{Exit, console, load_config, measure, printed_json, reading_options};
use crate::cli::{Format, Stages};
use crate::compare::{censuses, file_system};
use crate::dockerfile::{BuildOptions, Dockerfile};
use crate::image::Snapshot;
use crate::policy::stages::{Told, judge_dockerfile};
use crate::policy::{Build, Judgement};
use crate::report::stages::{Adoption, Entry};

/// Runs the command.
///
/// # Errors
/// Where a named Dockerfile or an image cannot be read.
pub async fn run(arguments: &Stages) -> anyhow::Result<Exit> {
    let config = load_config(arguments.config.as_deref())?;
    let files = dockerfiles(&arguments.dockerfiles)?;
    if arguments.propose {
        return super::propose::run(arguments, &config, &files).await;
    }
    let images = assign(&arguments.image, &files, &config)?;
    let options = reading_options(&arguments.reading, None)?;
    let flags = arguments.build.settings();
    let mut locator = Locator::new(config.catalogue());
    let (mut entries, mut all_read) = (Vec::new(), true);
    for (index, file) in files.iter().enumerate() {
        let own: Vec<&Assigned> = images.iter().filter(|image| image.file == index).collect();
        let build = build_of(file, own.first().copied(), &config, &flags)?;
        let path = file.path.display().to_string();
        let source = match locator.source(&file.path) {
            Ok(source) => source,
            Err(error) => {
                all_read &= !file.named;
                console::warn(&error);
                entries.push(Entry::unreadable(path, error));
                continue;
            }
        };
        for assigned in &own {
            for mut snapshot in measure(&assigned.image, &options, &arguments.reading).await? {
                // What the configuration says of the image is said of the name that it has there.
                if let Some(name) = &assigned.name {
                    snapshot.image.name.clone_from(name);
                }
                let censuses = censuses(&snapshot);
                let files = censuses.as_deref().map(file_system);
                let judged = locator
                    .explain(&mut snapshot, &assigned.image, &build, true, files.as_ref(), &options)
                    .await;
                entries.push(entry(&path, &source.dockerfile, &build, Some(&snapshot), judged));
            }
        }
        if own.is_empty() {
            entries.push(entry(&path, &source.dockerfile, &build, None, None));
        }
    }
    console::result(&rendered(Adoption::new(entries), arguments.format)?)?;
    Ok(if all_read { Exit::Success } else { Exit::Unreadable })
}

fn entry(
    path: &str,
    dockerfile: &Dockerfile,
    build: &Build,
    image: Option<&Snapshot>,
    judged: Option<Judgement>,
) -> Entry {
    let options = BuildOptions { target: build.target.clone(), args: build.arguments.clone() };
    match dockerfile.facts(&options) {
        Ok(facts) => {
            let judged = match image {
                None => Some(judge_dockerfile(Told { path, facts: &facts })),
                Some(_) => judged,
            };
            Entry::of(path.to_owned(), &facts, image, judged)
        }
        Err(error) => Entry::unreadable(path.to_owned(), error.to_string()),
    }
}

fn rendered(adoption: Adoption, format: Format) -> anyhow::Result<String> {
    let mut out = Vec::new();
    match format {
        Format::Text => adoption.write_text(console::instruction_width(), &mut out)?,
        Format::Markdown => adoption.write_markdown(&mut out)?,
        Format::Json => return Ok(printed_json(&adoption)?),
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
