//! `layergate history`.

use super::configuration::of_checkout;
use super::{Exit, console, printed_json, stores, today, write_file};
use crate::cli::{HistoryArgs, HistoryFormat};
use crate::config::{Config, Settings};
use crate::image::Bytes;
use crate::limits::SizeLimit;
use crate::report::badge::{Badge, BadgeFormat};
use crate::report::history::{self, History};
use crate::report::html;
use crate::report::look::Sizes;

/// Runs the command.
///
/// # Errors
/// If the store cannot be read.
pub async fn run(arguments: &HistoryArgs) -> anyhow::Result<Exit> {
    let config = match arguments.format {
        HistoryFormat::Html => of_checkout(arguments.config.as_deref(), &arguments.github).await?,
        _ => Config::default(),
    };
    let store = stores::open(&arguments.store, &arguments.github, arguments.plain_http)?;
    let platform = arguments.platform.as_ref().map(|platform| platform.canonical().to_string());
    let mut histories = Vec::new();
    for image in &arguments.images {
        let recorded = store.history(image).await?;
        recorded.unread.iter().for_each(|error| console::warn(&format!("left out: {error}")));
        let mut history = History::new(image, arguments.metric, recorded.points, platform.as_deref());
        if history.points.is_empty() {
            let of = platform.map_or_else(String::new, |platform| format!(" for {platform}"));
            console::error(&format!("{image}{of} is not recorded in {}", store.describe()));
            return Ok(Exit::NoBaseline);
        }
        if arguments.format == HistoryFormat::Html {
            history.max_size = max_size(arguments, &config, image)?;
        }
        histories.push(history);
    }
    let (last, sizes, mut out) = (arguments.last.get(), Sizes::of_flag(arguments.bytes), Vec::new());
    match arguments.format {
        HistoryFormat::Text => {
            histories
                .iter()
                .try_for_each(|history| history::write_text(history, last, console::look(sizes), &mut out))?;
        }
        HistoryFormat::Markdown => {
            histories
                .iter()
                .try_for_each(|history| history::write_markdown(history, last, sizes, &mut out))?;
        }
        HistoryFormat::Csv => history::write_csv(&histories, &mut out)?,
        HistoryFormat::Html => html::write_history(&histories, last, &mut out)?,
        HistoryFormat::Json => {
            out = match histories.as_slice() {
                [history] => printed_json(history)?,
                histories => printed_json(&histories)?,
            }
            .into_bytes();
        }
    }
    if let Some(path) = &arguments.badge {
        let mut badge = Vec::new();
        history_badge(&histories).write(BadgeFormat::of(path), &mut badge)?;
        write_file(path, &badge)?;
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}

/// The maximum size in the configuration, or the smallest one that it extends, in the metric shown.
fn max_size(arguments: &HistoryArgs, config: &Config, image: &str) -> anyhow::Result<Option<Bytes>> {
    let rulesets = config.rulesets_for(image, arguments.platform.as_ref(), &Settings::default(), &today())?;
    let of_metric = rulesets.iter().filter(|ruleset| ruleset.limits.metric == arguments.metric);
    let written = of_metric.filter_map(|ruleset| ruleset.settings.get("max-size"));
    let limits = written.filter_map(|setting| setting.text.parse::<SizeLimit>().ok());
    Ok(limits.map(|limit| limit.bytes).min())
}

/// The newest size of the first image.
fn history_badge(histories: &[History]) -> Badge {
    let newest = histories.first().and_then(|history| Some((history, history.points.last()?)));
    match newest {
        Some((history, point)) => Badge::of_size(&history.image, history.metric.of(&point.totals)),
        None => Badge::of_size("", None),
    }
}
