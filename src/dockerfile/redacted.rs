//! A Dockerfile without the values that look like secrets: redacted one instruction at a time, so that no instruction
//! affects another. The result can still be built.

use super::Dockerfile;
use crate::redact::{redact, redact_comments, redact_source};

/// The text of a Dockerfile with `***` for each value that looks like a secret.
pub fn redacted(text: &str) -> String {
    let Ok(file) = Dockerfile::parse(text) else { return redact(text).into_owned() };
    let mut written = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    let mut instructions = lines_of(&file).into_iter().peekable();
    while let Some((index, line)) = lines.next() {
        while instructions.next_if(|(_, end)| *end < index).is_some() {}
        let own = instructions.next_if(|(start, _)| *start == index);
        let own_comment = own.is_none() && is_comment(line);
        let starts = instructions.peek().map_or(usize::MAX, |(start, _)| *start);
        let mut unit = line.to_owned();
        while let Some((_, line)) = lines.next_if(|(next, line)| match own {
            Some((_, end)) => *next <= end,
            None => own_comment && *next < starts && is_comment(line),
        }) {
            unit.push_str(line);
        }
        written.push_str(&if own_comment { redact_comments(&unit) } else { redact_source(&unit) });
    }
    written
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The first and last line of each instruction except `FROM`, counted from 0.
fn lines_of(file: &Dockerfile) -> Vec<(usize, usize)> {
    let all = file.globals.iter().chain(file.stages().iter().flat_map(|stage| &stage.instructions));
    let from_0 = |line: u32| (line as usize).saturating_sub(1);
    let mut lines: Vec<_> =
        all.map(|instruction| (from_0(instruction.line), from_0(instruction.end_line))).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn an_instruction_is_redacted_by_itself() {
        for (text, expected) in [
            (
                "# the app's image\nFROM a\n# don't\nRUN make\nENV API_TOKEN='abcd efgh'\n# users'\nRUN tool --password 'hunter2'\n",
                "# the app's image\nFROM a\n# don't\nRUN make\nENV API_TOKEN='***'\n# users'\nRUN tool --password '***'\n",
            ),
            (
                "FROM a\nRUN grep -rq -- \"-----BEGIN PRIVATE KEY-----\" /src; make\nRUN make install\n",
                "FROM a\nRUN grep -rq -- \"-----BEGIN PRIVATE KEY-----\" /src; make\nRUN make install\n",
            ),
            (
                "FROM a\nRUN echo \"Authorization: Bearer abcdefgh\nRUN make \"x\"\n",
                "FROM a\nRUN echo \"Authorization: Bearer ***\nRUN make \"x\"\n",
            ),
            (
                "FROM a\nRUN tool --password \\\n  # the users' one\n  hunter2 \\\n  # \"it\n  && curl -H \"X-Token: hunter2\" x\n",
                "FROM a\nRUN tool --password \\\n  # the users' one\n  *** \\\n  # \"it\n  && curl -H \"X-Token: ***\" x\n",
            ),
            (
                "FROM a\nENV A=1 \\\n# users'\n  PASSWORD=hunter2 \\\n  B=2\nCMD [\"a\"]\n",
                "FROM a\nENV A=1 \\\n# users'\n  PASSWORD=*** \\\n  B=2\nCMD [\"a\"]\n",
            ),
            (
                "FROM a\nRUN cat <<EOF > /x\n# it's\ntoken = \"abcd efgh\"\nEOF\nRUN make\n",
                "FROM a\nRUN cat <<EOF > /x\n# it's\ntoken = \"***\"\nEOF\nRUN make\n",
            ),
            (
                "FROM a\n# -----BEGIN PRIVATE KEY-----\n# b3BlbnNzaC1rZXktdjEAAAAA\n# -----END PRIVATE KEY-----\nRUN make\n",
                "FROM a\n# ***\nRUN make\n",
            ),
            (
                "FROM a\n# PASSWORD=hunter2 isn't it\nRUN make\r\nRUN TOKEN=abcdefgh make",
                "FROM a\n# PASSWORD=*** isn't it\nRUN make\r\nRUN TOKEN=*** make",
            ),
            ("ARG A_TOKEN=abcdefgh\nFROM me:$A@b\n", "ARG A_TOKEN=***\nFROM me:$A@b\n"),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected);
        }
    }
}
