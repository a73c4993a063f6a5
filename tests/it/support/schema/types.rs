//! The schemas of documents and the types that are read and written, held to each other: from a schema a document
//! is made that has all of it, and the types are asked, while they read that, what they know.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use layergate::image::{SecretKind, Snapshot};
use layergate::report::Report;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{held, schema};

/// Names, by where in a document they are asked for.
type Names = BTreeMap<String, BTreeSet<String>>;

/// Makes documents from a schema.
struct Maker<'s> {
    root: &'s Value,
    /// Whether with all that may be left out.
    whole: bool,
    choices: Names,
}

impl Maker<'_> {
    fn make(&mut self, schema: &Value, at: &str) -> Value {
        let root = self.root;
        if let Some(place) = schema["$ref"].as_str() {
            return self.make(root.pointer(&place[1..]).unwrap(), at);
        }
        let nullable = schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
            || schema["anyOf"].as_array().is_some_and(|any| any.contains(&json!({ "type": "null" })));
        if nullable && !self.whole {
            return Value::Null;
        }
        if let Some(example) =
            schema["examples"].get(0).filter(|_| self.whole || !schema["pattern"].is_null())
        {
            return example.clone();
        }
        if let Some(choices) = schema["enum"].as_array() {
            let words = choices.iter().map(|word| word.as_str().unwrap().to_owned());
            self.choices.insert(at.to_owned(), words.collect());
            return choices[0].clone();
        }
        for word in ["allOf", "anyOf"] {
            if let Some(inner) = schema[word].get(0) {
                return self.make(inner, at);
            }
        }
        let kind = schema["type"].get(0).unwrap_or(&schema["type"]).as_str();
        match kind {
            None => schema["const"].clone(),
            Some("object") => self.object(schema, at),
            Some("array") if self.whole => json!([self.make(&schema["items"], &format!("{at}/0"))]),
            Some("array") => json!([]),
            Some("string") => json!("text"),
            Some("integer") => json!(7),
            Some("boolean") => json!(true),
            Some(other) => panic!("{at}: {other}"),
        }
    }

    fn object(&mut self, schema: &Value, at: &str) -> Value {
        let mut object = json!({});
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if self.whole || required(schema).contains(name.as_str()) {
                object[name] = self.make(property, &format!("{at}/{name}"));
            }
        }
        object
    }
}

fn required(schema: &Value) -> BTreeSet<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A value that is read, and what the types that read it know.
#[derive(Clone)]
struct Asked<'a> {
    value: &'a Value,
    at: String,
    known: &'a RefCell<(Names, Names)>,
}

impl<'a> Asked<'a> {
    fn inner(&self, value: &'a Value, name: &str) -> Asked<'a> {
        Asked { value, at: format!("{}/{name}", self.at), known: self.known }
    }
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

impl<'de, 'a: 'de> IntoDeserializer<'de, serde_json::Error> for Asked<'a> {
    type Deserializer = Asked<'a>;

    fn into_deserializer(self) -> Asked<'a> {
        self
    }
}

impl<'de, 'a: 'de> Deserializer<'de> for Asked<'a> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            Value::Array(items) => {
                let items =
                    items.iter().enumerate().map(|(index, item)| self.inner(item, &index.to_string()));
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), self.inner(value, name)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.known.borrow_mut().0.insert(self.at.clone(), names(fields));
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.known.borrow_mut().1.insert(self.at.clone(), names(variants));
        self.value.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// All objects of a document that are no maps, with their fields.
fn objects(value: &Value, at: &str, maps: &[&str], found: &mut Names) {
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| objects(item, &format!("{at}/{index}"), maps, found));
        }
        Value::Object(fields) if !maps.contains(&at) => {
            found.insert(at.to_owned(), fields.keys().cloned().collect());
            fields.iter().for_each(|(name, value)| objects(value, &format!("{at}/{name}"), maps, found));
        }
        _ => {}
    }
}

