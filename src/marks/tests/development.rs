use super::mark;
use crate::image::Mark;

fn directories(path: &str, content: &str) -> Option<Vec<String>> {
    let mark = mark(path, content.as_bytes())?;
    assert!(matches!(mark, Mark::Dev { entry: 7, .. } | Mark::DevDeclared { entry: 7, .. }));
    assert_eq!(matches!(mark, Mark::DevDeclared { .. }), path.ends_with("package.json"));
    Some(mark.directories().iter().map(ToString::to_string).collect())
}

fn list(directories: &[&str]) -> Option<Vec<String>> {
    Some(directories.iter().map(|directory| (*directory).to_owned()).collect())
}

#[test]
fn npm_says_of_each_package_whether_only_development_needs_it() {
    let lockfile = r#"{"name":"app","lockfileVersion":3,"packages":{
        "node_modules/.bin/x":{"dev":true},
        "node_modules/@types/node":{"version":"20.0.0","dev":true,"engines":{"node":">=8"}},
        "node_modules/a":{"version":"1.0.0"},
        "node_modules/a/node_modules/b":{"version":"1.0.0","dev":true},
        "node_modules/both":{"version":"1.0.0","devOptional":true},
        "node_modules/jest":{"dev":true},
        "node_modules/jest-cli":{"dev":true},
        "node_modules/jest/node_modules/c":{"dev":true},
        "node_modules/tools":{"resolved":"packages/tools","link":true,"dev":true},
        "packages/tools":{"version":"0.0.0","dev":true},
        "packages/tools/node_modules/d":{"dev":true},
        "node_modules/../../etc":{"dev":true},
        "../node_modules/e":{"dev":true},
        "node_modules/@scope":{"dev":true},
        "node_modules/":{"dev":true},
        "":{"dev":true}
    }}"#;
    let found = |base: &str| {
        let names = [
            "node_modules/@types/node",
            "node_modules/a/node_modules/b",
            "node_modules/jest",
            "node_modules/jest-cli",
            "packages/tools/node_modules/d",
        ];
        Some(names.iter().map(|name| format!("{base}{name}")).collect::<Vec<_>>())
    };
    assert_eq!(directories("srv/app/node_modules/.package-lock.json", lockfile), found("srv/app/"));
    assert_eq!(directories("node_modules/.package-lock.json", lockfile), found(""));
    assert_eq!(directories("srv/app/.package-lock.json", lockfile), None);
    let none = r#"{"packages":{"node_modules/a":{}}}"#;
    assert_eq!(
        directories("node_modules/.package-lock.json", none),
        list(&[]),
        "none is something that is known"
    );
    for bad in ["", "{}", "[]", r#"{"packages":[]}"#, r#"{"packages":{"a":{"dev":7}}}"#, "{\"packages\":{"] {
        assert_eq!(directories("node_modules/.package-lock.json", bad), None, "{bad}");
    }
}

#[test]
fn a_project_declares_what_it_wants_for_development() {
    let manifest = "\u{feff}{\"devDependencies\":{\"typescript\":\"5\",\"@types/node\":\"20\",\"react\":\"18\",\"x\":\"1\",
        \"../up\":\"1\",\"a/b\":\"1\",\"\":\"1\"},
        \"dependencies\":{\"x\":\"1\"},\"peerDependencies\":{\"react\":\"18\"}}";
    let found = list(&["app/node_modules/@types/node", "app/node_modules/typescript"]);
    assert_eq!(directories("app/package.json", manifest), found);
    assert_eq!(directories("app/node_modules/a/package.json", manifest), None, "its authors' matter");
    for bad in [r#"{"devDependencies":{}}"#, r#"{"devDependencies":["a"]}"#, "{}", ""] {
        assert_eq!(directories("package.json", bad), None, "{bad}");
    }
}

#[test]
fn composer_lists_what_only_development_needs() {
    let installed = r#"{"packages":[
        {"name":"monolog/monolog","install-path":"../monolog/monolog"},
        {"name":"phpunit/phpunit","install-path":"../phpunit/phpunit"},
        {"name":"old/plain"},
        {"name":"drupal/devel","install-path":"../../web/modules/devel"},
        {"name":"up/up","install-path":"../../../.."},
        {"name":"up/all","install-path":"../.."},
        {"name":"up/vendor","install-path":".."},
        {"name":"up/other","install-path":"../../../other"},
        {"name":"up/root","install-path":"/usr"},
        {"name":"meta/meta","install-path":null}
        ],"dev":true,"dev-package-names":["phpunit/phpunit","old/plain","drupal/devel","up/up","up/all",
        "up/vendor","up/other","up/root","not/there"]}"#;
    let found = list(&["app/vendor/old/plain", "app/vendor/phpunit/phpunit", "app/web/modules/devel"]);
    assert_eq!(directories("app/vendor/composer/installed.json", installed), found);
    let found = list(&["other", "vendor/old/plain", "vendor/phpunit/phpunit", "web/modules/devel"]);
    let at_root = installed.replace("../../../other", "../../other");
    assert_eq!(directories("vendor/composer/installed.json", &at_root), found);
    let one = r#"[{"name":"a/b"}]"#;
    assert_eq!(directories("vendor/composer/installed.json", one), None, "of Composer 1");
}
