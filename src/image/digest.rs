//! Content identifiers. A diff ID and a digest look the same but identify different bytes, so they are
//! two types (OCI image specification: config, "rootfs"; descriptor, "digests").

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A text that is not a digest layergate can verify.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDigest {
    /// It is not an algorithm and lower-case hex digits.
    #[error("`{0}` is not a digest; expected `sha256:` and 64 lower-case hex digits")]
    Form(String),
    /// It may be a digest, but its algorithm is unknown.
    #[error("`{0}` is a digest that layergate cannot verify; it knows sha256, sha384 and sha512")]
    Algorithm(String),
}

/// A hash function of digests: those that the OCI image specification registers ("Registered algorithms"), and sha384,
/// which engines accept too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// SHA-256, which nearly all digests use.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    const ALL: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

    /// The algorithm with this name in digests; `None` if it is unknown.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in digests.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        }
    }
}

/// A hash being computed.
#[derive(Debug, Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-384.
    Sha384(Sha384),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// The hash before any bytes.
    pub fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, content: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(content),
            Hasher::Sha384(hash) => hash.update(content),
            Hasher::Sha512(hash) => hash.update(content),
        }
    }

    /// `algorithm:hex`.
    fn finish(self) -> Box<str> {
        let text = |algorithm: Algorithm, hash: &[u8]| {
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}:{hex}", algorithm.name()).into()
        };
        match self {
            Hasher::Sha256(hash) => text(Algorithm::Sha256, &hash.finalize()),
            Hasher::Sha384(hash) => text(Algorithm::Sha384, &hash.finalize()),
            Hasher::Sha512(hash) => text(Algorithm::Sha512, &hash.finalize()),
        }
    }
}

fn validate(text: &str) -> Result<Box<str>, InvalidDigest> {
    let shown = || text.chars().take(200).collect();
    let (name, encoded) = text.split_once(':').ok_or_else(|| InvalidDigest::Form(shown()))?;
    // The grammar of digests (OCI image specification, descriptor, "Digests").
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+._-".contains(&byte);
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match Algorithm::parse(name) {
        Some(known) if encoded.len() == known.hex_digits() && encoded.bytes().all(is_hex) => Ok(text.into()),
        None if !name.is_empty()
            && name.bytes().all(is_name)
            && encoded.len() >= 32
            && encoded.bytes().all(is_encoded) =>
        {
            Err(InvalidDigest::Algorithm(shown()))
        }
        _ => Err(InvalidDigest::Form(shown())),
    }
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

            /// The sha256 of these bytes.
            pub fn of(content: &[u8]) -> Self {
                Self::by(Algorithm::Sha256, content)
            }

            /// The hash of these bytes by this algorithm.
            pub fn by(algorithm: Algorithm, content: &[u8]) -> Self {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(content);
                Self::of_hash(hasher)
            }

            /// The identifier of hashed content.
            pub fn of_hash(hash: Hasher) -> Self {
                Self(hash.finish())
            }

            /// `algorithm:hex`.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The algorithm that content has to be verified with.
            pub fn algorithm(&self) -> Algorithm {
                self.0.split_once(':').and_then(|(name, _)| Algorithm::parse(name)).unwrap_or_default()
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
    /// The hash of a layer's *uncompressed* tar. The same layer has the same diff ID on every engine and in every
    /// registry, however it is compressed.
    DiffId
}

identifier! {
    /// The hash of a blob *as distributed*: a layer, a config, a manifest.
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

    /// The FIPS 180-4 test vectors for `abc`, and names of unsupported hashes.
    #[test]
    fn every_registered_algorithm_is_computed_and_others_are_named() {
        for (algorithm, start) in [
            (Algorithm::Sha256, "sha256:ba7816bf8f01cfea"),
            (Algorithm::Sha384, "sha384:cb00753f45a35e8b"),
            (Algorithm::Sha512, "sha512:ddaf35a193617aba"),
        ] {
            let digest = Digest::by(algorithm, b"abc");
            assert!(digest.as_str().starts_with(start), "{digest}");
            assert_eq!(Digest::parse(digest.as_str()).unwrap().algorithm(), algorithm);
        }
        for unknown in [format!("blake3:{}", "ab".repeat(32)), format!("sha224:{}", "ab".repeat(28))] {
            let error = Digest::parse(&unknown).unwrap_err().to_string();
            assert!(error.contains("cannot verify") && error.contains(&unknown), "{error}");
        }
        let short = Digest::parse(&format!("sha512:{}", "ab".repeat(32))).unwrap_err().to_string();
        assert!(short.contains("is not a digest"), "{short}");
    }

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        assert_eq!(
            Digest::of(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
