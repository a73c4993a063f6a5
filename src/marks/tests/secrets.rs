use super::mark;
use crate::image::{Mark, SecretKind};

fn secret(path: &str, content: impl AsRef<[u8]>) -> Option<SecretKind> {
    match mark(path, content.as_ref())? {
        Mark::Secret { entry: 7, kind } => Some(kind),
        other => panic!("{other:?}"),
    }
}

const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

#[test]
fn a_private_key_is_one_by_what_it_holds() {
    let pem = |title: &str, body: &str| format!("-----BEGIN {title}-----\n{body}\n-----END {title}-----\n");
    for title in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let text = pem("CERTIFICATE", BODY) + &pem(title, BODY);
        for path in ["a/server.key", "server.pem", "root/.ssh/id_rsa", "etc/ssh/ssh_host_ed25519_key"] {
            assert_eq!(secret(path, &text), Some(SecretKind::PrivateKey), "{path} {title}");
        }
        assert_eq!(secret("a/notes.txt", &text), None);
        assert_eq!(secret("a.pem", pem(title, "...")), None, "an example");
    }
    assert_eq!(secret("etc/ssl/cert.pem", pem("CERTIFICATE", BODY)), None);
    assert_eq!(secret("a.pem", pem("PUBLIC KEY", BODY)), None);
    assert_eq!(secret("a.pem", "-----BEGIN ".repeat(5000)), None);
    // A body below another title does not belong to this one.
    let other = format!("-----BEGIN PRIVATE KEY-----\n{}", pem("CERTIFICATE", BODY));
    assert_eq!(secret("a.pem", other), None);
    assert_eq!(secret("a.key", [0xff; 100]), None);
}

#[test]
fn a_store_of_keys_is_told_from_one_of_certificates() {
    let entry = |kind: u32| {
        let name = [&[0, 1, b'a'][..], &[0; 8]].concat();
        let certificate = [&[0, 5][..], b"X.509", &[0, 0, 0, 2, 1, 2]].concat();
        [&kind.to_be_bytes()[..], &name, &certificate].concat()
    };
    let java = |kinds: &[u32]| {
        let mut store = vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, kinds.len() as u8];
        kinds.iter().for_each(|kind| store.extend(entry(*kind)));
        store.extend([0; 20]);
        store
    };
    assert_eq!(secret("app/keys.jks", java(&[2, 1])), Some(SecretKind::KeyStore));
    assert_eq!(secret("app/keys.jks", java(&[2, 2])), None);
    let pkcs12 = [0x30, 0x82, 9, 0x5c, 2, 1, 3, 0x30, 0x82];
    assert_eq!(secret("app/server.p12", pkcs12), Some(SecretKind::KeyStore));
    assert_eq!(secret("app/TrustStore.p12", pkcs12), None);
    assert_eq!(secret("usr/lib/jvm/lib/security/cacerts", java(&[1])), None);
    assert_eq!(secret("a.pfx", [0x30, 0x82, 9, 0x5c, 0x30, 0x82]), None, "a certificate");
    assert_eq!(secret("a.jks", [0xfe, 0xed, 0xfe, 0xed]), None);
}

