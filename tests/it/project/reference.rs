//! What is made from the program: `docs/cli.md` from the definition of the command line; the limits in the schema of
//! the configuration and in `action.yml` from the list of limits; the kinds in that schema from their catalogue; and
//! `docs/config.md` from that schema. With `INSTA_UPDATE=always` they are written anew; otherwise they have to be what is
//! made.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use layergate::cli::Cli;
use layergate::limits::{self, LimitKey, ValueForm};
use layergate::removable::Catalogue;
use serde_json::{Map, Value, json};

use super::schema::resolved;

/// The commands that the action runs: their options are inputs of it.
const OF_ACTION: [&str; 3] = ["check", "record", "report"];

const HEAD: &str = "<!-- Made of the program by tests/it/project/reference.rs; change it there. -->\n\n";

fn path_of(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file to what it is made of.
fn hold(name: &str, made: &str) {
    let path = path_of(name);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&path, made).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let difference = found.lines().zip(made.lines()).find(|(found, made)| found != made);
    assert!(
        found == made,
        "{name} is not what the program has: {difference:#?}; write it with INSTA_UPDATE=always"
    );
}

/// A text of help in Markdown, in a cell of a table: what is in quotes is code, and nothing else has a meaning.
fn cell(text: &str) -> String {
    let (mut out, mut code) = (String::new(), false);
    for c in text.chars() {
        match c {
            '"' | '`' => {
                code = !code;
                out.push('`');
            }
            '|' => out.push_str("\\|"),
            '*' | '<' | '>' | '[' | ']' | '_' if !code => out.extend(['\\', c]),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn variable(argument: &Arg) -> String {
    let name = argument.get_long().unwrap_or(argument.get_id().as_str());
    format!("LAYERGATE_{}", name.replace('-', "_").to_uppercase())
}

/// What an argument means, and its default: that of clap, or the one that its help names.
fn meaning_of(argument: &Arg) -> (String, String) {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let (mut meaning, mut default) = match help.split_once(" [default: ") {
        Some((meaning, default)) => (cell(meaning), cell(default.trim_end_matches(']'))),
        None => (cell(&help), String::new()),
    };
    if let Some(value) = argument.get_default_values().first().filter(|_| takes_value(argument)) {
        default = code(&value.to_string_lossy());
    }
    let choices = argument.get_possible_values();
    if argument.is_positional() && choices.iter().any(|choice| choice.get_help().is_none()) {
        let names: Vec<String> = choices.iter().map(|choice| code(choice.get_name())).collect();
        write!(meaning, ": {}", names.join(", ")).unwrap();
    }
    let told = choices.iter().filter_map(|choice| Some((choice.get_name(), choice.get_help()?.to_string())));
    for (name, help) in told {
        write!(meaning, "<br>{}: {}", code(name), cell(&help)).unwrap();
    }
    (meaning, default)
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

fn option_name(argument: &Arg) -> String {
    let short = argument.get_short().map_or_else(String::new, |short| format!("-{short}, "));
    let value = argument.get_value_names().filter(|_| takes_value(argument));
    let value = value.map_or_else(String::new, |names| format!(" {}", names[0]));
    code(&format!("{short}--{}{value}", argument.get_long().unwrap()))
}

/// The headings of options, in the order of the help; those without one come first.
fn headings(command: &Command) -> Vec<Option<&str>> {
    let mut headings = vec![None];
    for argument in command.get_arguments() {
        let heading = argument.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    headings
}

fn options_table(command: &Command, heading: Option<&str>, out: &mut String) {
    let is_own = |argument: &&Arg| {
        let usual = ["help", "version"].contains(&argument.get_id().as_str());
        argument.get_help_heading() == heading && !argument.is_positional() && !usual
    };
    let options: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
    if options.is_empty() {
        return;
    }
    writeln!(out, "**{}**\n", heading.unwrap_or("Options")).unwrap();
    out.push_str("| option | meaning | default | variable |\n| :-- | :-- | :-- | :-- |\n");
    for option in options {
        let (meaning, default) = meaning_of(option);
        writeln!(out, "| {} | {meaning} | {default} | `{}` |", option_name(option), variable(option))
            .unwrap();
    }
    out.push('\n');
}

fn write_command(command: &Command, out: &mut String) {
    let name = command.get_name();
    writeln!(out, "## layergate {name}\n\n{}.\n", command.get_about().unwrap()).unwrap();
    let usage = command.clone().render_usage().to_string();
    writeln!(out, "```text\n{}\n```\n", usage.trim_start_matches("Usage: ")).unwrap();
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    if !positionals.is_empty() {
        out.push_str("| argument | meaning | default |\n| :-- | :-- | :-- |\n");
        for argument in positionals {
            let (meaning, default) = meaning_of(argument);
            let names = argument.get_value_names().unwrap().join(" ");
            writeln!(out, "| {} | {meaning} | {default} |", code(&names)).unwrap();
        }
        out.push('\n');
    }
    if OF_ACTION.contains(&name) {
        let input = if name == "report" { "reports" } else { "images" };
        writeln!(
            out,
            "In the action this is `command: {name}`. The arguments are its input `{input}`, one a line, and each option is the input of its name, without the dashes.\n"
        )
        .unwrap();
    }
    headings(command).into_iter().for_each(|heading| options_table(command, heading, out));
    // What all commands have in common is said once.
    let common = Cli::command().get_after_help().unwrap().to_string();
    let notes = command.get_after_help().map(|notes| notes.to_string().replace(&common, ""));
    if let Some(notes) = notes.filter(|notes| !notes.trim().is_empty()) {
        writeln!(out, "```text\n{}\n```\n", notes.trim_end()).unwrap();
    }
}

#[test]
fn the_reference_of_the_command_line_is_what_the_program_takes() {
    let mut program = Cli::command();
    program.build();
    let mut out = format!("# The command line\n\n{HEAD}{}.\n\n", program.get_about().unwrap());
    out.push_str("| command | does |\n| :-- | :-- |\n");
    let commands: Vec<&Command> =
        program.get_subcommands().filter(|command| command.get_name() != "help").collect();
    for command in &commands {
        let (name, about) = (command.get_name(), command.get_about().unwrap().to_string());
        writeln!(out, "| [`{name}`](#layergate-{name}) | {} |", cell(&about)).unwrap();
    }
    writeln!(out, "\n```text\n{}\n```\n", program.get_after_help().unwrap()).unwrap();
    out.push_str("Each command also has `-h` and `--help`; `layergate --version` says the version. An option that is set by a variable and takes no value is set by `true`. What may be given several times has one a line in its variable.\n\n");
    commands.into_iter().for_each(|command| write_command(command, &mut out));
    hold("docs/cli.md", &(out.trim_end().to_owned() + "\n"));
}

/// A section of the configuration: its heading, what comes before its keys' flags, and where the schema has it.
const SECTIONS: [(&str, &str, &str); 7] = [
    ("[limits]", "", "limits"),
    ("[accept]", "accept-", "accept"),
    ("[comment]", "comment-", "comment"),
    ("[images.NAME]", "none", "image"),
    ("[allow]", "none", "allow"),
    ("[[removable.kinds]]", "none", "kind"),
    ("[[removable.ignore]]", "none", "ignore"),
];

/// What may be written as a value.
fn form_of(says: &[&Value]) -> String {
    let has = |word: &str| says.iter().find_map(|schema| schema.get(word));
    if let Some(choices) = has("enum").and_then(Value::as_array).filter(|choices| choices.len() < 10) {
        return choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ");
    }
    let refers =
        |name: &str| says.iter().any(|schema| schema["allOf"][0]["$ref"] == format!("#/definitions/{name}"));
    let kind = has("type").map(Value::to_string).unwrap_or_default();
    let form = match kind.as_str() {
        _ if refers("size") => "a size",
        _ if refers("increase") => "a percentage, a size, or several",
        "[\"array\",\"string\"]" => "a list of strings, or one string with lines",
        "[\"integer\",\"string\"]" | "\"integer\"" => "a whole number",
        "[\"boolean\",\"string\"]" => "`true`, `false` or a string",
        "\"array\"" => "a list of strings",
        "\"boolean\"" => "`true` or `false`",
        "\"object\"" => "a table",
        _ => "a text",
    };
    let examples = has("examples").and_then(Value::as_array).into_iter().flatten();
    let examples: Vec<String> =
        examples.map(|example| format!("`{}`", super::schema::toml_of(example))).collect();
    match examples.is_empty() {
        true => form.to_owned(),
        false => format!("{form}, such as {}", examples.join(" or ")),
    }
}

/// The option of `check` that says the same as a key.
fn flag_of(check: &Command, prefix: &str, key: &str) -> Option<String> {
    let singular = key.trim_end_matches('s');
    let named = |name: &&str| check.get_arguments().any(|argument| argument.get_long() == Some(*name));
    let [whole, one] = [format!("{prefix}{key}"), format!("{prefix}{singular}")];
    [whole.as_str(), one.as_str()].into_iter().find(named).map(str::to_owned)
}

fn write_key(key: &str, says: &[&Value], required: bool, flag: Option<&str>, out: &mut String) {
    let description = says.iter().find_map(|schema| schema["description"].as_str()).unwrap();
    writeln!(out, "### `{key}`\n\n{description}\n\n- written as {}", form_of(says)).unwrap();
    let default = says.iter().find_map(|schema| schema.get("default"));
    match default {
        Some(default) => writeln!(out, "- default: `{default}`").unwrap(),
        None if required => out.push_str("- required\n"),
        None => {}
    }
    if let Some(flag) = flag {
        let variable = format!("LAYERGATE_{}", flag.replace('-', "_").to_uppercase());
        writeln!(out, "- also `--{flag}`, the variable `{variable}`, the action's input `{flag}`").unwrap();
    }
    out.push('\n');
}

/// Keys in the order in which the schema's text has them.
fn in_order<'s>(text: &str, section: &str, keys: &'s Map<String, Value>) -> Vec<(&'s String, &'s Value)> {
    let (_, definitions) = text.split_once("\n  \"definitions\": {").unwrap();
    let (_, text) = definitions.split_once(&format!("\n    \"{section}\": {{")).unwrap();
    let mut keys: Vec<_> = keys.iter().collect();
    // What only says that a key is needed has no space there.
    let starts = |key: &str| [format!("\"{key}\": {{\n"), format!("\"{key}\": {{ ")];
    keys.sort_by_key(|(key, _)| starts(key).iter().filter_map(|start| text.find(start)).min());
    keys
}

#[test]
fn the_schema_has_each_limit_and_the_reference_of_the_configuration_is_what_it_says() {
    let text = made_schema();
    hold("schema/layergate.toml.json", &text);
    let root: Value = serde_json::from_str(&text).unwrap();
    let program = Cli::command();
    let check = program.find_subcommand("check").unwrap();
    let mut out = format!("# The configuration\n\n{HEAD}");
    writeln!(
        out,
        "The configuration is `layergate.toml` or `.github/layergate.toml` in the directory where layergate runs, or the file that `--config` names. Having both files is an error. On a pull request and in a merge queue, [the target branch's file](threat-model.md#where-limits-come-from) counts. No key is required; an unknown key is an error. A flag overrides a variable, which overrides the file. In the file, the image's platform overrides the image, which overrides all images.\n\nWith `#:schema {}` as its first line, editors with Taplo complete and check it; `layergate schema` prints that schema.\n",
        root["$id"].as_str().unwrap()
    )
    .unwrap();
    let limits = root["definitions"]["limits"]["properties"].as_object().unwrap();
    out.push_str("## At the top\n\nBefore any section.\n\n");
    for (key, flag) in [("extends", None), ("enforce", Some("enforce"))] {
        write_key(key, &resolved(&root["properties"][key], &root), false, flag, &mut out);
    }
    for (heading, prefix, section) in SECTIONS {
        let definition = &root["definitions"][section];
        let properties = definition["properties"].as_object().unwrap();
        writeln!(out, "## `{heading}`\n\n{}\n", definition["description"].as_str().unwrap()).unwrap();
        if section == "image" {
            out.push_str("Each key of `[limits]`, `enforce`, and:\n\n");
        }
        for (key, property) in in_order(&text, section, properties) {
            if section == "image" && (limits.contains_key(key) || key == "enforce") {
                continue;
            }
            let flag = flag_of(check, prefix, key).filter(|_| prefix != "none");
            assert!(flag.is_some() || prefix == "none", "{heading} {key} has no flag");
            let required =
                definition["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
            write_key(key, &resolved(property, &root), required, flag.as_deref(), &mut out);
        }
    }
    hold("docs/config.md", &(out.trim_end().to_owned() + "\n"));
}

/// A text with `made` in place of what is between two lines that begin so; `place` counts from 0.
fn spliced(text: &str, place: usize, from: &str, to: &str, made: &str) -> String {
    let (start, _) = text.match_indices(from).nth(place).unwrap_or_else(|| panic!("no {from}"));
    let end = start + text[start..].find(to).unwrap_or_else(|| panic!("no {to}"));
    [&text[..start], made, &text[end..]].concat()
}

/// What the schema says of a key.
fn schema_of(key: &LimitKey) -> String {
    let examples = || json!(key.examples);
    let form = match key.form {
        ValueForm::Size => {
            vec![("allOf", json!([{ "$ref": "#/definitions/size" }])), ("examples", examples())]
        }
        ValueForm::Increase => {
            vec![("allOf", json!([{ "$ref": "#/definitions/increase" }])), ("examples", examples())]
        }
        ValueForm::Count => vec![
            ("type", json!(["integer", "string"])),
            ("minimum", json!(0)),
            ("pattern", json!("^\\s*\\+?[0-9]+\\s*$")),
            ("examples", key.examples.iter().map(|example| example.parse::<u64>().unwrap()).collect()),
        ],
        ValueForm::Paths => vec![
            ("type", json!(["array", "string"])),
            ("items", json!({ "$ref": "#/definitions/pattern" })),
            ("examples", json!([key.examples])),
        ],
        ValueForm::Enforce => vec![
            ("type", json!(["boolean", "string"])),
            ("pattern", json!("^\\s*(true|false|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))\\s*$")),
            ("default", json!(true)),
            ("examples", json!([false, "2027-01-31"])),
        ],
        ValueForm::Choice(choices) => vec![("enum", json!(choices))],
    };
    let description = format!("{} {}", key.description, key.form.description());
    let mut fields = vec![("description", json!(description.trim_end()))];
    fields.extend(form);
    let choices = if let ValueForm::Choice(choices) = key.form { choices } else { &[] };
    fields.extend(key.default.filter(|word| choices.contains(word)).map(|word| ("default", json!(word))));
    let fields: Vec<String> =
        fields.into_iter().map(|(name, value)| format!("      {}: {value}", json!(name))).collect();
    format!("    {}: {{\n{}\n    }},\n", json!(key.name), fields.join(",\n"))
}

/// The text of the schema, with what the list of limits and the catalogue of removable files say.
fn made_schema() -> String {
    let definitions: String = limits::keys().map(schema_of).collect();
    let property =
        |key: &LimitKey| format!("        \"{0}\": {{ \"$ref\": \"#/definitions/{0}\" }},\n", key.name);
    let of_all: String = limits::keys().map(property).collect();
    // `enforce` stands above the sections.
    let of_limits: String =
        limits::keys().filter(|key| key.form != ValueForm::Enforce).map(property).collect();
    let text = fs::read_to_string(path_of("schema/layergate.toml.json")).unwrap();
    let mut made = spliced(&text, 0, "    \"metric\": {\n", "    \"dockerfile\": {\n", &definitions);
    for (place, properties) in [of_limits, of_all].iter().enumerate() {
        made = spliced(&made, place, "        \"metric\": {", "        \"dockerfile\": {", properties);
    }
    let catalogue = Catalogue::builtin();
    let kinds: Vec<String> =
        catalogue.kinds().iter().map(|kind| format!("        {:?}", kind.name)).collect();
    let kinds = format!(
        "    \"built-in-kind\": {{\n      \"description\": \"The kinds that are built in.\",\n      \"enum\": [\n{}\n      ]\n",
        kinds.join(",\n")
    );
    spliced(&made, 0, "    \"built-in-kind\": {", "    }\n", &kinds)
}

#[test]
fn the_action_has_each_limit() {
    let input = |key: &LimitKey| {
        let several = if key.form == ValueForm::Paths { ", one per line" } else { "" };
        let default = key.default.map_or_else(String::new, |default| format!(" By default {default}."));
        let help = key.help.replace('"', "").replace("--", "");
        format!("  {}:\n    description: \"{help}{several}.{default}\"\n", key.name)
    };
    let passed = |key: &LimitKey| {
        let variable = key.name.replace('-', "_").to_uppercase();
        format!("        LAYERGATE_{variable}: ${{{{ inputs.{} }}}}\n", key.name)
    };
    let inputs: String = limits::keys().map(input).collect();
    let passed: String = limits::keys().map(passed).collect();
    let text = fs::read_to_string(path_of("action.yml")).unwrap();
    let made = spliced(&text, 0, "  metric:\n", "  accept-label:\n", &inputs);
    let made = spliced(&made, 0, "        LAYERGATE_METRIC:", "        LAYERGATE_ACCEPT_LABEL:", &passed);
    hold("action.yml", &made);
}
