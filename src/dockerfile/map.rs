//! Aligning a plan with the history of an image.
//!
//! The Dockerfile that an image was really built from explains the end of the history, instruction by instruction and
//! without a gap. Only then does an entry's position tell which line made it. Otherwise the Dockerfile was edited
//! since, or built differently, and an entry gets a line only if its text matches exactly one instruction, word for
//! word.
//!
//! Even an edited Dockerfile can explain a history completely if instructions look the same: `COPY a /x` and
//! `COPY b /x` have one text in the classic builder's history. So entries that could be swapped, or could belong to a
//! neighbour, are left out too.

use std::fmt;

use super::ast::StageBase;
use super::form::Fit;
use super::plan::{BuildPlan, Onbuild, PlannedInstruction};
use crate::image::Instruction;

/// Maximum entries and instructions that are compared: the work is their product.
const MAX_INSTRUCTIONS: usize = 500;

/// One entry of an image's history.
#[derive(Debug, Clone, Copy)]
pub struct HistoryStep<'a> {
    /// Its instruction, if the history has one. The values of `ENV`, `ARG` and `LABEL` may be missing
    /// ([`Instruction::without_values`]).
    pub instruction: Option<&'a Instruction>,
    /// Whether it made a layer.
    pub makes_layer: bool,
}

/// Lines of a Dockerfile, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineRange {
    /// The first one.
    pub line: u32,
    /// The last one.
    pub end_line: u32,
}

/// Which lines made which history entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// For each history entry, in order: the lines that made it. `None` for entries of the base image, and if it is not
    /// certain.
    pub lines: Vec<Option<LineRange>>,
    /// How many history entries are below the first instruction of this Dockerfile. Known only if the Dockerfile
    /// explains the end of the history without a gap. If its first instructions were deleted since the build, that is
    /// undetectable: their entries then count as the base image's.
    pub base_steps: Option<usize>,
    /// Why some or all of the Dockerfile's instructions have no line.
    pub note: Option<Unmapped>,
}

/// Why history entries have no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmapped {
    /// The image has no history, or one that does not fit its layers.
    NoHistory,
    /// The stage has no instructions, so everything comes from the base image.
    NoInstruction,
    /// There are too many instructions to compare.
    TooManyInstructions,
    /// Several instructions share one layer, so no single line made it.
    Squashed,
    /// The Dockerfile does not explain the history.
    Differs {
        /// The instruction that does not fit, searched from the end: its line and its text, cut and without the values
        /// of variables. `None` if all fit and the history has more.
        first: Option<(u32, String)>,
        /// How many entries have a line nevertheless.
        mapped: usize,
    },
    /// Some instructions cannot be told apart in this history.
    Alike {
        /// Their lines.
        lines: Vec<u32>,
    },
}

impl fmt::Display for Unmapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmapped::NoHistory => {
                f.write_str("the image's history does not say which instruction made which layer")
            }
            Unmapped::NoInstruction => f.write_str("the Dockerfile adds nothing to its base image"),
            Unmapped::TooManyInstructions => {
                write!(f, "more than {MAX_INSTRUCTIONS} instructions are not compared")
            }
            Unmapped::Squashed => f.write_str("the layers were squashed into one, which no single line made"),
            Unmapped::Differs { first, mapped } => {
                f.write_str("the Dockerfile does not match the image's history: ")?;
                match first {
                    Some((line, text)) => write!(f, "reading from the end, line {line} ({text}) differs")?,
                    None => f.write_str("the history has instructions that the Dockerfile lacks")?,
                }
                f.write_str("; it was edited since, or built with another --target or --build-arg; ")?;
                match mapped {
                    0 => f.write_str("no lines are shown"),
                    count => write!(f, "lines are shown only where there is no doubt ({count})"),
                }
            }
            Unmapped::Alike { lines } if lines.len() == 1 => {
                write!(f, "line {} may have made more than one layer, so it is not shown", lines[0])
            }
            Unmapped::Alike { lines } => {
                let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
                write!(
                    f,
                    "lines {} look the same in this history, so none of them is shown",
                    lines.join(", ")
                )
            }
        }
    }
}

