//! An instruction in an output, preceded by its line if that is certain.

use super::escape::{code, log};
use super::words;
use crate::image::layer_ref::LayerRef;
use crate::image::{DockerfileLines, Instruction};

/// For markdown.
pub(super) fn markdown(place: Option<&DockerfileLines>, step: Option<&Instruction>) -> String {
    let place = place.map(|place| format!("{} ", code(&words::place(place))));
    format!("{}{}", place.unwrap_or_default(), instruction(step))
}

/// For a terminal or a log.
pub(super) fn text(place: Option<&DockerfileLines>, step: Option<&Instruction>) -> String {
    let place = place.map(|place| format!("{} ", words::place(place))).unwrap_or_default();
    let step = step.map_or("(no history)", Instruction::as_str);
    log(&format!("{place}{step}"))
}

fn instruction(step: Option<&Instruction>) -> String {
    step.map_or_else(|| "(no history)".into(), |step| code(step.as_str()))
}

/// A layer by its number, its line and its instruction: `layer 4: Dockerfile:5 RUN make`.
pub(super) fn layer(layer: &LayerRef) -> String {
    let number = format!("layer {}", layer.index + 1);
    match (&layer.dockerfile, &layer.instruction) {
        (None, None) => number,
        (place, step) => format!("{number}: {}", text(place.as_ref(), step.as_ref())),
    }
}
