use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::plan::Onbuild;
use super::*;
use crate::image::Instruction;

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(text).unwrap()
}

fn plan(text: &str) -> BuildPlan {
    parse(text).plan(&BuildOptions::default()).unwrap()
}

/// Instructions as keyword, arguments and lines.
fn read(text: &str) -> Vec<(String, u32, u32)> {
    let file = parse(text);
    let instructions = file.stages().iter().flat_map(|stage| stage.instructions.clone());
    instructions.map(|it| (format!("{} {}", it.keyword, it.text), it.line, it.end_line)).collect()
}

/// Maps a text to a history. An entry that starts with `-` made no layer.
fn map_text(text: &str, history: &[&str]) -> Mapping {
    map_plan(&plan(text), history)
}

fn map_plan(plan: &BuildPlan, history: &[&str]) -> Mapping {
    let entries: Vec<(Option<Instruction>, bool)> = history
        .iter()
        .map(|entry| {
            let text = entry.strip_prefix('-');
            (Instruction::from_history(text.unwrap_or(entry)), text.is_none())
        })
        .collect();
    let steps: Vec<HistoryStep<'_>> = entries
        .iter()
        .map(|(instruction, makes_layer)| HistoryStep {
            instruction: instruction.as_ref(),
            makes_layer: *makes_layer,
        })
        .collect();
    map(plan, &steps)
}

fn lines(mapping: &Mapping) -> Vec<u32> {
    mapping.lines.iter().map(|lines| lines.map_or(0, |lines| lines.line)).collect()
}

#[test]
fn lines_that_differ_in_a_secret_alone_are_told_apart_in_the_image_that_was_just_measured() {
    let text = "FROM a\nRUN fetch --token aaaaaaaa1\nRUN fetch --token bbbbbbbb2\n";
    let [a, b] = ["RUN /bin/sh -c fetch --token aaaaaaaa1", "RUN /bin/sh -c fetch --token bbbbbbbb2"];
    let mapping = map_text(text, &["ADD x /", a, b]);
    assert_eq!((lines(&mapping), &mapping.note), (vec![0, 2, 3], &None));
    // Only the second one: the Dockerfile was edited since.
    assert_eq!(lines(&map_text(text, &["ADD x /", b, b])), [0, 0, 0]);
    // Stored histories have no secrets, so both look the same.
    let kept = "RUN fetch --token ***";
    let mapping = map_text(text, &["ADD x /", kept, kept]);
    assert_eq!(lines(&mapping), [0, 0, 0]);
    assert_eq!(mapping.note, Some(Unmapped::Alike { lines: vec![2, 3] }));
}

#[test]
fn instructions_are_joined_as_builders_join_them() {
    let text = "FROM a\nRUN one \\\n\n# comment\n  # indented\n  two\\\nthree\nRUN four \\\\\nRUN five \\ \t\n six\nCOPY a \\\n";
    assert_eq!(
        read(text),
        [
            ("RUN one   twothree".to_owned(), 2, 7),
            ("RUN four \\\\".to_owned(), 8, 8),
            ("RUN five  six".to_owned(), 9, 10),
            ("COPY a".to_owned(), 11, 11),
        ]
    );
}

#[test]
fn a_here_document_belongs_to_its_instruction() {
    let file = parse(
        "FROM a\nRUN <<-\"E F\" cat\n\tRUN no\n\tE F\nCOPY <<a 3<<b /x\n1\na\n2\nb\nRUN echo $((1<<2)) <<<x\nRUN \"a <<b\" c\nONBUILD RUN <<X\nx\nX\nCMD x <<Y\n",
    );
    let stage = &file.stages()[0];
    let lines: Vec<(u32, u32)> = stage.instructions.iter().map(|it| (it.line, it.end_line)).collect();
    assert_eq!(lines, [(2, 4), (5, 9), (10, 10), (11, 11), (12, 14), (15, 15)]);
    let contents: Vec<Vec<&str>> = stage
        .instructions
        .iter()
        .map(|it| it.here_documents.iter().map(|document| document.content.as_str()).collect())
        .collect();
    assert_eq!(contents[1], ["1\n", "2\n"]);
    assert!(contents[5].is_empty(), "CMD takes none");
    assert_eq!(stage.instructions[4].here_documents[0].content, "x\n");
}