/// Finds the lines that made the entries of a history, lowest entry first. Never guesses: entries that could belong to
/// another line are left out, and [`Mapping::note`] says why.
pub fn map(plan: &BuildPlan, history: &[HistoryStep<'_>]) -> Mapping {
    let nothing = |note| Mapping { lines: vec![None; history.len()], base_steps: None, note: Some(note) };
    if history.iter().all(|step| step.instruction.is_none()) {
        return nothing(Unmapped::NoHistory);
    }
    if plan.steps.is_empty() {
        return nothing(Unmapped::NoInstruction);
    }
    if plan.steps.len() > MAX_INSTRUCTIONS || history.len() > MAX_INSTRUCTIONS {
        return nothing(Unmapped::TooManyInstructions);
    }
    let table = CostTable::new(plan, history);
    let alignment = whole(&table);
    let pairs = alignment.clone().unwrap_or_else(|| sure_pairs(&table));
    if is_squashed(&table, &pairs) {
        return nothing(Unmapped::Squashed);
    }
    match alignment {
        Some(alignment) => certain(&table, &alignment),
        None => partial(&table, &pairs),
    }
}

/// The indexes of a history entry and of an instruction of the plan.
type StepPair = (usize, usize);

/// How well each history entry fits each instruction of the plan.
struct CostTable<'a> {
    plan: &'a BuildPlan,
    history: &'a [HistoryStep<'a>],
    fits: Vec<Option<Fit>>,
}

