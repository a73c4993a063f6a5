//! `layergate history`.

use super::{Exit, console, open_store, printed_json};
use crate::cli::{History as Arguments, HistoryFormat};
use crate::report::history::{self, History};

/// Runs the command.
///
/// # Errors
/// Where the store cannot be read.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let store = open_store(&arguments.store.store, &arguments.github, arguments.plain_http)?;
    let points = store.history(&arguments.image).await?;
    let platform = arguments.platform.as_ref().map(|platform| platform.canonical().to_string());
    let history = History::new(&arguments.image, arguments.metric, points, platform.as_deref());
    if history.points.is_empty() {
        let of = platform.map_or_else(String::new, |platform| format!(" for {platform}"));
        console::error(&format!("nothing is recorded of {}{of} in {}", arguments.image, store.describe()));
        return Ok(Exit::NoBaseline);
    }
    let (last, mut out) = (arguments.last.get(), Vec::new());
    match arguments.format {
        HistoryFormat::Text => history::write_text(&history, last, &mut out)?,
        HistoryFormat::Markdown => history::write_markdown(&history, last, &mut out)?,
        HistoryFormat::Csv => history::write_csv(&history, &mut out)?,
        HistoryFormat::Json => out = printed_json(&history)?.into_bytes(),
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}
