//! `layergate diff`.

use super::locate::Locator;
use super::{Exit, console, measure, parse_images, printed_json, reading_options};
use crate::baseline::Baseline;
use crate::cli::{Diff, Format};
use crate::image::snapshot::BoundaryBy;
use crate::image::{DiffId, Layer, Snapshot};
use crate::policy::Build;
use crate::report::{ImageReport, Report, markdown, text};

/// Runs the command.
///
/// # Errors
/// Where an image cannot be measured, or the two must not be compared.
pub async fn run(arguments: &Diff) -> anyhow::Result<Exit> {
    let images = parse_images(&[arguments.base.clone(), arguments.head.clone()])?;
    let options = reading_options(&arguments.reading, None)?;
    let mut bases = measure(&images[0], &options, &arguments.reading).await?;
    let mut heads = measure(&images[1], &options, &arguments.reading).await?;
    let build = Build::from_settings(&arguments.build.settings())?;
    let mut locator = Locator::default();
    for snapshot in &mut heads {
        locator.explain(snapshot, &images[1], &build, true, None, &options).await;
    }
    // It is that of the image as it is now, and may or may not explain the earlier one, too.
    locator.quiet = true;
    for snapshot in &mut bases {
        locator.explain(snapshot, &images[0], &build, true, None, &options).await;
        doubt_boundary(snapshot, &heads);
    }
    let differences = differences(bases, heads)?;
    let many = differences.len() > 1;
    let mut out = Vec::new();
    for difference in &differences {
        match arguments.format {
            Format::Text => {
                text::write_difference(difference, many, console::instruction_width(), &mut out)?;
            }
            Format::Markdown => markdown::write_difference(difference, many, &mut out)?,
            Format::Json => {}
        }
    }
    if arguments.format == Format::Json {
        out = printed_json(&Report::new(None, differences))?.into_bytes();
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}

/// The Dockerfile tells of an earlier image where its base image ends only if that is the same one still:
/// what the Dockerfile has dropped since would seem to be the base image's.
fn doubt_boundary(base: &mut Snapshot, heads: &[Snapshot]) {
    let Some(boundary) = base.base.as_mut().filter(|boundary| boundary.how == BoundaryBy::Dockerfile) else {
        return;
    };
    let below = |layers: &[Layer], count: u64| -> Vec<DiffId> {
        layers.iter().take(count as usize).map(|layer| layer.diff_id.clone()).collect()
    };
    let own = below(&base.layers, boundary.layers);
    let same = |head: &Snapshot| head.base.as_ref().is_some_and(|of| below(&head.layers, of.layers) == own);
    if !heads.iter().any(same) {
        boundary.how = BoundaryBy::History;
    }
}

/// Platform by platform, in the order of the head; what is on one side only is kept. Two single
/// images are compared whatever they run on.
fn differences(bases: Vec<Snapshot>, heads: Vec<Snapshot>) -> anyhow::Result<Vec<ImageReport>> {
    let single = bases.len() == 1 && heads.len() == 1;
    let given = |snapshot| Baseline { snapshot, distance: None, exact: true, how: "as given".to_owned() };
    let mut bases: Vec<Baseline> = bases.into_iter().map(given).collect();
    let mut differences = Vec::new();
    for head in &heads {
        let fits =
            |base: &Baseline| single || base.snapshot.canonical_platform() == head.canonical_platform();
        differences.push(match bases.iter().position(fits) {
            Some(at) => ImageReport::difference(&bases.remove(at), head)?,
            None => ImageReport::added(head),
        });
    }
    differences.extend(bases.iter().map(ImageReport::removed));
    Ok(differences)
}