#[test]
fn errors_name_the_line_and_what_to_do() {
    let cases = [
        ("", "no FROM"),
        ("# only\n", "no FROM"),
        ("RUN x\nFROM a", "Dockerfile:1: RUN comes before the first FROM"),
        ("FROM a\n\nRNU x", "Dockerfile:3: \"RNU\" is not an instruction"),
        ("FROM a b c d", "Dockerfile:1: FROM takes an image"),
        ("FROM", "Dockerfile:1: FROM has no arguments"),
        ("FROM a\nRUN cat <<EOF\nx\n", "Dockerfile:2: the here-document <<EOF has no line \"EOF\""),
        ("# escape=x\nFROM a", "Dockerfile:1: the escape character is \"x\""),
    ];
    for (text, expected) in cases {
        let error = Dockerfile::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Dockerfile::parse(&"#\n".repeat(600_000)).unwrap_err().to_string().contains("1200000 bytes"));
    let many = format!("FROM a\n{}", "RUN x\n".repeat(3000));
    assert!(Dockerfile::parse(&many).unwrap_err().to_string().contains("Dockerfile:2001"));
    let options = BuildOptions { target: Some("prod".into()), ..BuildOptions::default() };
    let error = parse("FROM a AS dev\nFROM b").plan(&options).unwrap_err().to_string();
    assert_eq!(error, "the Dockerfile has no stage \"prod\"; it has dev");
}

#[test]
fn directives_are_directives_only_at_the_top() {
    assert_eq!(read("#  Escape = `\nFROM a\nRUN a `\nb")[0].0, "RUN a b");
    assert_eq!(read("# syntax=x\n#escape=`\nFROM a\nRUN a `\nb")[0].0, "RUN a b");
    assert!(Dockerfile::parse("# a comment\n# escape=`\nFROM a\nRUN a `\nb").is_err());
    assert!(Dockerfile::parse("\n# escape=`\nFROM a\nRUN a `\nb").is_err());
}

