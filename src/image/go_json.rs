//! JSON as Go's `encoding/json` reads it, which engines use for an image's documents: keys match fields in any case. Of
//! duplicate fields Go takes the last; here they are an error.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

/// Reads a document.
///
/// # Errors
/// Those of `serde_json`.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let document = T::deserialize(Go(&mut reader, &[]))?;
    reader.end()?;
    Ok(document)
}

/// Whether a key is a field's name in any case. Two letters outside ASCII fold to ASCII ones.
fn is_field(key: &str, field: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(field.chars().map(fold))
}

/// What serde passes on, and the fields of the struct being read.
struct Go<T>(T, &'static [&'static str]);

macro_rules! deserialize {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.0.$method($($name,)* Go(visitor, &[]))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Go<D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str) deserialize_seq() deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize) deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Go(visitor, fields))
    }
}

macro_rules! visit {
    ($($method:ident($($value:ident: $type:ty)?))*) => {$(
        fn $method<E: serde::de::Error>(self, $($value: $type)?) -> Result<V::Value, E> {
            self.0.$method($($value)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Go<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! {
        visit_bool(value: bool) visit_i64(value: i64) visit_u64(value: u64) visit_f64(value: f64)
        visit_str(value: &str) visit_borrowed_str(value: &'de str) visit_string(value: String)
        visit_none() visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Go(from, &[]))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Go(from, &[]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Go(list, &[]))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, choice: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(choice)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Go(map, self.1))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Go<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Go(seed, &[]))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Go<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.1.is_empty() {
            return self.0.next_key_seed(seed);
        }
        let Some(key) = self.0.next_key::<String>()? else { return Ok(None) };
        let field = self.1.iter().find(|field| is_field(&key, field));
        seed.deserialize(field.map_or(&*key, |field| field).into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Go(seed, &[]))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Go<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Go(from, &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::oci::{ImageConfig, Manifest};

    #[test]
    fn a_key_in_another_case_is_the_field() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let rootfs = |root: &str, ids: &str| format!(r#"{{"{root}": {{"{ids}": ["{digest}"]}}}}"#);
        for (root, ids) in
            [("rootfs", "diff_ids"), ("RootFS", "Diff_IDs"), ("rootf\u{17f}", "diff_id\u{17f}")]
        {
            let config: ImageConfig = from_slice(rootfs(root, ids).as_bytes()).unwrap();
            assert_eq!(config.rootfs.diff_ids.len(), 1, "{root} {ids}");
        }
        let manifest = format!(
            r#"{{"Config": {{"Digest": "{digest}", "MediaType": null}},
            "LAYERS": [{{"dige\u017ft": "{digest}", "URLs": ["u"], "size": 7}}]}}"#
        );
        let manifest: Manifest = from_slice(manifest.as_bytes()).unwrap();
        assert_eq!((manifest.layers[0].size, manifest.layers[0].urls.len()), (7, 1));
        // Label names are not fields.
        let config: ImageConfig =
            from_slice(br#"{"rootfs": {}, "config": {"LABELS": {"a": "1", "A": "2"}}}"#).unwrap();
        assert_eq!(config.config.labels.len(), 2);
    }

    #[test]
    fn a_field_is_there_once() {
        for json in [r#"{"rootfs": {}, "RootFS": {}}"#, r#"{"rootfs": {"diff_ids": [], "DIFF_IDS": []}}"#] {
            let error = from_slice::<ImageConfig>(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("duplicate field"), "{error}");
        }
        assert!(from_slice::<ImageConfig>(br#"{"rootfs": {}} x"#).is_err());
    }
}
