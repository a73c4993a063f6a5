use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::image::mark::{Mark, SecretKind};
use crate::image::snapshot::{BaseImage, BoundaryBy, HistoryEntry};
use crate::image::{
    Bytes, Ecosystem, Entry, FileList, Filesystem, Instruction, Layer, LayerPath, Package, Removable,
    Snapshot, Weight,
};

/// `path size`, `new -> old` for a hard link, `-path` for a deleted one.
fn file_list(lines: &str, packages: &[(Ecosystem, &str, &[u32])], marks: Vec<Mark>) -> FileList {
    let entry = |line: &str| match (line.strip_prefix('-'), line.split_once(" -> ")) {
        (Some(path), _) => Entry::Whiteout(path.into()),
        (_, Some((path, target))) => Entry::HardLink(path.into(), target.into()),
        _ => {
            let (path, size) = line.rsplit_once(' ').unwrap();
            Entry::File(path.into(), Bytes(size.parse().unwrap()))
        }
    };
    let lines = lines.split('\n').map(str::trim).filter(|line| !line.is_empty());
    let package = |(ecosystem, name, files): &(Ecosystem, &str, &[u32])| Package {
        ecosystem: *ecosystem,
        name: (*name).to_owned(),
        version: "1".into(),
        anchor: files[0],
        files: files.to_vec(),
        elsewhere: Vec::new(),
        inside: Bytes(0),
    };
    let packages = packages.iter().map(package).collect();
    FileList { packages, marks: Some(marks), ..FileList::of(lines.map(entry).collect()) }
}

fn snapshot(layers: Vec<FileList>, base: u64) -> Snapshot {
    let layer = |(index, file_list): (usize, FileList)| Layer {
        created_by: Instruction::from_history(&format!("RUN step {index}")),
        ..Layer::made_up(index, file_list)
    };
    let base = BaseImage { name: Some("debian:12".into()), layers: base, how: BoundaryBy::Dockerfile };
    let snapshot = Snapshot::made_up(layers.into_iter().enumerate().map(layer).collect());
    Snapshot { base: Some(base), ..snapshot }
}

fn found(layers: Vec<FileList>, catalogue: &Catalogue) -> Vec<Removable> {
    let snapshot = snapshot(layers, 1);
    let filesystem = Filesystem::of_layers(&snapshot.layers).unwrap();
    Search::new(Arc::new(catalogue.clone())).find(&snapshot, &Arc::new(filesystem))
}

/// Two platforms with the same files: each is reported with its own instructions, and under its own name.
#[test]
fn what_images_have_in_common_is_told_of_each() {
    let mut one = snapshot(vec![files("usr/bin/gcc 5"), files("usr/bin/make 7")], 1);
    let filesystem = Arc::new(Filesystem::of_layers(&one.layers).unwrap());
    let mut search = Search::new(Catalogue::builtin());
    let steps = |found: Vec<Removable>| {
        let told = |one: Removable| (one.kind, one.bytes.0, one.layer.of_base_image, one.help);
        found.into_iter().map(told).collect::<Vec<_>>()
    };
    let first = steps(search.find(&one, &filesystem));
    assert_eq!(first.len(), 2);
    assert!(first[0].3.contains("`RUN step 1`") && !first[0].2 && first[1].2, "{first:?}");
    assert_eq!(steps(search.find(&one, &filesystem)), first);
    one.layers[1].created_by = Instruction::from_history("RUN another step");
    let second = steps(search.find(&one, &filesystem));
    assert!(second[0].3.contains("`RUN another step`") && second[0].1 == 7, "{second:?}");
    one.base = None;
    assert!(steps(search.find(&one, &filesystem)).iter().all(|(_, _, of_base_image, _)| !of_base_image));
    // Nothing is reused for other files.
    let other = snapshot(vec![files("usr/bin/gcc 5")], 0);
    let others = Arc::new(Filesystem::of_layers(&other.layers).unwrap());
    assert_eq!(search.find(&other, &others).len(), 1);
}