impl<'a> CostTable<'a> {
    fn new(plan: &'a BuildPlan, history: &'a [HistoryStep<'a>]) -> CostTable<'a> {
        let row = |of: &'a HistoryStep<'a>| plan.steps.iter().map(move |step| fit(step, of.instruction?));
        CostTable { plan, history, fits: history.iter().flat_map(row).collect() }
    }

    fn fit(&self, history: usize, step: usize) -> Option<Fit> {
        if history >= self.history.len() {
            return None;
        }
        self.fits.get(history * self.plan.steps.len() + step).copied().flatten()
    }

    fn step(&self, step: usize) -> &PlannedInstruction {
        &self.plan.steps[step]
    }

    fn lines(&self, step: usize) -> LineRange {
        LineRange { line: self.step(step).line, end_line: self.step(step).end_line }
    }

    /// Whether all history entries must come from the plan.
    fn is_complete(&self) -> bool {
        self.plan.base == StageBase::Scratch
    }
}

fn fit(step: &PlannedInstruction, instruction: &Instruction) -> Option<Fit> {
    if instruction.as_str().is_empty() {
        return None;
    }
    step.forms.iter().filter_map(|form| form.fits(instruction)).max()
}

/// The alignment of a plan that explains the end of the history without a gap. Builders treat and record `ONBUILD`
/// differently, so every variant is tried.
fn whole(table: &CostTable<'_>) -> Option<Vec<StepPair>> {
    for (declared, triggered) in [(false, true), (true, true), (true, false), (false, false)] {
        let shown = |step: &PlannedInstruction| match step.onbuild {
            Onbuild::No => true,
            Onbuild::Declared => declared,
            Onbuild::Triggered => triggered,
        };
        let steps: Vec<usize> = (0..table.plan.steps.len()).filter(|step| shown(table.step(*step))).collect();
        for skipped in 0..=appended_labels(table) {
            if let Some(pairs) = end_of_history(table, &steps, skipped) {
                return Some(pairs);
            }
        }
    }
    None
}

/// `docker build --label` makes the classic builder append an entry.
fn appended_labels(table: &CostTable<'_>) -> usize {
    let is_label = |step: &HistoryStep<'_>| {
        !step.makes_layer && step.instruction.is_some_and(|instruction| instruction.kind() == "LABEL")
    };
    usize::from(table.history.last().is_some_and(is_label))
}

fn end_of_history(table: &CostTable<'_>, steps: &[usize], skipped: usize) -> Option<Vec<StepPair>> {
    let below = table.history.len().checked_sub(skipped)?.checked_sub(steps.len())?;
    if steps.is_empty() || table.is_complete() && below > 0 {
        return None;
    }
    let pairs: Vec<StepPair> = steps.iter().enumerate().map(|(place, step)| (below + place, *step)).collect();
    pairs.iter().all(|(history, step)| table.fit(*history, *step).is_some()).then_some(pairs)
}

/// The mapping of a completely explained history, without the entries that could be swapped with others unnoticed.
fn certain(table: &CostTable<'_>, alignment: &[StepPair]) -> Mapping {
    let shifted = unseen_shift(table, alignment);
    let doubtful = |place: usize| {
        place < shifted
            || has_unseen_swap(table, alignment, place)
            || has_rival_below(table, alignment, alignment[place])
    };
    let (mut pairs, mut alike) = (Vec::new(), Vec::new());
    for (place, pair) in alignment.iter().enumerate() {
        if doubtful(place) {
            alike.push(table.step(pair.1).line);
        } else {
            pairs.push(*pair);
        }
    }
    alike.dedup();
    let note = (!alike.is_empty()).then_some(Unmapped::Alike { lines: alike });
    let base_steps = if shifted == 0 { alignment.first().map(|pair| pair.0) } else { None };
    Mapping { lines: lines_of(table, &pairs), base_steps, note }
}

/// Whether two different instructions could be swapped and each still fit the other's entry.
fn has_unseen_swap(table: &CostTable<'_>, alignment: &[StepPair], place: usize) -> bool {
    let (history, step) = alignment[place];
    alignment.iter().any(|(other_history, other)| {
        *other != step
            && table.fit(history, *other).is_some()
            && table.fit(*other_history, step).is_some()
            && table.step(*other).source != table.step(step).source
    })
}

/// Whether an instruction that does not fit word for word would also fit an entry of the base image.
fn has_rival_below(table: &CostTable<'_>, alignment: &[StepPair], pair: StepPair) -> bool {
    let own = alignment.first().map_or(0, |lowest| lowest.0);
    table.fit(pair.0, pair.1) == Some(Fit::Loose) && (0..own).any(|place| table.fit(place, pair.1).is_some())
}

/// How many of the lowest entries could belong to the neighbour above or below: if an instruction was deleted from the
/// Dockerfile, or added to it, all below are shifted, unnoticed if each of them fits there too. Entries that fit word
/// for word prove that nothing was shifted.
fn unseen_shift(table: &CostTable<'_>, alignment: &[StepPair]) -> usize {
    if table.is_complete() {
        // One entry more or less would have been noticed.
        return 0;
    }
    let reach = |shift: &dyn Fn(usize) -> Option<usize>| {
        let fits = |pair: &&StepPair| shift(pair.0).and_then(|place| table.fit(place, pair.1));
        let run: Vec<Option<Fit>> =
            alignment.iter().map(|pair| fits(&pair)).take_while(Option::is_some).collect();
        let all_exact = run.iter().all(|fit| *fit == Some(Fit::Exact));
        if all_exact { 0 } else { run.len() }
    };
    let most = alignment.len().min(table.history.len());
    (1..=most)
        .map(|by| reach(&|place| place.checked_sub(by)).max(reach(&|place| place.checked_add(by))))
        .max()
        .unwrap_or(0)
}

fn lines_of(table: &CostTable<'_>, pairs: &[StepPair]) -> Vec<Option<LineRange>> {
    let mut lines = vec![None; table.history.len()];
    for (history, step) in pairs {
        lines[*history] = Some(table.lines(*step));
    }
    lines
}

/// The mapping of a history that the Dockerfile does not explain.
fn partial(table: &CostTable<'_>, pairs: &[StepPair]) -> Mapping {
    let note = Unmapped::Differs { first: first_difference(table), mapped: pairs.len() };
    Mapping { lines: lines_of(table, pairs), base_steps: None, note: Some(note) }
}

/// The pairs that are certain by their text alone.
fn sure_pairs(table: &CostTable<'_>) -> Vec<StepPair> {
    let runs = runs(&longest_rising(&unique_pairs(table)));
    let runs: Vec<Vec<StepPair>> = runs.iter().map(|run| anchored(table, run)).collect();
    let own = runs.iter().position(|run| table.is_complete() || is_own(table, run)).unwrap_or(runs.len());
    // The history has at most the name of an argument.
    runs[own..].concat().into_iter().filter(|pair| table.step(pair.1).kind != "ARG").collect()
}

/// The pairs that fit each other and nothing else.
fn unique_pairs(table: &CostTable<'_>) -> Vec<StepPair> {
    let (height, width) = (table.history.len(), table.plan.steps.len());
    let places = (0..height).flat_map(|history| (0..width).map(move |step| (history, step)));
    let mut pairs: Vec<StepPair> = places.filter(|pair| table.fit(pair.0, pair.1).is_some()).collect();
    let (mut in_row, mut in_column) = (vec![0usize; height], vec![0usize; width]);
    for (history, step) in &pairs {
        in_row[*history] += 1;
        in_column[*step] += 1;
    }
    pairs.retain(|(history, step)| in_row[*history] == 1 && in_column[*step] == 1);
    pairs
}

/// The largest set of pairs that do not cross: lines never go back. Both sides are unique.
fn longest_rising(pairs: &[StepPair]) -> Vec<StepPair> {
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(pairs.len());
    for (place, pair) in pairs.iter().enumerate() {
        let before = (0..place).filter(|earlier| pairs[*earlier].1 < pair.1);
        let before = before.max_by_key(|earlier| best[*earlier].0);
        best.push((before.map_or(1, |earlier| best[earlier].0 + 1), before));
    }
    let mut at = (0..pairs.len()).max_by_key(|place| best[*place].0);
    let mut rising = Vec::new();
    while let Some(place) = at {
        rising.push(pairs[place]);
        at = best[place].1;
    }
    rising.reverse();
    rising
}

/// Groups pairs that follow each other on both sides.
fn runs(pairs: &[StepPair]) -> Vec<Vec<StepPair>> {
    let mut runs: Vec<Vec<StepPair>> = Vec::new();
    for pair in pairs {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| (last.0 + 1, last.1 + 1) == *pair) => run.push(*pair),
            _ => runs.push(vec![*pair]),
        }
    }
    runs
}

