//! Which names belong to secrets.

/// The kind of secret that a name suggests, which decides which values are likely secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Anything can be a password.
    Password,
    /// A token or key: long, and not a number.
    Token,
    /// A word with many other uses (`auth`): only what looks like a login is a secret.
    Login,
}

/// Word endings of passwords, and of tokens.
const PASSWORDS: [&str; 8] =
    ["password", "passwd", "passphrase", "passcode", "storepass", "keypass", "passin", "passout"];
const TOKENS: [&str; 13] = [
    "token",
    "secret",
    "secrets",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "privkey",
    "authkey",
    "credential",
    "credentials",
    "creds",
    "passkey",
];

/// Words that end like a password but are none; `NOPASSWD` means that none is asked for.
const NO_PASSWORDS: [&str; 14] = [
    "nopasswd",
    "nopassword",
    "bypass",
    "compass",
    "encompass",
    "trespass",
    "surpass",
    "overpass",
    "underpass",
    "multipass",
    "askpass",
    "keepass",
    "lastpass",
    "oldpwd",
];

/// Public keys.
const PUBLIC_KEYS: [&str; 24] = [
    "public",
    "publishable",
    "pub",
    "cache",
    "primary",
    "foreign",
    "sort",
    "partition",
    "site",
    "gpg",
    "pgp",
    "apt",
    "hot",
    "idempotency",
    "object",
    "index",
    "map",
    "lookup",
    "unique",
    "shard",
    "trusted",
    "routing",
    "recv",
    "fetch",
];

/// Words that may follow without changing the meaning: `SECRET_KEY_BASE`, `API_KEY_PROD`.
const SUFFIXES: [&str; 21] = [
    "value",
    "base64",
    "b64",
    "hex",
    "prod",
    "production",
    "dev",
    "development",
    "staging",
    "test",
    "ci",
    "old",
    "new",
    "default",
    "json",
    "hash",
    "base",
    "string",
    "raw",
    "plain",
    "config",
];

/// Words for properties of a secret: `TOKEN_URL`, `PASSWORD_MIN_LENGTH`.
const ABOUT: &[&str] = &[
    "address",
    "age",
    "alg",
    "algo",
    "algorithm",
    "arn",
    "audience",
    "backend",
    "cache",
    "check",
    "checks",
    "class",
    "cmd",
    "command",
    "complexity",
    "cost",
    "count",
    "days",
    "dir",
    "directory",
    "disabled",
    "driver",
    "enable",
    "enabled",
    "encoding",
    "encryption",
    "endpoint",
    "endpoints",
    "engine",
    "env",
    "expiration",
    "expire",
    "expires",
    "expiry",
    "fd",
    "field",
    "fields",
    "file",
    "filename",
    "files",
    "folder",
    "format",
    "generator",
    "header",
    "headers",
    "helper",
    "host",
    "hostname",
    "hosts",
    "id",
    "ids",
    "interval",
    "issuer",
    "iterations",
    "len",
    "length",
    "limit",
    "limits",
    "location",
    "manager",
    "max",
    "method",
    "methods",
    "min",
    "mode",
    "mount",
    "name",
    "names",
    "only",
    "parallelism",
    "path",
    "paths",
    "pattern",
    "plugin",
    "plugins",
    "policies",
    "policy",
    "port",
    "prefix",
    "program",
    "prompt",
    "provider",
    "providers",
    "rate",
    "ref",
    "regex",
    "region",
    "required",
    "reset",
    "ring",
    "rotation",
    "rounds",
    "rules",
    "scope",
    "scopes",
    "server",
    "servers",
    "service",
    "services",
    "size",
    "sizes",
    "sock",
    "source",
    "sources",
    "stdin",
    "store",
    "strength",
    "style",
    "suffix",
    "timeout",
    "ttl",
    "type",
    "types",
    "uri",
    "uris",
    "url",
    "urls",
    "usage",
    "user",
    "username",
    "users",
    "validation",
    "validator",
    "var",
    "version",
    "versions",
    "window",
];

/// The kind of secret, from its name: `NPM_TOKEN`, `apiKey`, `--db-password`, `:_authToken`.
pub fn sort_of(name: &[u8]) -> Option<Sort> {
    let words = words_of(name);
    let (last, before) = words.split_last()?;
    if last == "id" && matches!(before.last().map(String::as_str), Some("secret")) {
        return Some(Sort::Login);
    }
    // Half of a key pair whose halves are useless alone.
    if last == "id" && before.ends_with(&["access".to_owned(), "key".to_owned()]) {
        return Some(Sort::Token);
    }
    if ABOUT.contains(&last.as_str()) || NO_PASSWORDS.contains(&last.as_str()) {
        return None;
    }
    if let Some(sort) = words.iter().rev().find_map(|word| strong(word)) {
        return Some(sort);
    }
    let is_suffix = |word: &str| SUFFIXES.contains(&word) || word.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = words.as_slice();
    while let [start @ .., last] = rest
        && !start.is_empty()
        && is_suffix(last)
    {
        rest = start;
    }
    weak(rest)
}

fn strong(word: &str) -> Option<Sort> {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let ends_in = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    if ends_in(&PASSWORDS) {
        Some(Sort::Password)
    } else if ends_in(&TOKENS) {
        Some(Sort::Token)
    } else {
        None
    }
}

/// Common words that suggest a secret only at the end.
fn weak(words: &[String]) -> Option<Sort> {
    let (last, before) = words.split_last()?;
    match last.as_str() {
        "key" => before.last().filter(|word| !PUBLIC_KEYS.contains(&word.as_str())).map(|_| Sort::Token),
        "pwd" | "pass" | "pw" if before.is_empty() => Some(Sort::Token),
        "pw" | "rootpw" | "dbpw" | "userpw" | "masterauth" => Some(Sort::Password),
        "auth" if before.last().is_some_and(|word| word == "rediscli") => Some(Sort::Password),
        "pat" | "bearer" if !before.is_empty() => Some(Sort::Token),
        last if last.ends_with("pass") || last.ends_with("pwd") => Some(Sort::Password),
        last if last.ends_with("auth") => Some(Sort::Login),
        _ => None,
    }
}

/// `NPM_authToken` -> `npm`, `auth`, `token`.
fn words_of(name: &[u8]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for (index, byte) in name.iter().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| name.get(index)).copied().unwrap_or_default();
        let ends_capitals =
            before.is_ascii_uppercase() && name.get(index + 1).is_some_and(u8::is_ascii_lowercase);
        let starts_word = byte.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || before.is_ascii_digit() || ends_capitals);
        if starts_word {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        }
        word.push(char::from(byte.to_ascii_lowercase()));
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