fn kinds(layers: Vec<FileList>) -> Vec<(String, u64, u64)> {
    let found = found(layers, &Catalogue::builtin());
    found.iter().map(|one| (one.kind.clone(), one.bytes.0, one.layer.index)).collect()
}

fn files(lines: &str) -> FileList {
    file_list(lines, &[], Vec::new())
}

/// The kind of one file in an application layer.
fn kind_of(path: &str) -> Option<String> {
    let mut kinds = kinds(vec![FileList::default(), files(&format!("{path} 7"))]);
    assert!(kinds.len() < 2, "{path}");
    kinds.pop().map(|(kind, ..)| kind)
}

#[test]
fn paths_are_of_the_kind_that_people_would_say() {
    let cases = [
        ("usr/bin/gcc", "compilers"),
        ("var/log/lastlog", "login-records"),
        ("var/log/faillog", "login-records"),
        ("usr/bin/x86_64-linux-gnu-gcc-12", "compilers"),
        ("usr/lib/gcc/x86_64-linux-gnu/12/cc1", "compilers"),
        ("usr/bin/make", "build-tools"),
        ("usr/local/go/bin/go", "go-toolchain"),
        ("usr/local/go/src/fmt/print.go", "go-toolchain"),
        ("go/pkg/mod/golang.org/x/net@v0.1.0/http2/http2.go", "go-cache"),
        ("root/.cache/go-build/00/00ab-d", "go-cache"),
        ("usr/local/cargo/registry/src/index/serde-1.0/src/lib.rs", "cargo-cache"),
        ("usr/local/rustup/toolchains/stable/bin/rustc", "rust-toolchain"),
        ("opt/java/openjdk/bin/javac", "jdk"),
        ("opt/java/openjdk/jmods/java.base.jmod", "jdk"),
        ("usr/share/maven/lib/maven-core.jar", "jvm-build-tools"),
        ("root/.m2/repository/junit/junit/4.13/junit-4.13.jar", "maven-cache"),
        ("home/gradle/.gradle/caches/modules-2/x.bin", "gradle-cache"),
        ("usr/share/dotnet/sdk/8.0.100/MSBuild.dll", "dotnet-sdk"),
        ("root/.nuget/packages/x/1.0/x.nupkg", "nuget-cache"),
        ("usr/local/lib/node_modules/typescript/lib/tsc.js", "node-build-tools"),
        ("usr/local/lib/node_modules/@angular/cli/bin/ng.js", "node-build-tools"),
        ("root/.npm/_cacache/content-v2/sha512/00/ab", "npm-cache"),
        ("root/.cache/node-gyp/20.1.0/include/node/node.h", "node-gyp-headers"),
        ("root/.cache/node/corepack/v1/pnpm/9.0.0/bin/pnpm.cjs", "corepack"),
        ("usr/local/share/.cache/yarn/v6/npm-x/x.js", "yarn-cache"),
        ("root/.yarn/berry/cache/a.zip", "yarn-cache"),
        ("root/.local/share/pnpm/store/v3/files/00/ab", "pnpm-store"),
        ("root/.cache/pip/http/0/1/x", "pip-cache"),
        ("root/.cache/pipenv/depcache-py3.11.json", "pipenv-cache"),
        ("root/.cache/pypoetry/cache/x", "poetry-cache"),
        ("root/.cache/uv/wheels/x", "uv-cache"),
        ("var/lib/apt/lists/deb.example_dists_InRelease", "apt-cache"),
        ("var/cache/apk/APKINDEX.tar.gz", "apk-cache"),
        ("var/cache/dnf/x.solv", "rpm-cache"),
        ("usr/local/bundle/cache/rack-3.0.gem", "gem-cache"),
        ("root/.composer/cache/files/x.zip", "composer-cache"),
        ("usr/local/bin/composer", "ruby-php-build-tools"),
        ("app/.git/objects/ab/cd", "version-control"),
        ("usr/include/stdio.h", "headers"),
        ("usr/lib/x86_64-linux-gnu/libc.a", "static-libraries"),
        ("usr/lib/pkgconfig/zlib.pc", "pkg-config"),
        ("src/target/release/deps/app-1234", "build-trees"),
        ("src/main.o", "build-trees"),
        ("usr/local/cuda-12.1/bin/nvcc", "compilers"),
        ("usr/local/cuda-12.1/targets/x86_64-linux/include/cuda.h", "headers"),
        ("opt/conda/bin/x86_64-conda-linux-gnu-gcc", "compilers"),
        ("opt/conda/lib/gcc/x86_64-conda-linux-gnu/12.3.0/cc1", "compilers"),
        ("usr/local/gcc-13/bin/gcc", "compilers"),
        ("opt/conda/pkgs/numpy-1.26.conda", "conda-cache"),
        ("opt/go/bin/go", "go-toolchain"),
        ("root/.local/share/mise/installs/go/1.22/bin/go", "go-toolchain"),
        ("usr/lib/jvm/java-17-openjdk-amd64/lib/src.zip", "jdk"),
        ("usr/lib/jvm/java-17-openjdk-amd64/bin/javac", "jdk"),
        ("src/main.go", "compiled-sources"),
        ("src/Cargo.toml", "compiled-sources"),
        ("usr/share/doc/curl/NEWS.gz", "documentation"),
        ("usr/share/man/man1/ls.1.gz", "documentation"),
        ("app/dist/main.js.map", "source-maps"),
        ("app/node_modules/a/index.d.ts", "type-declarations"),
        ("app/node_modules/a/test/x.js", "tests"),
        ("usr/local/lib/python3.11/test/test_os.py", "tests"),
        ("usr/lib/python3/dist-packages/numpy/core/include/numpy/x.h", "bundled-headers"),
        ("app/Dockerfile", "dockerfiles"),
        ("usr/lib/debug/.build-id/ab/cd.debug", "debug-symbols"),
    ];
    for (path, kind) in cases {
        assert_eq!(kind_of(path).as_deref(), Some(kind), "{path}");
    }
}