#[test]
fn stages_say_what_they_build_on_and_what_they_use() {
    let file = parse(
        "ARG T=1\nARG IMG=debian:${T:-2}\nFROM $IMG AS Build\nFROM --platform=$BUILDPLATFORM build AS two\n\
         RUN --mount=type=bind,from=BUILD,target=/x y\nCOPY --from=0 a b\nCOPY --from=nginx:1 a b\nCOPY --from=7 a b\n\
         FROM scratch\nFROM ${UNSET}x-$TARGETARCH\n",
    );
    let stages = file.stages();
    assert_eq!(stages[0].resolved, StageBase::Image("debian:1".into()));
    assert_eq!(stages[0].base, "$IMG");
    assert_eq!(stages[1].resolved, StageBase::Stage(0));
    assert_eq!(stages[1].platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!((stages[1].line, stages[1].end_line), (4, 8));
    assert_eq!(stages[2].resolved, StageBase::Scratch);
    assert_eq!(stages[3].resolved, StageBase::Unresolved("${UNSET}x-$TARGETARCH".into()));
    let origins: Vec<&CopyOrigin> = stages[1].uses.iter().map(|used| &used.origin).collect();
    let image = |name: &str| CopyOrigin::Image(name.into());
    assert_eq!(origins, [&CopyOrigin::Stage(0), &CopyOrigin::Stage(0), &image("nginx:1"), &image("7")]);

    let options = BuildOptions {
        target: Some("TWO".into()),
        args: BTreeMap::from([("T".to_owned(), "9".to_owned())]),
        ..BuildOptions::default()
    };
    let plan = file.plan(&options).unwrap();
    assert_eq!(plan.base, StageBase::Image("debian:9".into()));
    assert_eq!(plan.stages, [0, 1]);
}

/// The texts that are expected in a history.
fn texts(text: &str) -> Vec<String> {
    plan(text).steps.into_iter().map(|step| step.text.replace(expand::UNKNOWN, "*")).collect()
}

#[test]
fn variables_are_expanded_as_builders_do() {
    let text = "FROM scratch\nENV A=1 E=\nARG B=2\nCOPY $A-${B} ${A:+x}${E:+y}${E+z} ${U:-u$A}${E:-e}${E-f} '$A' \"$A\\$A\" \\$A /x\n\
                COPY ${A#1} ${U:?no} a$PATH /y\nENV A=$A$A\nCOPY $A /z\nARG TARGETOS=linux\nCOPY $TARGETOS /o\nARG E=argument\nCOPY $E /e\n";
    assert_eq!(
        texts(text),
        [
            "ENV A",
            "ARG B",
            "COPY 1-2 xz u1e $A 1$A $A /x",
            "COPY ** a* /y",
            "ENV A",
            "COPY 11 /z",
            "ARG TARGETOS",
            "COPY */o",
            "ARG E",
            "COPY */e",
        ]
    );
}

#[test]
fn a_variable_that_grows_without_end_is_unknown() {
    let mut text = String::from("FROM scratch\nENV A=aaaaaaaaaa\n");
    (0..100).for_each(|_| text.push_str("ENV A=$A$A\n"));
    text.push_str("COPY $A /x\n");
    let deep = format!("COPY {}x{} /y\n", "${U:-".repeat(5000), "}".repeat(5000));
    let texts = texts(&(text + &deep));
    assert_eq!(texts[101], "COPY */x");
    assert_eq!(texts[102], "COPY */y");
}

const SMALL: &str = "FROM debian\nRUN apt\nCOPY a /a\nENV A=1\nRUN make\nCMD [\"a\"]\n";
const SMALL_HISTORY: [&str; 7] = [
    "# debian.sh",
    "-CMD [\"bash\"]",
    "RUN /bin/sh -c apt # buildkit",
    "COPY a /a # buildkit",
    "-ENV A",
    "RUN /bin/sh -c make # buildkit",
    "-CMD [\"a\"]",
];

#[test]
fn a_history_that_is_explained_gets_all_its_lines() {
    let mapping = map_text(SMALL, &SMALL_HISTORY);
    assert_eq!(lines(&mapping), [0, 0, 2, 3, 4, 5, 6]);
    assert_eq!((mapping.base_steps, mapping.note), (Some(2), None));
}

#[test]
fn an_edit_is_noticed_and_only_what_is_certain_keeps_its_line() {
    let mapping = map_text(&SMALL.replace("ENV A=1", "ENV B=1"), &SMALL_HISTORY);
    assert_eq!(lines(&mapping), [0, 0, 2, 3, 0, 5, 6]);
    assert_eq!(mapping.base_steps, None);
    let note = mapping.note.unwrap().to_string();
    assert!(note.contains("line 4") && note.contains("(ENV B)") && note.contains("(4)"), "{note}");

    let mapping = map_text("FROM debian\nRUN other\nRUN make\n", &SMALL_HISTORY);
    assert_eq!(lines(&mapping), [0; 7], "one step alone could be the base image's");
    assert!(mapping.note.unwrap().to_string().ends_with("no lines are shown"));
}

#[test]
fn what_could_have_changed_places_is_left_out() {
    let text = "FROM debian\nCOPY --from=a /x /y\nCOPY --from=b /x /y\nRUN make\n";
    let mapping = map_text(text, &["# debian.sh", "COPY /x /y", "COPY /x /y", "RUN make"]);
    assert_eq!(lines(&mapping), [0, 0, 0, 4]);
    assert_eq!(mapping.base_steps, None, "the lower copy may be the base image's, and one of ours be new");
    assert_eq!(
        mapping.note.unwrap().to_string(),
        "lines 2, 3 look the same in this history, so none of them is shown"
    );
    // The same words twice: it does not matter which is which.
    let text = "FROM debian\nRUN x\nRUN x\nRUN make\n";
    assert_eq!(lines(&map_text(text, &["# debian.sh", "RUN x", "RUN x", "RUN make"])), [0, 2, 3, 4]);
}

#[test]
fn what_could_belong_to_a_deleted_neighbour_is_left_out() {
    // With the classic builder, this may be the rest of two copies to one place.
    let history =
        ["/bin/sh -c #(nop) COPY file:1 in /x ", "/bin/sh -c #(nop) COPY file:2 in /x ", "/bin/sh -c make"];
    let mapping = map_text("FROM debian\nCOPY a /x\nRUN make\n", &history);
    assert_eq!(lines(&mapping), [0, 0, 3]);
    assert_eq!(mapping.base_steps, None);
    // From `scratch`, all entries are the Dockerfile's, so a missing one is noticed.
    let mapping = map_text("FROM scratch\nCOPY a /x\nRUN make\n", &history);
    assert!(matches!(mapping.note, Some(Unmapped::Differs { first: None, .. })), "{mapping:?}");
    assert_eq!(lines(&mapping), [0, 0, 3]);
}

#[test]
fn what_also_fits_a_step_of_the_base_image_is_left_out() {
    let copy = "/bin/sh -c #(nop) COPY file:1 in /x ";
    let history = [copy, "/bin/sh -c base", "/bin/sh -c one", copy, "/bin/sh -c make"];
    let mapping = map_text("FROM debian\nRUN one\nCOPY a /x\nRUN make\n", &history);
    assert_eq!(lines(&mapping), [0, 0, 2, 0, 4]);
    assert_eq!(mapping.note, Some(Unmapped::Alike { lines: vec![3] }));
    // If the history says what was copied, there is no doubt.
    let history = ["COPY b /x", "RUN base", "RUN one", "COPY a /x", "RUN make"];
    assert_eq!(lines(&map_text("FROM debian\nRUN one\nCOPY a /x\nRUN make\n", &history)), [0, 0, 2, 3, 4]);
}

#[test]
fn after_an_edit_a_hash_counts_only_between_steps_that_are_certain() {
    let copy = "/bin/sh -c #(nop) COPY file:1 in /x ";
    let history = ["# debian.sh", copy, "/bin/sh -c one", "/bin/sh -c two"];
    let edited = "FROM debian\nCOPY a /x\nRUN one\nRUN two\nRUN new\n";
    assert_eq!(lines(&map_text(edited, &history)), [0, 0, 3, 4]);
    let history = ["# debian.sh", "/bin/sh -c one", copy, "/bin/sh -c two"];
    let edited = "FROM debian\nRUN one\nCOPY a /x\nRUN two\nRUN new\n";
    assert_eq!(lines(&map_text(edited, &history)), [0, 2, 3, 4]);
}

#[test]
fn lines_never_go_back() {
    let history = ["RUN a", "RUN b", "RUN c", "RUN d"];
    let lines = lines(&map_text("FROM scratch\nRUN b\nRUN c\nRUN a\nRUN d\n", &history));
    assert_eq!(lines, [0, 2, 3, 5], "of instructions that changed places, those that moved least");
}

#[test]
fn one_layer_of_several_steps_is_no_lines() {
    let text = "FROM debian\nCOPY a /x\nRUN one\nRUN two\nUSER me\n";
    let squashed = ["# debian.sh", "-COPY a /x", "-RUN one", "-RUN two", "USER me"];
    let mapping = map_text(text, &squashed);
    assert_eq!(mapping.note, Some(Unmapped::Squashed));
    assert_eq!(lines(&mapping), [0; 5]);
    let runs = "FROM debian\nRUN one\nRUN two\nRUN three\n";
    let last = ["# debian.sh", "-RUN one", "-RUN two", "RUN three"];
    assert_eq!(map_text(runs, &last).note, Some(Unmapped::Squashed));
}

#[test]
fn without_a_history_or_an_instruction_there_is_a_reason() {
    assert_eq!(map_text(SMALL, &[]).note, Some(Unmapped::NoHistory));
    assert_eq!(map_text(SMALL, &["", ""]).note, Some(Unmapped::NoHistory));
    assert_eq!(map_text("FROM debian", &SMALL_HISTORY).note, Some(Unmapped::NoInstruction));
    let long = vec!["RUN x"; 5000];
    assert_eq!(map_text(SMALL, &long).note, Some(Unmapped::TooManyInstructions));
    let mapping = map_text(SMALL, &SMALL_HISTORY[3..]);
    assert!(matches!(mapping.note, Some(Unmapped::Differs { .. })), "too short: {mapping:?}");
}

#[test]
fn flags_that_a_builder_shows_must_be_the_dockerfiles() {
    let text = "FROM debian\nRUN apt\nCOPY --from=b --chown=1:1 --link a /a\n";
    for shown in ["", "--chown=1:1 ", "--link --chown=1:1 ", "--from=b --chown=1:1 --link "] {
        let copy = format!("COPY {shown}a /a # buildkit");
        assert_eq!(lines(&map_text(text, &["# base", "RUN apt", &copy])), [0, 2, 3], "{shown}");
    }
    let mapping = map_text(text, &["# base", "RUN apt", "COPY --chown=2:2 a /a"]);
    assert!(matches!(mapping.note, Some(Unmapped::Differs { first: Some((3, _)), .. })), "{mapping:?}");
}

#[test]
fn a_text_that_was_cut_is_still_found() {
    let long = format!("echo {}", "long ".repeat(2000));
    let text = format!("FROM debian\nRUN {long}one\nRUN make\n");
    let history =
        ["# base".to_owned(), format!("RUN /bin/sh -c {long}one # buildkit"), "RUN make".to_owned()];
    let history: Vec<&str> = history.iter().map(String::as_str).collect();
    assert_eq!(lines(&map_text(&text, &history)), [0, 2, 3]);
}

/// The processor time of this thread so far: other tests run beside it. Only Linux reports it.
pub(super) fn worked() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = said.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    assert!(nanoseconds.is_some() || !cfg!(target_os = "linux"), "{said:?}");
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

#[test]
fn untrusted_texts_cost_little() {
    let copy = format!("COPY {} /x\n", "$A-$A ".repeat(150));
    let plan = plan(&format!("FROM debian\n{}", copy.repeat(500)));
    let entry = format!("COPY {}", "- ".repeat(3000));
    let before = worked();
    let mapping = map_plan(&plan, &vec![entry.as_str(); 500]);
    assert!(mapping.note.is_some());
    // Far more than it takes, and far less than if the work grew quadratically.
    let work = worked() - before;
    assert!(work.as_secs() < 120, "{work:?}");
}

/// Fragments of Dockerfiles, and of other text.
fn fragment() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "FROM a AS b\n",
        "FROM b\n",
        "FROM scratch\n",
        "FROM $X\n",
        "RUN x\n",
        "RUN y \\\n",
        "COPY a /b\n",
        "COPY $A /b\n",
        "ADD a b /c\n",
        "ENV A=1\n",
        "ENV A $A$A\n",
        "ARG X=${Y:-z}\n",
        "WORKDIR ../x\n",
        "ONBUILD RUN x\n",
        "ONBUILD ",
        "LABEL a=b c=\"d e\"\n",
        "EXPOSE 1-99999 5/udp\n",
        "CMD [\"a\"]\n",
        "CMD é\n",
        "HEALTHCHECK CMD x\n",
        "SHELL [\"a\", \"b\"]\n",
        "RUN <<E\nx\nE\n",
        "<<E",
        "# escape=`\n",
        "`\n",
        "\\\n",
        "\r\n",
        "${A:-",
        "}",
        "\"",
        "'",
        "$",
        "[",
        "]",
        "--from=b ",
        "\u{10ffff}",
        "\u{feff}",
        "é",
        " ",
        "\t",
        "=",
        "/",
    ]);
    prop_oneof![4 => parts.prop_map(str::to_owned), 1 => ".{0,12}".prop_map(|text| text)]
}

