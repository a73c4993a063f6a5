//! `layergate schema`.

use super::{Exit, console};
use crate::cli::{SchemaArgs, SchemaOf};

/// Prints a schema. Schemas are part of the program; those of documents are derived from the types that are written.
///
/// # Errors
/// Any error from printing.
pub fn run(arguments: &SchemaArgs) -> anyhow::Result<Exit> {
    console::result(text_of(arguments.of))?;
    Ok(Exit::Success)
}

fn text_of(of: SchemaOf) -> &'static str {
    match of {
        SchemaOf::Config => include_str!("../../schema/layergate.toml.json"),
        SchemaOf::Snapshot => include_str!("../../schema/snapshot.json"),
        SchemaOf::Report => include_str!("../../schema/report.json"),
        SchemaOf::Fleet => include_str!("../../schema/fleet.json"),
    }
}

/// Derives the schemas of documents from their types. With `INSTA_UPDATE=always` they are rewritten; otherwise they
/// must match.
#[cfg(test)]
mod reference {
    use std::fs;

    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde_json::{Map, Value, json};

    use crate::fleet::Fleet;
    use crate::image::Snapshot;
    use crate::report::Report;

    /// With a lower-case first letter and no full stop, for a list of definitions.
    fn clause(sentence: &str) -> String {
        let (first, rest) = sentence.trim_end_matches('.').split_at(1);
        format!("{}{rest}", first.to_lowercase())
    }

    /// Merges described constants into one `enum`, with all descriptions in one place.
    fn join_words(schema: &mut Map<String, Value>) {
        let Some(words) = schema.get("oneOf").and_then(Value::as_array).cloned() else { return };
        if words.iter().any(|word| word["const"].as_str().is_none()) {
            return;
        }
        let meaning = |word: &Value| {
            let text = clause(word["description"].as_str().unwrap_or_default());
            format!("`{}`: {text}", word["const"].as_str().unwrap_or_default())
        };
        let meanings: Vec<String> = words.iter().map(meaning).collect();
        let own = schema["description"].as_str().unwrap_or_default();
        schema.insert("description".into(), json!(format!("{own} {}.", meanings.join("; "))));
        schema.insert("enum".into(), words.iter().map(|word| word["const"].clone()).collect());
        schema.remove("oneOf");
        schema.remove("type");
    }

    /// A property that is omitted when absent is never null.
    fn without_null(property: &mut Value) {
        if let Some(types) = property["type"].as_array() {
            let kept = types.iter().find(|kind| **kind != "null").cloned();
            property["type"] = kept.unwrap_or_default();
        }
        if let Some(choices) = property["anyOf"].as_array() {
            let kept: Vec<Value> = choices.iter().filter(|kind| kind["type"] != "null").cloned().collect();
            if let Some(property) = property.as_object_mut() {
                property.remove("anyOf");
                property.insert("allOf".into(), kept.into());
            }
        }
    }

    /// Makes a schema as short as possible.
    fn tidy(schema: &mut Value) {
        match schema {
            Value::Object(words) => {
                if let Some(Value::String(text)) = words.get_mut("description") {
                    *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                }
                words.retain(|word, value| !(word == "format" && value.is_string()) && word != "default");
                join_words(words);
                let required = words.get("required").cloned().unwrap_or_default();
                for (name, property) in
                    words.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
                {
                    if !required.as_array().is_some_and(|all| all.iter().any(|one| one == name)) {
                        without_null(property);
                    }
                }
                words.values_mut().for_each(tidy);
            }
            Value::Array(items) => items.iter_mut().for_each(tidy),
            _ => {}
        }
    }

    fn hold<T: JsonSchema>(name: &str, description: &str) {
        let mut root =
            SchemaSettings::draft07().for_serialize().into_generator().into_root_schema_for::<T>().to_value();
        tidy(&mut root);
        root["$id"] =
            json!(format!("https://raw.githubusercontent.com/layergate/layergate/main/schema/{name}.json"));
        root["title"] = json!(format!("layergate.{name}/v1"));
        root["description"] = json!(format!(
            "{description} Sizes are whole numbers of bytes. A later version may add fields; within a major version, readers must ignore unknown ones."
        ));
        let made = format!("{root:#}\n");
        let path = format!("{}/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            fs::write(&path, &made).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap() == made, "{path} differs; INSTA_UPDATE=always writes it");
    }

    #[test]
    fn the_schemas_of_documents_are_those_of_the_types() {
        hold::<Snapshot>(
            "snapshot",
            "One measured image, as `layergate inspect` writes it and baselines keep it.",
        );
        hold::<Report>(
            "report",
            "What `layergate check`, `diff` or `report` found: all of their outputs are rendered from it.",
        );
        hold::<Fleet>(
            "fleet",
            "The images of many repositories, as `layergate fleet` found them: all of its outputs are rendered from it.",
        );
    }
}