fn compare<T: for<'de> Deserialize<'de> + Serialize>(of: &str, maps: &[&str]) {
    let root = schema(of);
    let mut maker = Maker { root: &root, whole: true, choices: Names::new() };
    let whole = maker.make(&root, "");
    held::closed(of, &whole).unwrap();
    let known = RefCell::default();
    let read = T::deserialize(Asked { value: &whole, at: String::new(), known: &known }).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), whole, "what is read is written again");
    let (fields, variants) = known.into_inner();
    let mut described = Names::new();
    objects(&whole, "", maps, &mut described);
    assert_eq!(described, fields, "{of}: the schema has what the types have, and no more");
    assert_eq!(maker.choices, variants, "{of}: so do its choices");
    optional::<T>(of, &root, &whole);
}

/// What may be left out may be, and all else is always written.
fn optional<T: for<'de> Deserialize<'de> + Serialize>(of: &str, root: &Value, whole: &Value) {
    let least = Maker { root, whole: false, choices: Names::new() }.make(root, "");
    held::open(of, &least).unwrap();
    let written = serde_json::to_value(serde_json::from_value::<T>(least.clone()).unwrap()).unwrap();
    held::closed(of, &written).unwrap();
    let mut places = Names::new();
    objects(whole, "", &[], &mut places);
    let mut left_out = 0;
    for (place, fields) in places {
        for field in fields {
            let mut document = whole.clone();
            document.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(&field);
            if held::open(of, &document).is_ok() {
                let read = serde_json::from_value::<T>(document);
                read.unwrap_or_else(|error| panic!("{of}: {place} without {field}: {error}"));
                left_out += 1;
            }
        }
    }
    assert!(left_out > 5, "{left_out}");
}

#[test]
fn a_snapshot_has_what_its_schema_describes() {
    compare::<Snapshot>("snapshot", &[]);
}

#[test]
fn a_report_has_what_its_schema_describes() {
    compare::<Report>("report", &["/images/0/limits"]);
}

#[test]
fn the_short_arrays_of_a_file_list_are_what_is_read() {
    let root = schema("snapshot");
    let secrets = &root["definitions"]["mark"]["anyOf"][1]["items"][2]["enum"];
    assert_eq!(*secrets, json!(SecretKind::ALL.map(SecretKind::as_str)));
    let whole = Maker { root: &root, whole: true, choices: Names::new() }.make(&root, "");
    let with = |list: &str, item: &Value| {
        let mut document = whole.clone();
        let file_list = &mut document["layers"][0]["file_list"];
        file_list["entries"] = json!([["f", "a", 1], ["f", "b", 2]]);
        // What packages say of other entries is not looked at here.
        file_list["packages"] = json!([]);
        let entries = file_list[list].as_array_mut().unwrap();
        if list == "marks" {
            *entries = vec![item.clone()]
        } else {
            entries.push(item.clone())
        }
        document
    };
    for (list, item, is_one) in [
        ("entries", json!(["f", "c", 3]), true),
        ("entries", json!(["h", "c", "a"]), true),
        ("entries", json!(["d", "c"]), true),
        ("entries", json!(["l", "c"]), true),
        ("entries", json!(["s", "c"]), true),
        ("entries", json!(["w", "c"]), true),
        ("entries", json!(["o", "c"]), true),
        ("entries", json!(["q", "c"]), false),
        ("entries", json!(["f", "c"]), false),
        ("entries", json!(["f", "c", -1]), false),
        ("entries", json!(["h", "c"]), false),
        ("entries", json!(["d"]), false),
        ("marks", json!(["debug", 1, 2]), true),
        ("marks", json!(["secret", 1, "env-file"]), true),
        ("marks", json!(["dev", 1, ["node_modules/x"]]), true),
        ("marks", json!(["dev-declared", 1, ["node_modules/x"]]), true),
        ("marks", json!(["later", 1, {}]), true),
        ("marks", json!(["debug", 1, "2"]), false),
        ("marks", json!(["debug", 1]), false),
        ("marks", json!(["dev", 1, "node_modules/x"]), false),
        ("marks", json!(["later"]), false),
    ] {
        let document = with(list, &item);
        let read = serde_json::from_value::<Snapshot>(document.clone());
        assert_eq!(read.is_ok(), is_one, "{item}: {:?}", read.err());
        assert_eq!(held::open("snapshot", &document).is_ok(), is_one, "{item}");
    }
}
