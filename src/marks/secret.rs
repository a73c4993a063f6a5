//! Files that hold what looks like a secret. Names say where to look, and content says whether there is one: a
//! certificate, a setting that refers to a variable or an empty password is not a secret. The secret itself is not
//! stored anywhere.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::image::SecretKind;
use crate::packages::lines;
use crate::redact;

/// How much of a file is read.
pub const MOST: u64 = 64 << 10;
/// A variable with a shorter value is not a secret.
const MIN_SECRET: usize = 4;

/// The kind of a file, from its name, which decides how its content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFile {
    /// Keys and certificates.
    Keys,
    /// A key store.
    KeyStore,
    /// npm's settings.
    Npmrc,
    /// Yarn's settings, since Yarn 2.
    Yarnrc,
    /// Passwords of Python package indexes.
    Pypirc,
    /// pip's settings.
    PipConf,
    /// Passwords by machine.
    Netrc,
    /// Git's credential store.
    GitStore,
    /// Git's configuration.
    GitConfig,
    /// The settings of AWS's tools.
    Aws,
    /// Credentials in the format of Google's tools.
    Gcp,
    /// Docker's settings.
    Docker,
    /// Docker's settings in the old format, which has only logins.
    Dockercfg,
    /// Maven's settings.
    Maven,
    /// Tokens of Cargo registries.
    Cargo,
    /// Composer logins.
    Composer,
    /// Keys of gem servers.
    Gem,
    /// Bundler's settings.
    Bundler,
    /// The settings of a Kubernetes client.
    Kube,
    /// Terraform state.
    Terraform,
    /// Environment variables.
    Env,
}

impl SecretFile {
    /// The kind of a file, from its name and the name of its directory, if that makes a secret likely.
    pub fn of(parent: &[u8], name: &[u8]) -> Option<SecretFile> {
        if name.starts_with(b".") {
            return dot_file(name);
        }
        by_directory(parent, name).or_else(|| by_name(name)).or_else(|| by_ending(name))
    }

    /// The kind of secret in the content; `None` if there is none.
    pub fn look(self, content: &[u8]) -> Option<SecretKind> {
        let (found, kind) = match self {
            SecretFile::Keys => (has_private_key(content), SecretKind::PrivateKey),
            SecretFile::KeyStore => (is_key_store(content), SecretKind::KeyStore),
            SecretFile::Npmrc => {
                let ends: [&[u8]; 3] = [b"_authtoken", b"_auth", b"_password"];
                (
                    any_setting(content, |key, value| ends_in(key, &ends) && is_literal(value)),
                    SecretKind::NpmToken,
                )
            }
            SecretFile::Yarnrc => {
                (has_setting(content, &[b"npmauthtoken", b"npmauthident"]), SecretKind::NpmToken)
            }
            SecretFile::Pypirc => (has_setting(content, &[b"password"]), SecretKind::PypiPassword),
            SecretFile::PipConf => (has_login(content), SecretKind::PypiPassword),
            SecretFile::Netrc => (is_netrc(content), SecretKind::NetrcPassword),
            SecretFile::GitStore => (has_login(content), SecretKind::GitCredentials),
            SecretFile::GitConfig => (is_git_config(content), SecretKind::GitCredentials),
            SecretFile::Aws => (has_setting(content, &[b"aws_secret_access_key"]), SecretKind::AwsKey),
            SecretFile::Gcp => (is_gcp(content), SecretKind::GcpKey),
            SecretFile::Docker => (is_docker(content), SecretKind::DockerAuth),
            SecretFile::Dockercfg => (is_dockercfg(content), SecretKind::DockerAuth),
            SecretFile::Maven => (is_maven(content), SecretKind::MavenPassword),
            SecretFile::Cargo => (has_setting(content, &[b"token"]), SecretKind::CargoToken),
            SecretFile::Composer => (is_composer(content), SecretKind::ComposerAuth),
            SecretFile::Gem => (any_setting(content, |_, value| is_literal(value)), SecretKind::GemKey),
            SecretFile::Bundler => (any_setting(content, is_bundler_login), SecretKind::GemKey),
            SecretFile::Kube => {
                (has_setting(content, &[b"client-key-data", b"token", b"password"]), SecretKind::KubeConfig)
            }
            SecretFile::Terraform => (is_terraform(content), SecretKind::TerraformState),
            SecretFile::Env => (any_setting(content, is_secret_variable), SecretKind::EnvFile),
        };
        found.then_some(kind)
    }
}

