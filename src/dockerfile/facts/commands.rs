//! The commands of a shell script as their words, for whoever looks for one of them.

use std::collections::BTreeMap;

use super::shell::{Input, Receiver, Shell, assignment};
use crate::dockerfile::expand::Environment;

/// Programs that take a script after `-c`.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "zsh"];
/// Programs that run the command that they are given, and take no option before it that is a word of its own.
const WRAPPERS: [&str; 6] = ["sudo", "time", "exec", "env", "command", "nice"];

/// The commands of a script, in order, each by its program and arguments: variables expanded by these values, and
/// by what the script itself sets. What is not known is [`super::super::UNKNOWN`].
pub fn commands_of(script: &str, variables: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut environment = Environment::of_unknown_image();
    for (name, value) in variables {
        environment.set(name, value.clone());
    }
    let mut commands = Commands::default();
    Shell::new(&environment, &mut commands).run(script);
    commands.0
}

#[derive(Default)]
struct Commands(Vec<Vec<String>>);

impl Receiver for Commands {
    fn command(&mut self, words: &[String]) -> Input {
        let is_before = |word: &&String| {
            assignment(word).is_some()
                || WRAPPERS.contains(&program_of(word))
                || word.starts_with('-') && !word.contains(' ')
        };
        let start = words.iter().take_while(is_before).count();
        let Some((program, arguments)) = words.get(start..).and_then(<[String]>::split_first) else {
            return Input::None;
        };
        let program = program_of(program);
        let script = || Some(arguments.get(arguments.iter().position(|word| word == "-c")? + 1)?.clone());
        if let Some(script) = SHELLS.contains(&program).then(script).flatten() {
            return Input::Script(script);
        }
        self.0.push([program.to_owned()].into_iter().chain(arguments.iter().cloned()).collect());
        Input::None
    }
}

fn program_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::UNKNOWN;

    #[test]
    fn commands_are_told_by_their_words() {
        let variables = BTreeMap::from([("TAG".to_owned(), "v1".to_owned())]);
        let script = "set -e\nsudo DOCKER_BUILDKIT=1 /usr/bin/docker build \\\n  -t \"api:$TAG\" 'a b' # now\n\
                      bash -c 'cd x && docker push $OTHER'\nif true; then echo $(date); fi";
        let commands: Vec<String> =
            commands_of(script, &variables).iter().map(|words| words.join("|")).collect();
        let unknown = UNKNOWN.to_string();
        let expected = [
            "set|-e",
            "docker|build|-t|api:v1|a b",
            "cd|x",
            &format!("docker|push|{unknown}"),
            "true",
            "date",
            &format!("echo|{unknown}"),
        ];
        assert_eq!(commands, expected);
    }
}
