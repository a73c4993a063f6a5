//! Which step of a build made which layer of its result: BuildKit's graph of steps, followed down from the result. Each
//! step that runs a command or changes files adds one layer to those below it.

use std::collections::BTreeMap;

use super::statement::Operation;
use crate::image::Digest;
use crate::image::snapshot::MAX_LAYERS;

/// A step, as far as it affects layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvenanceStep {
    /// Reads an image, whose digest may be stated.
    Image(Option<Digest>),
    /// Adds a layer to those of another step, or to none.
    Layer(Option<u64>),
    /// Stacks the layers of several steps (`COPY --link`).
    Merge(Vec<u64>),
    /// Anything else.
    Other,
}

/// The steps of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steps {
    steps: BTreeMap<u64, ProvenanceStep>,
    /// The step whose layers become the image's.
    result: Option<u64>,
}

impl Steps {
    /// Reads a graph. Its last step only returns the result.
    pub fn of(operations: &[Operation]) -> Steps {
        let steps = operations.iter().filter_map(|operation| Some((number(&operation.id)?, step(operation))));
        let result = operations.last().and_then(|last| number(last.inputs.first()?));
        Steps { steps: steps.collect(), result }
    }

    /// A step.
    pub fn get(&self, step: u64) -> Option<&ProvenanceStep> {
        self.steps.get(&step)
    }

    /// The steps that made an image of this many layers, lowest first; `None` if the graph has none, has steps of an
    /// unknown kind on the way, or makes another number of layers.
    pub fn makers(&self, layers: usize) -> Option<Vec<u64>> {
        // Each step with the one that merges it, whose lines count for its layer.
        let mut left = vec![(self.result?, None)];
        let mut above: Vec<u64> = Vec::new();
        // A step that adds no layer is a merge, or ends the search; no graph has more merges than this.
        for _ in 0..2 * MAX_LAYERS {
            let Some((number, merged)) = left.pop() else {
                above.reverse();
                return (above.len() == layers).then_some(above);
            };
            if above.len() > layers || left.len() > MAX_LAYERS {
                return None;
            }
            match self.steps.get(&number)? {
                ProvenanceStep::Layer(below) => {
                    above.push(merged.unwrap_or(number));
                    left.extend(below.map(|below| (below, merged)));
                }
                ProvenanceStep::Merge(inputs) if inputs.len() <= MAX_LAYERS => {
                    let input =
                        |(at, input): (usize, &u64)| (*input, merged.or(Some(number).filter(|_| at > 0)));
                    left.extend(inputs.iter().enumerate().map(input));
                }
                ProvenanceStep::Image(_) if left.is_empty() && above.len() < layers => {
                    let below = std::iter::repeat_n(number, layers - above.len());
                    return Some(below.chain(above.into_iter().rev()).collect());
                }
                ProvenanceStep::Image(_) | ProvenanceStep::Merge(_) | ProvenanceStep::Other => return None,
            }
        }
        None
    }
}

fn step(operation: &Operation) -> ProvenanceStep {
    let input = |index: i64| -> Option<u64> { number(operation.inputs.get(usize::try_from(index).ok()?)?) };
    // An index below 0 means no files at all.
    let on = |index: i64| match (index < 0, input(index)) {
        (true, _) => ProvenanceStep::Layer(None),
        (false, Some(below)) => ProvenanceStep::Layer(Some(below)),
        (false, None) => ProvenanceStep::Other,
    };
    let Some(kind) = &operation.op.op else { return ProvenanceStep::Other };
    if let Some(source) = &kind.source {
        let image = source.identifier.strip_prefix("docker-image://");
        let digest = |image: &str| image.rsplit_once('@').and_then(|(_, digest)| Digest::parse(digest).ok());
        return image.map_or(ProvenanceStep::Other, |image| ProvenanceStep::Image(digest(image)));
    }
    if let Some(exec) = &kind.exec {
        let root = exec.mounts.iter().find(|mount| mount.dest == "/");
        return root.map_or(ProvenanceStep::Other, |root| on(root.input));
    }
    if let Some(file) = &kind.file {
        return file.actions.first().map_or(ProvenanceStep::Other, |first| on(first.input));
    }
    if kind.merge.is_some() {
        let inputs: Option<Vec<u64>> = operation.inputs.iter().map(|input| number(input)).collect();
        return inputs.map_or(ProvenanceStep::Other, ProvenanceStep::Merge);
    }
    ProvenanceStep::Other
}

/// `step3` and `step3:0` are 3.
pub fn number(name: &str) -> Option<u64> {
    name.strip_prefix("step")?.split(':').next()?.parse().ok()
}