#[test]
fn what_runs_is_of_no_kind() {
    let paths = [
        "bin/sh",
        "usr/bin/python3",
        "usr/local/bin/node",
        "usr/local/bin/npm",
        "usr/bin/git",
        "usr/bin/curl",
        "app/server",
        "app/main.py",
        "app/index.js",
        "app/app.jar",
        "app/package.json",
        "app/requirements.txt",
        "app/tests.py",
        "app/test/fixture.json",
        "app/build/index.html",
        "app/dist/main.js",
        "app/target/app.jar",
        "app/cache/x",
        "usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
        "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "usr/lib/libLLVM-15.so.1",
        "usr/share/doc/bash/copyright",
        "usr/lib/jvm/java-17/lib/modules",
        "usr/lib/jvm/java-17/bin/java",
        "usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.0/x.dll",
        "app/node_modules/express/index.js",
        "app/node_modules/make-dir/index.js",
        "usr/local/lib/python3.11/site-packages/flask/app.py",
        "usr/local/lib/python3.11/unittest/case.py",
        "var/lib/dpkg/status",
        "etc/ssl/certs/ca-certificates.crt",
        "app/public/make.html",
        "app/bin/make",
        "home/app/cc",
        "app/LICENSE.md",
        "usr/local/bin/docker-entrypoint.sh",
        "app/x.pyc",
        "app/vendor/autoload.php",
        "app/node_modules/a/LICENSE.md",
        "usr/local/go/lib/time/zoneinfo.zip",
        "app/target/classes/A.class",
        "infra/.terraform/providers/x",
        "app/lib/src.zip",
        "home/app/tool/bin/jar",
        "app/model.a",
        "app/mesh.o",
        "root/.cache/pypoetry/virtualenvs/app-py3.11/bin/python",
    ];
    for path in paths {
        assert_eq!(kind_of(path), None, "{path}");
    }
}