fn dot_file(name: &[u8]) -> Option<SecretFile> {
    Some(match name {
        b".npmrc" => SecretFile::Npmrc,
        b".yarnrc.yml" => SecretFile::Yarnrc,
        b".pypirc" => SecretFile::Pypirc,
        b".netrc" => SecretFile::Netrc,
        b".git-credentials" => SecretFile::GitStore,
        b".gitconfig" => SecretFile::GitConfig,
        b".dockercfg" => SecretFile::Dockercfg,
        b".dockerconfigjson" => SecretFile::Docker,
        b".env" => SecretFile::Env,
        _ => {
            let ending = name.strip_prefix(b".env.")?;
            let models: [&[u8]; 6] = [b"example", b"sample", b"template", b"dist", b"defaults", b"schema"];
            let is_model = ending.split(|byte| *byte == b'.').any(|part| models.contains(&part));
            return (!is_model).then_some(SecretFile::Env);
        }
    })
}

fn by_directory(parent: &[u8], name: &[u8]) -> Option<SecretFile> {
    Some(match (parent, name) {
        (b".git", b"config") | (b"git", b"config") | (b"etc", b"gitconfig") => SecretFile::GitConfig,
        (b"git", b"credentials") => SecretFile::GitStore,
        (b".aws", b"credentials" | b"config") => SecretFile::Aws,
        (b".docker", b"config.json") | (b"containers", b"auth.json") => SecretFile::Docker,
        (b".kube", b"config") | (b"kubernetes", b"admin.conf") => SecretFile::Kube,
        (b".m2" | b"conf" | b"maven", b"settings.xml") => SecretFile::Maven,
        (b".gem" | b"gem", b"credentials") => SecretFile::Gem,
        (b".bundle", b"config") => SecretFile::Bundler,
        (b".cargo" | b"cargo", b"credentials" | b"credentials.toml") => SecretFile::Cargo,
        (b"pypoetry", b"auth.toml") => SecretFile::Pypirc,
        _ => return None,
    })
}

fn by_name(name: &[u8]) -> Option<SecretFile> {
    Some(match name {
        b"id_rsa" | b"id_dsa" | b"id_ecdsa" | b"id_ed25519" => SecretFile::Keys,
        b"pip.conf" | b"pip.ini" => SecretFile::PipConf,
        b"_netrc" => SecretFile::Netrc,
        b"auth.json" => SecretFile::Composer,
        b"kubeconfig" => SecretFile::Kube,
        name if name.starts_with(b"ssh_host_") && name.ends_with(b"_key") => SecretFile::Keys,
        _ => return None,
    })
}

fn by_ending(name: &[u8]) -> Option<SecretFile> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let (stem, ending) = (name.get(..dot)?, name.get(dot + 1..)?);
    let has = |part: &[u8]| contains(&stem.to_ascii_lowercase(), part);
    match ending {
        b"pem" | b"key" | b"ppk" => Some(SecretFile::Keys),
        // A trust store holds no secret.
        b"p12" | b"pfx" | b"jks" | b"keystore" => {
            (!has(b"trust") && !has(b"cacerts")).then_some(SecretFile::KeyStore)
        }
        b"json" => {
            let likely = stem == b"adc"
                || has(b"credentials")
                || has(b"service-account")
                || has(b"service_account")
                || has(b"serviceaccount");
            likely.then_some(SecretFile::Gcp)
        }
        b"tfstate" => Some(SecretFile::Terraform),
        b"backup" => stem.ends_with(b".tfstate").then_some(SecretFile::Terraform),
        b"kubeconfig" => Some(SecretFile::Kube),
        _ => None,
    }
}

/// Whether there is a private key, not just the words for one: the text after it has to look like Base64.
fn has_private_key(content: &[u8]) -> bool {
    if content.starts_with(b"PuTTY-User-Key-File-") {
        return true;
    }
    let (begin, dashes) = (b"-----BEGIN ", b"-----");
    let mut rest = content;
    while let Some(at) = find(rest, begin) {
        rest = rest.get(at + begin.len()..).unwrap_or_default();
        let title = rest.get(..rest.len().min(64)).unwrap_or_default();
        let Some(end) = find(title, dashes) else { continue };
        let title = title.get(..end).unwrap_or_default();
        let is_private = title.ends_with(b"PRIVATE KEY") || title.ends_with(b"PRIVATE KEY BLOCK");
        // A key ends at the next dashes, so no byte is read for two titles.
        let body = rest.get(end + dashes.len()..).unwrap_or_default();
        let body = body.get(..body.len().min(1024)).unwrap_or_default();
        let body = find(body, dashes).map_or(body, |end| body.get(..end).unwrap_or_default());
        if is_private && has_base64(body) {
            return true;
        }
    }
    false
}

fn has_base64(text: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    text.split(|byte| !is_base64(byte)).any(|run| run.len() >= 32)
}