#[test]
fn settings_hold_secrets_where_they_hold_values() {
    use SecretKind::*;
    let aws = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7";
    let docker = r#"{"auths":{"ghcr.io":{"auth":"dXNlcjpwYXNz"}},"credsStore":"x"}"#;
    let gcp = format!(
        r#"{{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\n{BODY}\n","client_email":"a@b"}}"#
    );
    let maven = "<settings><!-- <password>no</password> --><servers><server><password>s3cret</password>";
    let kube = "apiVersion: v1\nusers:\n- name: me\n  user:\n    client-key-data: LS0tLS1CRUdJTiBS\n";
    let git = "[remote \"origin\"]\n\turl = https://x-access-token:ghp_abc@github.com/a/b.git\n";
    let header = "[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic eC1hY2Nlc3M=\n";
    let terraform = r#"{"terraform_version":"1.9","resources":[{"instances":[{"attributes":{}}]}]}"#;
    let cases: [(&str, &str, Option<SecretKind>); 44] = [
        ("app/.npmrc", "//registry.npmjs.org/:_authToken=npm_abcdef", Some(NpmToken)),
        ("app/.npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}", None),
        ("app/.npmrc", "registry=https://r.example/\n_auth=\"dXNlcg==\"", Some(NpmToken)),
        ("app/.npmrc", "#_auth=dXNlcg==\nalways-auth=true\n", None),
        ("app/.yarnrc.yml", "npmScopes:\n  a:\n    npmAuthToken: \"abc\"\n", Some(NpmToken)),
        ("app/.yarnrc.yml", "npmAuthToken: ${NPM_TOKEN:-}\n", None),
        ("root/.pypirc", "[pypi]\nusername = __token__\npassword = pypi-AgEI\n", Some(PypiPassword)),
        ("root/.pypirc", "[pypi]\nusername = __token__\npassword =\n", None),
        ("etc/pip.conf", "[global]\nindex-url = https://me:pw@pypi.example/simple\n", Some(PypiPassword)),
        ("etc/pip.conf", "[global]\nindex-url = https://pypi.org/simple\n", None),
        ("etc/pip.conf", "[global]\nindex-url = https://me:${PW}@pypi.example/simple\n", None),
        ("root/.netrc", "machine a.example\n  login me\n  password pw\n", Some(NetrcPassword)),
        ("root/.netrc", "machine a.example login me\n", None),
        ("root/.git-credentials", "https://me:pw@github.com\n", Some(GitCredentials)),
        ("root/.config/git/credentials", "https://me:pw@github.com\n", Some(GitCredentials)),
        ("app/.git/config", git, Some(GitCredentials)),
        ("app/.git/config", header, Some(GitCredentials)),
        ("app/.git/config", "[remote \"origin\"]\n\turl = https://me@github.com/a/b.git\n", None),
        ("root/.aws/credentials", aws, Some(AwsKey)),
        ("root/.aws/config", "[default]\nregion = eu-west-1\n", None),
        ("app/my-service-account.json", &gcp, Some(GcpKey)),
        (
            "root/gcloud/application_default_credentials.json",
            r#"{"type":"authorized_user","refresh_token":"1//x"}"#,
            Some(GcpKey),
        ),
        ("app/credentials.json", r#"{"type":"service_account","private_key":""}"#, None),
        ("root/.docker/config.json", docker, Some(DockerAuth)),
        ("root/.docker/config.json", r#"{"auths":{"ghcr.io":{}},"credsStore":"x"}"#, None),
        ("app/config.json", docker, None),
        ("run/containers/auth.json", docker, Some(DockerAuth)),
        ("root/.dockercfg", r#"{"ghcr.io":{"auth":"dXNlcjpwYXNz"}}"#, Some(DockerAuth)),
        ("root/.m2/settings.xml", maven, Some(MavenPassword)),
        (
            "root/.m2/settings.xml",
            "<password>${env.PW}</password><password>{COQLCE6DU6GtcS5P=}</password>",
            None,
        ),
        ("usr/local/cargo/credentials.toml", "[registry]\ntoken = \"cio\"\n", Some(CargoToken)),
        (
            "root/.composer/auth.json",
            r#"{"http-basic":{"r.example":{"username":"me","password":"pw"}}}"#,
            Some(ComposerAuth),
        ),
        ("app/auth.json", r#"{"github-oauth":{"github.com":"ghp_abc"},"other":7}"#, Some(ComposerAuth)),
        ("app/auth.json", r#"{"http-basic":{}}"#, None),
        ("root/.gem/credentials", "---\n:rubygems_api_key: rubygems_0123\n", Some(GemKey)),
        ("root/.bundle/config", "---\nBUNDLE_GEMS__EXAMPLE__COM: \"me:pw\"\n", Some(GemKey)),
        (
            "root/.bundle/config",
            "---\nBUNDLE_PATH: \"vendor/bundle\"\nBUNDLE_MIRROR__X: \"https://a.example\"\n",
            None,
        ),
        ("root/.kube/config", kube, Some(KubeConfig)),
        ("root/.kube/config", "apiVersion: v1\nusers: []\n", None),
        ("infra/terraform.tfstate", terraform, Some(TerraformState)),
        ("infra/terraform.tfstate", r#"{"terraform_version":"1.9","resources":[]}"#, None),
        ("root/.netrc", "", None),
        ("root/.docker/config.json", "{", None),
        ("app/.env.production", "API_KEY=sk_live_0123456789", Some(EnvFile)),
    ];
    for (path, content, kind) in cases {
        assert_eq!(secret(path, content), kind, "{path}: {content}");
    }
}

#[test]
fn an_environment_file_counts_by_its_names_and_values() {
    for line in [
        "DB_PASSWORD=hunter22",
        "export SESSION_SECRET='a b c d'",
        "TOKEN = abcd # of the bot",
        "DATABASE_URL=postgres://me:pw@db/app",
        "dbpassword=hunter22",
    ] {
        let text = format!("# settings\nPORT=3000\n{line}\n");
        assert_eq!(secret("app/.env", &text), Some(SecretKind::EnvFile), "{line}");
        for model in [".env.example", ".env.local.sample", ".env.template"] {
            assert_eq!(secret(model, &text), None);
        }
    }
    for line in [
        "NODE_ENV=production",
        "DB_PASSWORD=",
        "DB_PASSWORD=\"\"",
        "DB_PASSWORD=${DB_PASSWORD}",
        "API_KEY=<your key>",
        "API_KEY=xxxxxxxx",
        "TLS_KEY=/etc/ssl/server.key",
        "USE_TOKEN=true",
        "PASSWORD_MIN_LENGTH=8",
        "STRIPE_PUBLISHABLE_KEY=pk_live_0123",
        "DB_PASSWORD_FILE=/run/secrets/db",
        "#DB_PASSWORD=hunter22",
    ] {
        assert_eq!(secret("app/.env", line), None, "{line}");
    }
}

#[test]
fn only_the_start_of_a_file_is_read() {
    let late = format!("{}\nDB_PASSWORD=hunter22\n", "#".repeat(70_000));
    assert_eq!(secret(".env", late), None);
}