#[test]
fn packages_are_of_the_kind_that_their_names_say() {
    let of = |ecosystem, name| {
        let layer = file_list("some/file 7", &[(ecosystem, name, &[0])], Vec::new());
        kinds(vec![FileList::default(), layer]).pop().map(|(kind, ..)| kind)
    };
    let cases = [
        (Ecosystem::Dpkg, "gcc-12", Some("compilers")),
        (Ecosystem::Dpkg, "gcc", Some("compilers")),
        (Ecosystem::Dpkg, "g++-12", Some("compilers")),
        (Ecosystem::Dpkg, "binutils-x86-64-linux-gnu", Some("compilers")),
        (Ecosystem::Dpkg, "libgcc-12-dev", Some("compilers")),
        (Ecosystem::Dpkg, "clang-15", Some("compilers")),
        (Ecosystem::Dpkg, "cuda-nvcc-12-1", Some("compilers")),
        (Ecosystem::Dpkg, "libcublas-dev-12-1", Some("dev-packages")),
        (Ecosystem::Dpkg, "libmpfr6", Some("compiler-libraries")),
        (Ecosystem::Dpkg, "rust-coreutils", None),
        (Ecosystem::Apk, "lldpd", None),
        (Ecosystem::Apk, "clang17-libs", None),
        (Ecosystem::Rpm, "clang-libs", None),
        (Ecosystem::Python, "build", None),
        (Ecosystem::Python, "debugpy", None),
        (Ecosystem::Dpkg, "gcc-12-base", None),
        (Ecosystem::Dpkg, "libgcc-s1", None),
        (Ecosystem::Dpkg, "libstdc++6", None),
        (Ecosystem::Dpkg, "libllvm15", None),
        (Ecosystem::Dpkg, "make", Some("build-tools")),
        (Ecosystem::Dpkg, "pkg-config", Some("build-tools")),
        (Ecosystem::Dpkg, "golang-1.19-go", Some("go-toolchain")),
        (Ecosystem::Dpkg, "rustc", Some("rust-toolchain")),
        (Ecosystem::Dpkg, "openjdk-17-jdk-headless", Some("jdk")),
        (Ecosystem::Dpkg, "openjdk-17-jre-headless", None),
        (Ecosystem::Dpkg, "libpq-dev", Some("dev-packages")),
        (Ecosystem::Dpkg, "linux-libc-dev", Some("dev-packages")),
        (Ecosystem::Dpkg, "libpq5", None),
        (Ecosystem::Dpkg, "git", None),
        (Ecosystem::Dpkg, "perl", None),
        (Ecosystem::Apk, "gcc", Some("compilers")),
        (Ecosystem::Apk, "libgcc", None),
        (Ecosystem::Apk, "libstdc++", None),
        (Ecosystem::Apk, "musl-dev", Some("dev-packages")),
        (Ecosystem::Apk, "build-base", Some("build-tools")),
        (Ecosystem::Apk, "go", Some("go-toolchain")),
        (Ecosystem::Rpm, "gcc-c++", Some("compilers")),
        (Ecosystem::Rpm, "glibc-devel", Some("dev-packages")),
        (Ecosystem::Rpm, "java-17-openjdk-devel", Some("jdk")),
        (Ecosystem::Rpm, "java-17-openjdk-headless", None),
        (Ecosystem::Rpm, "libgcc", None),
        (Ecosystem::Python, "pipenv", Some("python-build-tools")),
        (Ecosystem::Python, "poetry-core", Some("python-build-tools")),
        (Ecosystem::Python, "pytest", Some("python-dev-dependencies")),
        (Ecosystem::Python, "pytest-cov", Some("python-dev-dependencies")),
        (Ecosystem::Python, "flask", None),
        (Ecosystem::Python, "setuptools", None),
        (Ecosystem::Python, "pip", None),
        (Ecosystem::Gem, "rspec-core", Some("ruby-dev-dependencies")),
        (Ecosystem::Gem, "rack", None),
    ];
    for (ecosystem, name, kind) in cases {
        assert_eq!(of(ecosystem, name).as_deref(), kind, "{} {name}", ecosystem.as_str());
    }
}

