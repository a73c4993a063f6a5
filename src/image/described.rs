//! The schemas of types with handwritten serialization. The rest of `schema/` is derived from types and their comments;
//! `commands/schema.rs` writes it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{DiffId, Digest, Entry, Instruction, LayerPath, Mark, Platform, SecretKind, Time};

macro_rules! described {
    ($name:ident, $schema:expr) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// The schema of a hash.
fn hash(description: &str) -> Schema {
    json_schema!({
        "description": description,
        "type": "string",
        "pattern": "^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$",
        "examples": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    })
}

described!(Digest, hash("The hash of a blob as it is distributed."));
described!(
    DiffId,
    hash("The hash of a layer's uncompressed tar: the same on every engine and in every registry.")
);
described!(
    Platform,
    json_schema!({
        "description": "What an image runs on, as `os/arch[/variant][:os.version]`, by Go's names.",
        "type": "string",
        "pattern": "^[A-Za-z0-9._-]{1,64}/[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64})?(:[A-Za-z0-9._-]{0,64}([+][A-Za-z0-9._-]{1,64})*)?$",
        "examples": ["linux/arm64/v8"],
    })
);
described!(
    Instruction,
    json_schema!({
        "description": "A Dockerfile instruction on one line, without the shell that ran it, build arguments and secrets.",
        "type": "string",
        "examples": ["RUN apt-get install -y gcc"],
    })
);
described!(
    Time,
    json_schema!({
        "description": "A time to the second, in UTC, as RFC 3339 writes it.",
        "type": "string",
        "format": "date-time",
        "pattern": "Z$",
        "examples": ["2027-01-31T08:30:00Z"],
    })
);
described!(
    LayerPath,
    json_schema!({
        "description": "A path, relative to the image's root. Bytes that are not UTF-8 are `\\xNN`, and a backslash is doubled.",
        "type": "string",
    })
);
described!(
    Entry,
    json_schema!({
        "description": "One thing that a layer's tar lists: its kind, its path relative to the image's root, and what the kind needs. In paths, bytes that are not UTF-8 are `\\xNN`, and a backslash is doubled.",
        "anyOf": [
            array("A regular file: its path and bytes.", &[json!({"const": "f"}), text(), number()]),
            array(
                "A directory, a symbolic link, a device, pipe or socket (`s`), a whiteout of this path, or an opaque whiteout: its path.",
                &[json!({"enum": ["d", "l", "s", "w", "o"]}), text()],
            ),
            array("A hard link: its path, and the one that it repeats.", &[json!({"const": "h"}), text(), text()]),
        ],
        "examples": [["d", "usr"], ["f", "usr/package.json", 43], ["h", "usr/again.json", "usr/package.json"]],
    })
);
described!(
    Mark,
    json_schema!({
        "description": "What the content of one file says: a word, the entry of the file list that is the file, and more. A reader passes over words that it does not know.",
        "type": "array",
        "items": [text(), number()],
        "minItems": 2,
        "anyOf": [
            array(
                "An ELF file with debug symbols: the bytes of the sections that `strip` would take.",
                &[json!({"const": "debug"}), json!(true), number()],
            ),
            array(
                "A file that holds what looks like a secret: what it looks like.",
                &[json!({"const": "secret"}), json!(true), json!({"enum": SecretKind::ALL.map(SecretKind::as_str)})],
            ),
            array(
                "A file in which a package manager says what only development needs (`dev`), or a project what it asked for itself (`dev-declared`): directories, relative to the image's root.",
                &[json!({"enum": ["dev", "dev-declared"]}), json!(true), json!({"type": "array", "items": text()})],
            ),
            {
                "description": "What a later version knows.",
                "items": [{"not": {"enum": ["debug", "secret", "dev", "dev-declared"]}}],
            },
        ],
        "examples": [["secret", 1, "npm-token"]],
    })
);

/// The schema of an array of exactly these items.
fn array(description: &str, items: &[Value]) -> Value {
    let count = items.len();
    json!({ "description": description, "type": "array", "items": items, "minItems": count, "maxItems": count })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}
