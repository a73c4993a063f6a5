//! Content identifiers. A diff ID and a digest look alike and mean different bytes, so they are
//! two types (OCI image specification: config, "rootfs"; descriptor, "digests").

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text that should be `sha256:` or `sha512:` followed by lower-case hex, and is not.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a digest; expected `sha256:` and 64 lower-case hex digits")]
pub struct InvalidDigest(String);

fn validate(text: &str) -> Result<Box<str>, InvalidDigest> {
    let hex_len = |algorithm| match algorithm {
        "sha256" => Some(64),
        "sha512" => Some(128),
        _ => None,
    };
    let valid = text.split_once(':').is_some_and(|(algorithm, hex)| {
        hex_len(algorithm) == Some(hex.len())
            && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    if valid { Ok(text.into()) } else { Err(InvalidDigest(text.chars().take(200).collect())) }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Reads `algorithm:hex`.
            ///
            /// # Errors
            /// [`InvalidDigest`] for an unknown algorithm, a wrong length or a character that is not
            /// lower-case hex.
            pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
                validate(text).map(Self)
            }

            /// The sha256 of bytes at hand.
            pub fn of(content: &[u8]) -> Self {
                Self::from_sha256(&Sha256::digest(content))
            }

            /// From the 32 bytes of a finished sha256.
            pub fn from_sha256(hash: &[u8]) -> Self {
                let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                Self(format!("sha256:{hex}").into())
            }

            /// `algorithm:hex`.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The algorithm's name: `sha256` or `sha512`.
            pub fn algorithm(&self) -> &str {
                self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
            }

            /// The hex digits alone.
            pub fn hex(&self) -> &str {
                self.0.split_once(':').map_or("", |(_, hex)| hex)
            }

            /// The first twelve hex digits, for people.
            pub fn short(&self) -> &str {
                &self.hex()[..12]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidDigest;

            fn try_from(text: String) -> Result<Self, InvalidDigest> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.into()
            }
        }
    };
}

identifier! {
    /// The hash of a layer's *uncompressed* tar. The same layer has the same diff ID on every
    /// engine and in every registry, however it is packed.
    DiffId
}

identifier! {
    /// The hash of a blob *as distributed*: a packed layer, a config, a manifest.
    Digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lower_case_hashes_are_digests() {
        let good = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(DiffId::parse(&good).unwrap().short(), "a1a1a1a1a1a1");
        for bad in
            ["", "sha256:", "sha256:abc", &good.to_uppercase(), &good.replace("sha256", "md5"), &good[7..]]
        {
            assert!(DiffId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        assert_eq!(
            Digest::of(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