#[test]
fn a_file_with_several_names_counts_once_and_only_if_all_of_them_are_of_a_kind() {
    let store = "root/.local/share/pnpm/store/v3/files/00/ab";
    let linked = files(&format!("{store} 50\n usr/src/app/node_modules/a/index.js -> {store}"));
    assert_eq!(kinds(vec![FileList::default(), linked]), []);
    let compilers = files("usr/bin/gcc 50\n usr/bin/cc -> usr/bin/gcc");
    assert_eq!(kinds(vec![FileList::default(), compilers]), [("compilers".to_owned(), 50, 1)]);
}

#[test]
fn byte_code_counts_only_beside_its_source() {
    let both =
        files("app/a.py 3\n app/__pycache__/a.cpython-311.pyc 5\n app/__pycache__/gone.cpython-311.pyc 7");
    assert_eq!(kinds(vec![FileList::default(), both]), [("byte-code".to_owned(), 5, 1)]);
    let old = files("app/a.py 3\n app/a.pyc 5\n app/b.pyc 7");
    assert_eq!(kinds(vec![FileList::default(), old]), [("byte-code".to_owned(), 5, 1)]);
}

#[test]
fn marks_tell_secrets_symbols_and_what_only_development_needs() {
    let secret =
        file_list("root/.npmrc 40", &[], vec![Mark::Secret { entry: 0, kind: SecretKind::NpmToken }]);
    assert_eq!(kinds(vec![FileList::default(), secret]), [("secrets".to_owned(), 40, 1)]);
    let program = file_list("app/server 900", &[], vec![Mark::Unstripped { entry: 0, bytes: Bytes(300) }]);
    assert_eq!(
        kinds(vec![FileList::default(), program]),
        [("debug-symbols".to_owned(), 300, 1)],
        "only the symbols"
    );
    let dev = |path: &str| Mark::Dev { entry: 0, directories: vec![LayerPath::from(path)] };
    let modules = "app/node_modules/.package-lock.json 9\n app/node_modules/jest/index.js 5\n app/node_modules/jest-x/index.js 7";
    let locked = || file_list(modules, &[], vec![dev("app/node_modules/jest")]);
    assert_eq!(kinds(vec![FileList::default(), locked()]), [("dev-dependencies".to_owned(), 5, 1)]);
    // Its list no longer counts.
    let pruned = files("-app/node_modules/.package-lock.json");
    assert_eq!(kinds(vec![FileList::default(), locked(), pruned]), []);
    let declared =
        Mark::DevDeclared { entry: 0, directories: vec![LayerPath::from("app/node_modules/jest-x")] };
    let project = || file_list("app/package.json 9", &[], vec![declared.clone()]);
    let kinds_of = kinds(vec![FileList::default(), project(), locked()]);
    assert_eq!(kinds_of, [("dev-dependencies".to_owned(), 5, 2)], "a lockfile knows better");
    let unlocked = files("app/node_modules/jest-x/index.js 7");
    assert_eq!(
        kinds(vec![FileList::default(), project(), unlocked]),
        [("dev-dependencies".to_owned(), 7, 2)]
    );
}

#[test]
fn what_was_deleted_and_what_is_the_base_images_is_told_apart() {
    let layers = || {
        vec![
            files("usr/bin/gcc 50\n usr/bin/make 5"),
            files("usr/bin/clang 70"),
            files("-usr/bin/clang\n-usr/bin/make"),
        ]
    };
    let found = found(layers(), &Catalogue::builtin());
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.kind.as_str(), one.bytes.0, one.deleted, one.layer.of_base_image))
        .collect();
    assert_eq!(
        told,
        [("compilers", 50, false, true), ("compilers", 70, true, false), ("build-tools", 5, true, true)]
    );
    assert!(found[0].help.contains("debian:12"), "{}", found[0].help);
    assert!(found[1].help.contains("`RUN step 1`"), "{}", found[1].help);
}

/// The findings in one layer of an image that starts with a command: the kind, and why it stays.
fn started(layer: FileList, command: &str) -> Vec<(String, Option<String>)> {
    let mut snapshot = snapshot(vec![FileList::default(), layer], 1);
    let step =
        |text: &str, makes_layer| HistoryEntry { instruction: Instruction::from_history(text), makes_layer };
    snapshot.history = vec![step("COPY / /", true), step("RUN step 1", true), step(command, false)];
    let filesystem = Arc::new(Filesystem::of_layers(&snapshot.layers).unwrap());
    let found = Search::new(Catalogue::builtin()).find(&snapshot, &filesystem);
    found.into_iter().map(|one| (one.kind, one.ignored)).collect()
}