/// A PKCS #12 file reveals only its format; Java's own format also reveals its content.
fn is_key_store(content: &[u8]) -> bool {
    match content.first_chunk() {
        Some([0xfe, 0xed, 0xfe, 0xed] | [0xce, 0xce, 0xce, 0xce]) => has_java_key(content),
        // A sequence in DER or BER that starts with the version, 3.
        Some([0x30, length @ 0x80..=0x84, ..]) => {
            let start = 2 + usize::from(length & 0x7f);
            content.get(start..).is_some_and(|inside| inside.starts_with(&[2, 1, 3]))
        }
        _ => false,
    }
}

/// Searches a store in Java's format (`sun.security.provider.JavaKeyStore`) for a key among certificates.
fn has_java_key(content: &[u8]) -> bool {
    let mut rest = content.get(12..).unwrap_or_default();
    loop {
        // The entry's kind, its name, when it was made; for a certificate also its type and content.
        let Some((kind, after)) =
            rest.split_first_chunk().map(|(kind, after)| (u32::from_be_bytes(*kind), after))
        else {
            return false;
        };
        if matches!(kind, 1 | 3) {
            return true;
        }
        let next = short_string(after).and_then(|after| short_string(after.get(8..)?)).and_then(|after| {
            let (length, after) = after.split_first_chunk()?;
            after.get(usize::try_from(u32::from_be_bytes(*length)).ok()?..)
        });
        match next {
            Some(next) if kind == 2 => rest = next,
            _ => return false,
        }
    }
}

/// The bytes after a string that is preceded by its length.
fn short_string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, after) = bytes.split_first_chunk()?;
    after.get(usize::from(u16::from_be_bytes(*length))..)
}

/// Whether a setting, `KEY = VALUE` or `KEY: VALUE`, fits. Keys are passed in lower case.
fn any_setting(content: &[u8], fits: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    lines(content).any(|line| {
        let line = line.trim_ascii();
        if line.first().is_none_or(|first| b"#;".contains(first)) {
            return false;
        }
        // The address of a registry contains colons, and Ruby's names start with one.
        let from = if line.starts_with(b"//") {
            line.iter().position(|byte| *byte == b'=')
        } else {
            line.iter().skip(1).position(|byte| b"=:".contains(byte)).map(|at| at + 1)
        };
        let Some((key, value)) = from.and_then(|at| line.split_at_checked(at)) else { return false };
        let key = key.strip_prefix(b"export ").or_else(|| key.strip_prefix(b"- ")).unwrap_or(key);
        fits(&key.trim_ascii().to_ascii_lowercase(), unquoted(value.get(1..).unwrap_or_default()))
    })
}

fn has_setting(content: &[u8], keys: &[&[u8]]) -> bool {
    any_setting(content, |key, value| keys.contains(&key) && is_literal(value))
}

fn ends_in(key: &[u8], ends: &[&[u8]]) -> bool {
    ends.iter().any(|end| key.ends_with(end))
}

fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value {
        [b'"', inside @ .., b'"'] | [b'\'', inside @ .., b'\''] => inside,
        value => value,
    }
}

/// Whether this is an actual value: not empty, not a variable, and not a placeholder.
fn is_literal(value: &[u8]) -> bool {
    let stands_for: [&[u8]; 4] = [b"${", b"$(", b"{{", b"<%"];
    let nothing = matches!(value, b"null" | b"~" | b"changeme" | b"{}" | b"[]");
    let variable = value.starts_with(b"$") || stands_for.iter().any(|part| contains(value, part));
    redact::is_literal(value) && !nothing && !variable
}

/// Whether there is an address with a password: `https://USER:PASSWORD@HOST`.
fn has_login(content: &[u8]) -> bool {
    lines(content).filter(|line| !line.trim_ascii().starts_with(b"#")).any(redact::has_login)
}

/// `machine HOST login USER password PASSWORD`, on one line or several.
fn is_netrc(content: &[u8]) -> bool {
    let words = lines(content).filter(|line| !line.trim_ascii().starts_with(b"#"));
    let mut words =
        words.flat_map(|line| line.split(u8::is_ascii_whitespace)).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word == b"password" {
            return words.next().is_some_and(is_literal);
        }
    }
    false
}

/// A remote with a password, or a header that logs in, as left by `actions/checkout`.
fn is_git_config(content: &[u8]) -> bool {
    let logs_in = |key: &[u8], value: &[u8]| {
        let value = value.to_ascii_lowercase();
        key == b"extraheader" && value.starts_with(b"authorization:") && is_literal(&value)
    };
    has_login(content) || any_setting(content, logs_in)
}

#[derive(Deserialize)]
struct Gcp {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    private_key: String,
    #[serde(default)]
    refresh_token: String,
}

fn is_gcp(content: &[u8]) -> bool {
    json::<Gcp>(content).is_some_and(|found| match found.kind.as_str() {
        "service_account" => has_private_key(found.private_key.as_bytes()),
        "authorized_user" => is_literal(found.refresh_token.as_bytes()),
        _ => false,
    })
}