fn entry() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "RUN /bin/sh -c x # buildkit",
        "/bin/sh -c x",
        "COPY a /b # buildkit",
        "/bin/sh -c #(nop) COPY file:0 in /b ",
        "/bin/sh -c #(nop)  ENV A=1",
        "ENV A",
        "ARG X",
        "WORKDIR /x",
        "CMD [\"a\"]",
        "EXPOSE map[5/udp:{}]",
        "",
        "|1 A=b x",
        "ONBUILD RUN x",
    ]);
    prop_oneof![3 => parts.prop_map(str::to_owned), 1 => ".{0,20}".prop_map(|text| text)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_and_any_history_give_rising_lines_and_no_panic(
        fragments in prop::collection::vec(fragment(), 0..30),
        start in prop::bool::ANY,
        history in prop::collection::vec((entry(), prop::bool::ANY), 0..12),
    ) {
        let mut text = fragments.concat();
        if start {
            text.insert_str(0, "FROM base\n");
        }
        let Ok(file) = Dockerfile::parse(&text) else { return Ok(()) };
        let count = u32::try_from(text.split('\n').count()).unwrap();
        for index in 0..file.stages().len() {
            let options = BuildOptions { target: Some(index.to_string()), ..BuildOptions::default() };
            let Ok(plan) = file.plan(&options) else { continue };
            let entries: Vec<String> = history.iter().map(|(text, layer)| format!("{}{text}", if *layer { "" } else { "-" })).collect();
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            let mapping = map_plan(&plan, &entries);
            prop_assert_eq!(mapping.lines.len(), history.len());
            let mut last = 0;
            for lines in mapping.lines.iter().flatten() {
                prop_assert!(lines.line <= lines.end_line && lines.end_line <= count);
                let step = plan.steps.iter().find(|step| step.line == lines.line).unwrap();
                if step.onbuild == Onbuild::No && !text.contains("ONBUILD") {
                    prop_assert!(lines.line >= last, "{:?}", mapping.lines);
                    last = lines.line;
                }
            }
            prop_assert!(mapping.note.is_some() || mapping.lines.iter().any(Option::is_some));
        }
    }

    #[test]
    fn another_parser_counts_as_many_instructions(fragments in prop::collection::vec(fragment(), 0..30)) {
        let text = format!("FROM base\n{}", fragments.concat());
        // It reads here-documents only if they are an instruction's first word.
        let theirs = parse_dockerfile::parse_iter(&text).ok().and_then(|them| them.collect::<Result<Vec<_>, _>>().ok());
        if let (Ok(file), Some(theirs), false) = (Dockerfile::parse(&text), theirs, text.contains("<<")) {
            let ours: usize = file.stages().iter().map(|stage| 1 + stage.instructions.len()).sum();
            prop_assert_eq!(ours, theirs.len());
        }
    }

    #[test]
    fn a_whole_history_of_a_plan_is_mapped_wholly(steps in prop::collection::vec(0usize..6, 1..12)) {
        let mut text = String::from("FROM base\n");
        let mut history = vec!["RUN base".to_owned()];
        for (index, kind) in steps.iter().enumerate() {
            let (line, entry) = match kind {
                0 => (format!("RUN make {index}"), format!("RUN /bin/sh -c make {index} # buildkit")),
                1 => (format!("COPY a /{index}"), format!("COPY a /{index} # buildkit")),
                2 => (format!("ENV V{index}=x"), format!("-ENV V{index}")),
                3 => (format!("WORKDIR /w{index}"), format!("WORKDIR /w{index}")),
                4 => (format!("CMD [\"{index}\"]"), format!("-CMD [\"{index}\"]")),
                _ => (format!("RUN [\"make\", \"{index}\"]"), format!("RUN make {index} # buildkit")),
            };
            text.push_str(&line);
            text.push('\n');
            history.push(entry);
        }
        let history: Vec<&str> = history.iter().map(String::as_str).collect();
        let mapping = map_text(&text, &history);
        let expected: Vec<u32> = std::iter::once(0).chain((2..).take(steps.len())).collect();
        prop_assert_eq!(lines(&mapping), expected);
        prop_assert_eq!(mapping.base_steps, Some(1));
    }
}
