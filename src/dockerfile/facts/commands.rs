//! The commands of a shell script as words, for code that searches for certain commands.

use std::collections::BTreeMap;

use super::call::{Call, MAX_WRAPPERS, Runs, is_shell, program_of};
use super::shell::{CommandInput, Receiver, Shell, assignment};
use crate::dockerfile::expand::{Environment, UNKNOWN};

/// What a script does, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptStep {
    /// A command, by its program and arguments.
    Command(Vec<String>),
    /// A subshell begins: `(`, `sh -c`.
    Enters,
    /// The subshell ends, and its changes are undone. There is one for each that begins.
    Leaves,
}

/// The commands of a script, in order, each by its program and arguments. Variables are expanded with these values, and
/// with those that the script itself sets; wrappers of another command (`sudo`, `timeout`) are removed. Unknown text is
/// [`super::super::UNKNOWN`].
pub fn commands_of(script: &str, variables: &BTreeMap<String, String>) -> Vec<ScriptStep> {
    let mut environment = Environment::of_unknown_image();
    for (name, value) in variables {
        environment.set(name, value.clone());
    }
    let mut commands = Commands::default();
    Shell::new(&environment, &mut commands).run(script);
    commands.0
}

#[derive(Default)]
struct Commands(Vec<ScriptStep>);

impl Receiver for Commands {
    fn command(&mut self, mut words: &[String]) -> CommandInput {
        let mut inputs = None;
        for wrappers in 0..MAX_WRAPPERS {
            while words.first().is_some_and(|word| assignment(word).is_some()) {
                words = &words[1..];
            }
            let Some((first, arguments)) = words.split_first() else { return CommandInput::None };
            // `flock FILE "docker build ."`
            if wrappers > 0 && arguments.is_empty() && first.contains(char::is_whitespace) {
                return CommandInput::Script(first.clone());
            }
            let call = Call::new(program_of(first), arguments, false);
            if is_shell(&call.program) {
                match Runs::of(arguments) {
                    Runs::Script(script) => return CommandInput::Script(script.to_owned()),
                    Runs::Lines => return CommandInput::Lines,
                    Runs::File(..) | Runs::Nothing => {}
                }
            }
            if matches!(call.program.as_str(), "su" | "runuser" | "flock")
                && let Some(script) = call.value(&["-c", "--command", "--session-command"])
            {
                return CommandInput::Script(script.to_owned());
            }
            if call.program == "xargs" {
                let attached = || arguments.iter().find_map(|word| word.strip_prefix("-I"));
                let mark = call.value(&["-I", "--replace"]).or_else(attached);
                inputs = Some(mark.unwrap_or_default().to_owned());
            }
            match call.wrapped() {
                Some(inner) => words = inner,
                None => {
                    let words = [call.program].into_iter().chain(arguments.iter().cloned());
                    self.0.push(ScriptStep::Command(with_inputs(words.collect(), inputs.as_deref())));
                    return CommandInput::None;
                }
            }
        }
        CommandInput::None
    }

    fn enters(&mut self) {
        self.0.push(ScriptStep::Enters);
    }

    fn leaves(&mut self) {
        self.0.push(ScriptStep::Leaves);
    }
}

/// The arguments that `xargs` adds are unknown: they replace this mark, or go at the end.
fn with_inputs(mut words: Vec<String>, mark: Option<&str>) -> Vec<String> {
    let unknown = UNKNOWN.to_string();
    match mark {
        None => {}
        Some("") => words.push(unknown),
        Some(mark) => words.iter_mut().for_each(|word| *word = word.replace(mark, &unknown)),
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script's commands, each as its words, with `(` and `)` where a subshell begins and ends.
    fn shown(script: &str) -> Vec<String> {
        let variables = BTreeMap::from([("TAG".to_owned(), "v1".to_owned())]);
        let show = |step: ScriptStep| match step {
            ScriptStep::Command(words) => words.join("|"),
            ScriptStep::Enters => "(".to_owned(),
            ScriptStep::Leaves => ")".to_owned(),
        };
        commands_of(script, &variables).into_iter().map(show).collect()
    }

    #[test]
    fn commands_are_told_by_their_words() {
        let script = "set -e\nsudo DOCKER_BUILDKIT=1 /usr/bin/docker build \\\n  -t \"api:$TAG\" 'a b' # now\n\
                      bash -c 'cd x && docker push $OTHER'\nif true; then echo $(date); fi";
        let unknown = UNKNOWN.to_string();
        let expected = [
            "set|-e",
            "docker|build|-t|api:v1|a b",
            "(",
            "cd|x",
            &format!("docker|push|{unknown}"),
            ")",
            "true",
            "(",
            "date",
            ")",
            &format!("echo|{unknown}"),
        ];
        assert_eq!(shown(script), expected);
    }

    #[test]
    fn what_runs_a_command_is_left_out() {
        for before in [
            "sudo",
            "sudo -E -u root",
            "timeout 600",
            "timeout --foreground -k 5 1h",
            "nice -n 10",
            "nice -10",
            "time -p",
            "env -u A B=1",
            "sudo -- nice ionice -c 3",
            "stdbuf -oL",
            "flock -w 5 /tmp/lock",
            "A=1 exec",
        ] {
            assert_eq!(shown(&format!("{before} docker build -t a .")), ["docker|build|-t|a|."], "{before}");
        }
        for before in ["bash -euo pipefail -c", "timeout 9 ash -xc", "su root -c", "flock /tmp/lock"] {
            assert_eq!(
                shown(&format!("{before} 'docker build .'")),
                ["(", "docker|build|.", ")"],
                "{before}"
            );
        }
        assert_eq!(shown("bash <<'E'\ndocker build .\nE\nls"), ["(", "docker|build|.", ")", "ls"]);
        assert_eq!(shown("bash x.sh -c y"), ["bash|x.sh|-c|y"]);
        assert_eq!(shown("ls | xargs docker build"), ["ls", &format!("docker|build|{UNKNOWN}")]);
        assert_eq!(shown("ls | xargs -I{} docker build ./{}"), ["ls", &format!("docker|build|./{UNKNOWN}")]);
    }

    #[test]
    fn each_shell_that_begins_ends() {
        assert_eq!(shown("(cd a && b); c"), ["(", "cd|a", "b", ")", "c"]);
        assert_eq!(shown("((a; (b"), ["(", "(", "a", "(", "b", ")", ")", ")"]);
        assert_eq!(shown("a) b; (c) )"), ["b", "(", "c", ")"]);
    }
}
