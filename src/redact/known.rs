//! Secrets that were given to this run: the logins and tokens that it sends to registries and to GitHub. Servers may
//! repeat them, in any words.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::RwLock;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter ones are parts of other words.
const LEAST: usize = 4;
/// In an image's own texts, a password that is a word (`test`) is that word.
pub(super) const LEAST_IN_CONTENT: usize = 12;

static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Removes a secret from all output from now on, also in percent-encoded form.
pub fn remember(secret: &str) {
    let encoded = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    if secret.len() < LEAST {
        return;
    }
    if let Ok(mut known) = KNOWN.write() {
        for form in [secret.to_owned(), encoded] {
            if !known.contains(&form) {
                known.push(form);
            }
        }
    }
}

/// A text without the secrets that were given to this run. For texts that are cut or changed before they are shown.
pub fn without_known(text: &str) -> Cow<'_, str> {
    super::replaced(text, all(text.as_bytes(), LEAST)).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Their positions in a text, if they have at least `least` bytes.
pub(super) fn all(text: &[u8], least: usize) -> Vec<Range<usize>> {
    let Ok(known) = KNOWN.read() else { return Vec::new() };
    let Ok(text) = std::str::from_utf8(text) else { return Vec::new() };
    let long = known.iter().filter(|secret| secret.len() >= least.max(LEAST));
    long.flat_map(|secret| text.match_indices(secret.as_str()))
        .map(|(at, found)| at..at + found.len())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{redact, redact_message};

    #[test]
    fn what_a_run_was_given_is_in_nothing_that_it_says() {
        remember("Tr0ub4dor known/3");
        remember("qwxz");
        remember("abc");
        for said in ["no user with Tr0ub4dor known/3", "?password=Tr0ub4dor%20known%2F3"] {
            for shown in [redact(said), redact_message(said), without_known(said)] {
                assert!(shown.contains("***") && !shown.contains("Tr0ub4dor"), "{shown}");
            }
        }
        assert_eq!(redact_message("denied: qwxz abc"), "denied: *** abc");
        // A word in an image's own text stays.
        assert_eq!(redact("RUN make qwxz"), "RUN make qwxz");
    }
}