/// A run without the pairs at its ends that do not fit word for word: between two exact ones there is no room for
/// another.
fn anchored(table: &CostTable<'_>, run: &[StepPair]) -> Vec<StepPair> {
    let is_exact = |pair: &StepPair| table.fit(pair.0, pair.1) == Some(Fit::Exact);
    let Some(start) = run.iter().position(is_exact) else { return Vec::new() };
    let end = run.iter().rposition(is_exact).map_or(start, |end| end + 1);
    run[start..end].to_vec()
}

/// Whether a run cannot be the base image's: base images copy and run things too, but rarely two in a row that match
/// the Dockerfile word for word.
fn is_own(table: &CostTable<'_>, run: &[StepPair]) -> bool {
    let counts = |pair: &&StepPair| {
        table.fit(pair.0, pair.1) == Some(Fit::Exact)
            && matches!(table.step(pair.1).kind, "RUN" | "COPY" | "ADD")
    };
    run.iter().filter(counts).count() >= 2
}

/// The first difference between the plan and the history, searched from their ends.
fn first_difference(table: &CostTable<'_>) -> Option<(u32, String)> {
    let steps = (0..table.plan.steps.len()).rev().filter(|step| table.step(*step).onbuild == Onbuild::No);
    let mut place = table.history.len().checked_sub(appended_labels(table));
    for step in steps {
        place = place.and_then(|place| place.checked_sub(1));
        if place.is_none_or(|place| table.fit(place, step).is_none()) {
            let step = table.step(step);
            let text = Instruction::from_history(&step.source)?.without_values();
            return Some((step.line, text.as_str().chars().take(60).collect()));
        }
    }
    None
}

/// Whether layers hold more than their own instruction: a copy made no layer, or an instruction made a layer that
/// cannot make one (`docker build --squash`, `buildah build --layers=false`).
fn is_squashed(table: &CostTable<'_>, pairs: &[StepPair]) -> bool {
    let kind = |pair: &StepPair| table.step(pair.1).kind;
    let made = |pair: &StepPair| table.history[pair.0].makes_layer;
    let is_odd = |pair: &StepPair| match kind(pair) {
        "COPY" | "ADD" => !made(pair),
        "RUN" | "WORKDIR" => false,
        _ => made(pair),
    };
    if pairs.iter().any(is_odd) {
        return true;
    }
    // The classic builder makes no layer for a command that changed nothing. But if only the last of several commands
    // has a layer, that may hold the result of all.
    let content: Vec<&StepPair> =
        pairs.iter().filter(|pair| matches!(kind(pair), "RUN" | "COPY" | "ADD")).collect();
    let layers = content.iter().filter(|pair| made(pair)).count();
    content.len() > 1 && layers == 1 && content.last().is_some_and(|last| made(last))
}