#[test]
fn what_a_container_loads_stays_with_all_that_it_needs() {
    let dev = |names: &[&str]| {
        let directories =
            names.iter().map(|name| format!("app/node_modules/{name}").as_str().into()).collect();
        vec![Mark::Dev { entry: 0, directories }]
    };
    let modules = "app/node_modules/.package-lock.json 9\n app/node_modules/nodemon/index.js 5\n app/node_modules/debug/index.js 7";
    let node = || file_list(modules, &[(Ecosystem::Npm, "nodemon", &[1])], dev(&["nodemon", "debug"]));
    let python = || {
        let packages: &[(Ecosystem, &str, &[u32])] =
            &[(Ecosystem::Python, "mkdocs", &[0]), (Ecosystem::Python, "mkdocs-material", &[1])];
        file_list("lib/site-packages/mkdocs/a.py 5\n lib/site-packages/material/a.py 7", packages, Vec::new())
    };
    let caches = || files("root/.m2/repository/a/a.jar 5\n root/.npm/_npx/a/a.js 5");
    for (layer, command, kind, reason) in [
        (node(), r#"CMD ["node" "server.js"]"#, "dev-dependencies", None),
        (node(), r#"CMD ["npx" "nodemon" "server.js"]"#, "dev-dependencies", Some("CMD runs nodemon")),
        (node(), r#"CMD ["npm" "run" "dev"]"#, "dev-dependencies", Some("CMD runs npm")),
        (python(), r#"CMD ["gunicorn" "app"]"#, "python-dev-dependencies", None),
        (python(), r#"CMD ["mkdocs" "serve"]"#, "python-dev-dependencies", Some("CMD runs mkdocs")),
        (caches(), r#"ENTRYPOINT ["mvn" "spring-boot:run"]"#, "maven-cache", Some("ENTRYPOINT runs mvn")),
        (caches(), r#"CMD ["java" "-jar" "a.jar"]"#, "maven-cache", None),
        (caches(), r#"CMD ["npx" "serve"]"#, "npm-cache", Some("CMD runs npx")),
    ] {
        let found = started(layer, command);
        let of_kind: Vec<_> = found.iter().filter(|(of, _)| of == kind).collect();
        assert_eq!(of_kind, [&(kind.to_owned(), reason.map(str::to_owned))], "{command}");
    }
}

#[test]
fn what_scripts_need_is_not_known() {
    let help = |command: &str| {
        let layers = vec![FileList::default(), files("usr/bin/gcc 5\n app/vendor/phpunit/a.php 7")];
        let mut snapshot = snapshot(layers, 1);
        let step = |text: &str, makes_layer| HistoryEntry {
            instruction: Instruction::from_history(text),
            makes_layer,
        };
        snapshot.history = vec![step("COPY / /", true), step("RUN step 1", true), step(command, false)];
        let filesystem = Arc::new(Filesystem::of_layers(&snapshot.layers).unwrap());
        let found = Search::new(Catalogue::builtin()).find(&snapshot, &filesystem);
        let of = |kind: &str| found.iter().find(|one| one.kind == kind).unwrap().help.clone();
        [of("compilers"), of("dev-dependencies")].map(|help| help.contains("first make sure that "))
    };
    assert_eq!(help(r#"CMD ["node" "server.js"]"#), [false, false]);
    assert_eq!(help(r#"CMD ["npm" "start"]"#), [false, true]);
    assert_eq!(help(r#"ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]"#), [true, true]);
}

#[test]
fn with_plug_and_play_yarns_cache_is_loaded() {
    let cache = "root/.yarn/berry/cache/a.zip 5";
    assert_eq!(kinds(vec![FileList::default(), files(cache)]), [("yarn-cache".to_owned(), 5, 1)]);
    assert_eq!(kinds(vec![FileList::default(), files(&format!("{cache}\n app/.pnp.cjs 7"))]), []);
}

#[test]
fn advice_names_the_home_that_it_is_about() {
    let help =
        |lines: &str| found(vec![FileList::default(), files(lines)], &Catalogue::builtin()).remove(0).help;
    assert!(help("root/.npm/_cacache/a 5").contains("target=/root/.npm`"));
    let of_user = help("home/app/.npm/_cacache/a 5");
    assert!(of_user.contains("target=/home/app/.npm,mode=0777`"), "{of_user}");
    let of_poetry = help("home/app/.cache/pypoetry/cache/a 5");
    let removed = "rm -rf /home/app/.cache/pypoetry/cache /home/app/.cache/pypoetry/artifacts`";
    assert!(of_poetry.contains(removed) && !of_poetry.contains("/root/"), "{of_poetry}");
    assert!(help("home/a/.npm/_cacache/a 5\n home/b/.npm/_cacache/a 5").contains("/root/.npm"));
}

#[test]
fn a_program_that_builds_is_one_under_any_name_and_also_emptied() {
    let hidden = files("app/keep 50\n usr/bin/gcc -> app/keep");
    assert_eq!(kinds(vec![FileList::default(), hidden]), [("compilers".to_owned(), 50, 1)]);
    let emptied = || vec![FileList::default(), files("usr/bin/gcc 50"), files("usr/bin/gcc 0")];
    let found_emptied = found(emptied(), &Catalogue::builtin());
    assert_eq!((found_emptied[0].bytes, found_emptied[0].deleted), (Bytes(50), true));
    // After a `chmod` it counts once, where it is now.
    let again = vec![FileList::default(), files("usr/bin/gcc 50"), files("usr/bin/gcc 50")];
    assert_eq!(kinds(again), [("compilers".to_owned(), 50, 2)]);
}

#[test]
fn advice_names_the_instruction_that_brought_what_another_one_only_owns_anew() {
    let told = |steps: &[&str], base: u64| {
        let mut image = snapshot(steps.iter().map(|_| files("root/.npm/_cacache/a 5")).collect(), base);
        for (layer, step) in image.layers.iter_mut().zip(steps) {
            layer.created_by = Instruction::from_history(step);
        }
        let filesystem = Arc::new(Filesystem::of_layers(&image.layers).unwrap());
        let one = Search::new(Catalogue::builtin()).find(&image, &filesystem).remove(0);
        (one.layer.index, one.source().index, one.help)
    };
    let (layer, source, help) = told(&["RUN npm ci", "RUN chmod -R a+r /root", "RUN chown -R app /root"], 0);
    assert_eq!((layer, source), (2, 0));
    assert!(help.contains("`RUN npm ci`") && !help.contains("chown"), "{help}");
    // A command that runs again adds its own files, and files of the base image are stored again by the application.
    let (layer, source, help) = told(&["RUN npm ci", "RUN npm ci --force"], 0);
    assert!((layer, source) == (1, 1) && help.contains("npm ci --force"), "{help}");
    let (layer, source, help) = told(&["RUN npm ci", "RUN chown -R app /root"], 1);
    assert!((layer, source) == (1, 1) && help.contains("chown"), "{help}");
}

#[test]
fn a_secret_that_is_deleted_is_shipped_and_what_is_accepted_is_so_also_deleted() {
    let secret =
        file_list("root/.npmrc 40", &[], vec![Mark::Secret { entry: 0, kind: SecretKind::NpmToken }]);
    let layers = vec![FileList::default(), secret, files("-root/.npmrc")];
    let found_secret = found(layers, &Catalogue::builtin());
    assert_eq!((found_secret[0].kind.as_str(), found_secret[0].deleted), ("secrets", true));
    let ignore = Ignore {
        kind: Some("compilers".into()),
        paths: Vec::new(),
        images: Vec::new(),
        reason: "measured on purpose".into(),
    };
    let catalogue = Catalogue::new(Vec::new(), vec![ignore]).unwrap();
    let layers = vec![FileList::default(), files("usr/bin/gcc 50"), files("-usr/bin/gcc")];
    assert_eq!(found(layers, &catalogue)[0].ignored.as_deref(), Some("measured on purpose"));
}

#[test]
fn a_configuration_adds_kinds_and_excepts_files_with_a_reason() {
    let own = RemovableKind {
        name: "models".into(),
        what: String::new(),
        weight: Weight::Leftover,
        packages: Vec::new(),
        paths: vec!["/opt/models/**".into()],
        marks: Vec::new(),
        unless_packages: Vec::new(),
        unless_paths: vec!["**/small/**".into()],
        beside_source: false,
        unless_image_has: Vec::new(),
        help: "download them".into(),
        helps: std::collections::BTreeMap::new(),
    };
    let ignore = |kind: Option<&str>, paths: &[&str]| Ignore {
        kind: kind.map(str::to_owned),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        images: vec!["app".into()],
        reason: "compiles at run time".into(),
    };
    let ignores = vec![ignore(Some("compilers"), &[]), ignore(None, &["usr/include/**"])];
    let catalogue = Catalogue::new(vec![own.clone()], ignores).unwrap();
    let layer =
        files("opt/models/a 5\n opt/models/small/b 7\n usr/bin/gcc 50\n usr/include/x.h 3\n usr/bin/make 9");
    let found = found(vec![FileList::default(), layer], &catalogue);
    let told: Vec<_> = found.iter().map(|one| (one.kind.as_str(), one.bytes.0, one.counts())).collect();
    assert_eq!(
        told,
        [("compilers", 50, false), ("build-tools", 9, true), ("models", 5, true), ("headers", 3, false)]
    );
    assert_eq!(found[0].ignored.as_deref(), Some("compiles at run time"));

    let twice = Catalogue::new(vec![own.clone(), own.clone()], Vec::new()).unwrap_err();
    assert_eq!(
        (twice.to_string(), twice.culprit),
        ("the kind `models` already exists; choose another name".into(), Some(Culprit::Kind(1)))
    );
    let taken = RemovableKind { name: "compilers".into(), ..own.clone() };
    assert!(Catalogue::new(vec![taken], Vec::new()).is_err());
    let bad = RemovableKind { paths: vec!["a{b".into()], ..own };
    let error = Catalogue::new(vec![bad], Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("`a{b` is not a path pattern: "), "{error}");
    let unknown = Catalogue::new(Vec::new(), vec![ignore(Some("compiler"), &[])]).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no kind `compiler`; did you mean `compilers`?");
    assert!(Catalogue::new(Vec::new(), vec![ignore(None, &[])]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_byte_counts_twice(layers in prop::collection::vec(prop::collection::vec((0usize..12, 0u64..1000, 0u8..4), 0..12), 1..5)) {
        let paths = [
            "usr/bin/gcc", "usr/bin/make", "app/a.py", "app/__pycache__/a.cpython-311.pyc", "usr/include/a.h", "app/.git/HEAD",
            "root/.cache/pip/x", "usr/lib/gcc/12/a.a", "app/server", "app/node_modules/a/index.d.ts", "usr/share/doc/a/b", "etc/a",
        ];
        let line = |(path, size, act): &(usize, u64, u8)| match act {
            0 => format!("-{}", paths[*path]),
            1 => format!("{} -> {}", paths[*path], paths[(*path + 1) % paths.len()]),
            _ => format!("{} {size}", paths[*path]),
        };
        let layers = layers.iter().map(|lines| files(&lines.iter().map(line).collect::<Vec<_>>().join("\n"))).collect();
        let snapshot = snapshot(layers, 1);
        let filesystem = Arc::new(Filesystem::of_layers(&snapshot.layers).unwrap());
        let found = Search::new(Catalogue::builtin()).find(&snapshot, &filesystem);
        let there: u64 = found.iter().filter(|one| !one.deleted).map(|one| one.bytes.0).sum();
        let gone: u64 = found.iter().filter(|one| one.deleted).map(|one| one.bytes.0).sum();
        prop_assert!(there <= filesystem.flattened.0 && gone <= filesystem.wasted.0);
    }
}
