//! Reads the images that a command names, several at once, and shows progress.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::{UsageError, console, set_variable, stores};
use crate::baseline::DirStore;
use crate::cli::ReadingFlags;
use crate::image::MeasuredImage;
use crate::image::unread::{unread_files, unread_lines};
use crate::layer::SafetyLimits;
use crate::source::{self, Cache, KnownLayers, NamedImage, Options, Progress, Turns};

/// How to read images, by the flags; `store` supplies file lists recorded earlier.
pub(super) fn reading_options(
    reading: &ReadingFlags,
    store: Option<&DirStore>,
) -> anyhow::Result<Arc<Options>> {
    let mut bounds = SafetyLimits::default();
    let separators = |c: char| c == ',' || c.is_whitespace();
    let limits = reading.safety_limit.iter().flat_map(|text| text.split(separators));
    for limit in limits.filter(|limit| !limit.is_empty()) {
        bounds.set(limit).map_err(|error| UsageError(format!("--safety-limit {error}")))?;
    }
    let directory = if reading.no_cache { None } else { reading.cache_dir.clone().or_else(cache_directory) };
    let cache = directory
        .filter(|directory| is_ours(directory))
        .map(|directory| Cache::at(&directory, bounds.entries));
    cache.iter().for_each(Cache::prune);
    let mut known = KnownLayers::new(cache);
    if let Some(store) = store.cloned() {
        let is_in_checkout = store.is_in_checkout();
        known = known.recorded(move |id| store.file_list(id), is_in_checkout);
    }
    Ok(Arc::new(Options {
        platform: reading.platform.clone().unwrap_or_default(),
        verify: reading.verify,
        contents: false,
        known: if reading.verify { known.forgetting() } else { known },
        bounds,
        engine: reading.engine.clone(),
        engine_store: reading.engine_store,
        plain_http: reading.plain_http,
        progress: Progress::default(),
        turns: Turns::default(),
        beside_others: false,
    }))
}

/// Whether a pull request could not have brought the cache. Without a cache, a check only takes longer.
fn is_ours(directory: &Path) -> bool {
    let why = stores::why_committed(directory);
    if let Some(why) = &why {
        console::warn(&format!(
            "the cache {} is not used: {why}, so a pull request could bring its own",
            directory.display()
        ));
    }
    why.is_none()
}

/// The user's cache directory (XDG Base Directory Specification; elsewhere the usual place).
fn cache_directory() -> Option<PathBuf> {
    let absolute = |name: &str| set_variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME");
    let usual = if cfg!(windows) {
        absolute("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        home().map(|home| home.join(".cache"))
    };
    absolute("XDG_CACHE_HOME").or(usual).map(|directory| directory.join("layergate"))
}

/// Measures one image, or one image for each platform, and shows progress.
pub(super) async fn measure(
    image: &NamedImage,
    options: &Arc<Options>,
    reading: &ReadingFlags,
) -> anyhow::Result<Vec<MeasuredImage>> {
    Ok(measure_all([image], options, reading).await?.pop().unwrap_or_default())
}

/// Measures several images at once, and shows progress. Results and errors are in the order of the images.
pub(super) async fn measure_all<'a>(
    images: impl IntoIterator<Item = &'a NamedImage>,
    options: &Arc<Options>,
    reading: &ReadingFlags,
) -> anyhow::Result<Vec<Vec<MeasuredImage>>> {
    let bars = console::Bars::default();
    let images: Vec<&NamedImage> = images.into_iter().collect();
    let beside_others = images.len() > 1;
    let one = |image: &'a NamedImage| {
        let progress = Progress::default();
        let own = Arc::new(Options { progress, beside_others, ..Options::clone(options) });
        let bars = bars.clone();
        async move {
            let shown = console::ProgressLine::start(&image.text, own.progress.clone(), reading.quiet, bars);
            let measured = source::measure(image, &own).await;
            shown.finish(measured.is_ok());
            measured
        }
    };
    let mut measuring = stream::iter(images).map(one).buffered(source::at_once());
    let mut all = Vec::new();
    while let Some(measured) = measuring.next().await {
        let measured = measured?;
        for MeasuredImage { snapshot, note, .. } in &measured {
            for line in unread_lines(&unread_files(&snapshot.layers)) {
                console::warn(&format!("{}: {line}", snapshot.image.name));
            }
            note.iter().for_each(|note| console::note(note));
        }
        all.push(measured);
    }
    Ok(all)
}