/// What Docker stores about a login.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Login {
    auth: String,
    identitytoken: String,
    registrytoken: String,
    password: String,
}

impl Login {
    fn is_there(&self) -> bool {
        [&self.auth, &self.identitytoken, &self.registrytoken, &self.password]
            .iter()
            .any(|word| is_literal(word.as_bytes()))
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Login>,
}

fn is_docker(content: &[u8]) -> bool {
    json::<DockerConfig>(content).is_some_and(|config| config.auths.values().any(Login::is_there))
}

fn is_dockercfg(content: &[u8]) -> bool {
    json::<HashMap<String, Login>>(content).is_some_and(|logins| logins.values().any(Login::is_there))
}

/// A password outside comments that is neither a variable nor encrypted, which braces mark.
fn is_maven(content: &[u8]) -> bool {
    let mut text = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(start) = find(rest, b"<!--") {
        text.extend_from_slice(rest.get(..start).unwrap_or_default());
        rest = rest.get(start..).unwrap_or_default();
        rest = find(rest, b"-->").and_then(|end| rest.get(end + 3..)).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    let mut rest = text.as_slice();
    while let Some(start) = find(rest, b"<password>") {
        rest = rest.get(start + b"<password>".len()..).unwrap_or_default();
        let value = rest.split(|byte| *byte == b'<').next().unwrap_or_default().trim_ascii();
        if is_literal(value) && !(value.starts_with(b"{") && value.ends_with(b"}")) {
            return true;
        }
    }
    false
}

/// Composer's `auth.json` has kinds of logins, and hosts in each. Some kinds store a token there, others an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum ComposerLogin {
    Token(String),
    Parts(HashMap<String, ComposerPart>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ComposerPart {
    Text(String),
    Other(IgnoredAny),
}

fn is_composer(content: &[u8]) -> bool {
    type ComposerLogins = HashMap<String, ComposerLogin>;
    #[derive(Deserialize)]
    #[serde(default, rename_all = "kebab-case")]
    #[derive(Default)]
    struct Auth {
        http_basic: ComposerLogins,
        bearer: ComposerLogins,
        github_oauth: ComposerLogins,
        gitlab_oauth: ComposerLogins,
        gitlab_token: ComposerLogins,
        bitbucket_oauth: ComposerLogins,
    }
    let Some(auth) = json::<Auth>(content) else { return false };
    let kinds = [
        auth.http_basic,
        auth.bearer,
        auth.github_oauth,
        auth.gitlab_oauth,
        auth.gitlab_token,
        auth.bitbucket_oauth,
    ];
    let is_secret = |login: &ComposerLogin| match login {
        ComposerLogin::Token(token) => is_literal(token.as_bytes()),
        ComposerLogin::Parts(parts) => {
            let names = ["password", "token", "consumer-secret"];
            parts.iter().any(|(name, part)| match part {
                ComposerPart::Text(text) => names.contains(&name.as_str()) && is_literal(text.as_bytes()),
                ComposerPart::Other(_) => false,
            })
        }
        ComposerLogin::Other(_) => false,
    };
    kinds.iter().flat_map(HashMap::values).any(is_secret)
}

/// `BUNDLE_GEMS__EXAMPLE__COM: "USER:PASSWORD"`: two underscores stand for a host's dot.
fn is_bundler_login(key: &[u8], value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
    let host = key.strip_prefix(b"bundle_").is_some_and(|host| contains(host, b"__"));
    let colon = value.iter().position(|byte| *byte == b':');
    let password = colon.filter(|at| *at > 0).and_then(|at| value.get(at + 1..)).is_some_and(is_literal);
    host && password && value.iter().all(plain)
}

/// A state that is not empty.
fn is_terraform(content: &[u8]) -> bool {
    contains(content, b"\"terraform_version\"") && contains(content, b"\"attributes\"")
}

/// A variable that is named like a secret and has an actual value, or an address with a password.
fn is_secret_variable(name: &[u8], value: &[u8]) -> bool {
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    // A comment after it is not part of the value.
    let value = unquoted(value.split(|byte| *byte == b'#').next().unwrap_or_default());
    // The length of a value, and what a login contains, are the fastest checks.
    let set = value.len() >= MIN_SECRET && redact::sort_of(name).is_some() && is_secret_value(value);
    is_name && (set || contains(value, b"@") && redact::has_login(value))
}

/// A switch, a number and a file path are not secrets.
fn is_secret_value(value: &[u8]) -> bool {
    let number = value.len() < 8 && value.iter().all(u8::is_ascii_digit);
    let word = matches!(value, b"true" | b"false" | b"none");
    value.len() >= MIN_SECRET && is_literal(value) && !number && !word && !value.starts_with(b"/")
}

fn json<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Option<T> {
    serde_json::from_slice(content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content)).ok()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, part)
}
