//! Which commands of a script certainly do not run: `if [ "$NODE_VERSION" != none ]` with an argument of known value.
//! Everything more complex counts as possibly run.

use crate::dockerfile::expand::UNKNOWN;
use crate::tools::fits;

/// Conditions nested deeper than this are ignored.
const MAX_NESTED: usize = 64;

/// An `if` whose `fi` has not been reached.
#[derive(Debug, Default)]
struct If {
    in_condition: bool,
    /// How many commands the condition has so far, and the result of the only one.
    commands: usize,
    truth: Option<bool>,
    /// Whether an earlier branch certainly runs.
    taken: bool,
    skips: bool,
}

/// The conditions around the current command.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    open: Vec<If>,
    /// How many are nested too deep.
    beyond: usize,
    /// The result of the last command of a list, and whether the next one is skipped because of it.
    last: Option<bool>,
    skips_next: bool,
    /// Whether the command that decides next may not run: `make || false`.
    uncertain: bool,
    /// `!` before a command.
    negated: bool,
}

impl Conditions {
    /// Whether the next command certainly does not run.
    pub(super) fn skips(&self) -> bool {
        self.skips_next || self.open.iter().any(|one| one.skips)
    }

    pub(super) fn keyword(&mut self, word: &str) {
        match word {
            "if" if self.open.len() == MAX_NESTED => self.beyond += 1,
            "if" => self.open.push(If { in_condition: true, ..If::default() }),
            "fi" if self.beyond > 0 => self.beyond -= 1,
            "fi" => drop(self.open.pop()),
            _ if self.beyond > 0 => {}
            // The effect of a group or a loop on a list is ignored.
            "{" | "while" | "until" => self.group(),
            "!" => self.negated = true,
            _ => self.branch(word),
        }
    }

    fn branch(&mut self, word: &str) {
        let Some(one) = self.open.last_mut() else { return };
        match word {
            "then" => {
                one.in_condition = false;
                one.skips = one.taken || one.truth == Some(false);
            }
            "else" | "elif" => {
                one.taken |= one.truth == Some(true);
                one.skips = one.taken;
                (one.in_condition, one.commands, one.truth) = (word == "elif", 0, None);
            }
            _ => {}
        }
    }

    /// A command, and its result if that is certain.
    pub(super) fn command(&mut self, truth: Option<bool>) {
        let truth = if std::mem::take(&mut self.negated) { truth.map(|truth| !truth) } else { truth };
        if !self.skips_next {
            self.last = truth.filter(|_| !self.uncertain);
        }
        if let Some(one) = self.open.last_mut().filter(|one| one.in_condition) {
            one.commands += 1;
            one.truth = truth.filter(|_| one.commands == 1);
        }
    }

    /// `&&` or `||`.
    pub(super) fn joined(&mut self, operator: char) {
        self.skips_next = self.last == Some(operator == '|');
        self.uncertain = self.last.is_none();
    }

    /// `;`, `&`, a pipe or the end of a line.
    pub(super) fn ended(&mut self, operator: char) {
        if operator == '|' {
            // The end of the pipe decides, and its result is not evaluated.
            self.last = None;
        } else {
            self.group();
        }
    }

    /// Starts over: a group counts as run.
    pub(super) fn group(&mut self) {
        (self.last, self.skips_next, self.uncertain) = (None, false, false);
    }
}

/// The result of `[ A = B ]`, `[[ A == B ]]` and `test A = B`, if it is certain.
pub(super) fn truth_of(words: &[String]) -> Option<bool> {
    let (program, arguments) = words.split_first()?;
    let arguments = match program.as_str() {
        "[" => arguments.split_last().filter(|(last, _)| *last == "]")?.1,
        "[[" => arguments.split_last().filter(|(last, _)| *last == "]]")?.1,
        "test" => arguments,
        "true" | "false" if arguments.is_empty() => return Some(program == "true"),
        _ => return None,
    };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_pattern = |word: &&str| program == "[[" && word.contains(['?', '[', '\\']);
    if arguments.iter().any(|word| word.contains(UNKNOWN) || is_pattern(word)) {
        return None;
    }
    let equal = |one: &str, other: &str| if program == "[[" { fits(other, one) } else { one == other };
    match arguments[..] {
        ["!", "-n", word] | ["-z", word] => Some(word.is_empty()),
        ["-n", word] | ["!", "-z", word] => Some(!word.is_empty()),
        ["!", one, "=" | "==", other] | [one, "!=", other] => Some(!equal(one, other)),
        [one, "=" | "==", other] => Some(equal(one, other)),
        _ => None,
    }
}
