//! From one stage to several, on real applications: what is said of them, and that what is proposed builds,
//! runs, and is as large as was said.

use std::fs;

use serde_json::Value;

use crate::support::Run;
use crate::support::apps::{self, App};
use crate::support::engine::Engine;

/// What `check --multi-stage require` says of an image.
fn evaluated(engine: &Engine, app: &App, kind: &str, code: i32) -> (Value, Run) {
    let image = apps::image(engine, app, kind);
    let dockerfile = app.dockerfile(kind).display().to_string();
    let store = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", store.path().display());
    let arguments =
        ["check", &image, "--dockerfile", &dockerfile, "--multi-stage", "require", "--store", &store];
    let json = engine.layergate(&[&arguments[..], &["--format", "json"]].concat()).expect(code).json();
    (json["images"][0].clone(), engine.layergate(&arguments).expect(code))
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn the_tutorials_application_fails_in_one_stage_by_name_and_line() {
    let Some(engine) = apps::engine("the tutorial's application, evaluated") else { return };
    let app = App::named("seed");
    let (image, text) = evaluated(&engine, &app, "single", 1);
    let (finding, stages) = (&image["findings"][0], &image["stages"]);
    assert_eq!((finding["rule"].as_str(), finding["severity"].as_str()), (Some("multi-stage"), Some("fail")));
    assert_eq!(
        (&stages["outcome"], &stages["stages"], &stages["multi_stage"]),
        (&"fail".into(), &1.into(), &false.into())
    );
    assert_eq!(finding["dockerfile"]["line"], 5);
    let message = finding["message"].as_str().unwrap();
    let steps = ["Dockerfile:5 pip install pipenv", "Dockerfile:9 pipenv install"];
    for named in ["Python build and lock tools", "pipenv", "pip's cache", steps[0], steps[1]] {
        assert!(message.contains(named), "{named}: {message}");
    }
    assert!(text.stdout.contains("stages --propose"), "{}", text.stdout);

    // The tutorial's own multi-stage file builds on the same image, which has compilers, and ships what
    // `install -d` brings.
    let (image, text) = evaluated(&engine, &app, "multistage", 0);
    let (finding, stages) = (&image["findings"][0], &image["stages"]);
    assert_eq!((finding["rule"].as_str(), finding["severity"].as_str()), (Some("multi-stage"), Some("warn")));
    assert_eq!((&stages["stages"], &stages["multi_stage"]), (&3.into(), &true.into()));
    assert!(finding["message"].as_str().unwrap().contains("pytest"), "{}", finding["message"]);
    for named in
        ["compilers and linkers", "gcc-12", "the base image", "build the final stage on python:3-slim"]
    {
        assert!(text.stdout.contains(named), "{named}: {}", text.stdout);
    }
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn what_is_proposed_builds_runs_and_is_as_large_as_was_said() {
    let Some(engine) = apps::engine("proposals") else { return };
    for app in App::all() {
        for kind in ["single", "gcc"].into_iter().filter(|kind| app.dockerfile(kind).exists()) {
            proposal_of(&engine, &app, kind);
        }
    }
}

fn proposal_of(engine: &Engine, app: &App, kind: &str) {
    let image = apps::image(engine, app, kind);
    let dockerfile = app.dockerfile(kind).display().to_string();
    let before = fs::read(app.dockerfile(kind)).unwrap();
    let arguments = ["stages", "--propose", &dockerfile, "--image", &image];
    let text = engine.layergate(&arguments).expect(0).stdout;
    let json = engine.layergate(&[&arguments[..], &["--format", "json"]].concat()).expect(0).json();
    assert_eq!(json["dockerfile"], text.as_str());
    assert_eq!(fs::read(app.dockerfile(kind)).unwrap(), before, "it never edits");

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &text).unwrap();
    let proposed = format!("apps-{}:{kind}-proposed", app.name);
    apps::build(engine, app, file.path(), &proposed);
    assert_eq!(apps::answers(engine, &proposed, app), app.answer, "{text}");
    let [now, then] =
        [&image, &proposed].map(|image| engine.inspect(image)["totals"]["uncompressed"].as_i64().unwrap());
    assert_eq!(json["now"], now);
    let said = json["predicted"].as_i64().unwrap();
    let off = (said - then).abs() as f64 * 100.0 / then as f64;
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr().lock(),
        format_args!("{} {kind}: {now} now, {said} said, {then} then, off by {off:.1}%\n", app.name),
    );
    assert!(off < 10.0, "{}: {said} said and {then} then\n{text}", app.name);
    assert!(then < now, "{}: {then} is not smaller than {now}", app.name);

    // And it is what the rule asks for.
    let path = file.path().display().to_string();
    let evaluated =
        ["check", &proposed, "--dockerfile", &path, "--multi-stage", "require", "--format", "json"];
    let evaluated = engine.layergate(&evaluated).expect(0).json();
    assert_eq!(evaluated["images"][0]["stages"]["multi_stage"], true, "{text}");
}

/// A Dockerfile as people write it, what it is built from, and what its container prints.
struct Shape {
    name: &'static str,
    dockerfile: &'static str,
    files: &'static [(&'static str, &'static str)],
}

const FLASK: (&str, &str) = ("requirements.txt", "flask\n");
const PRINTS: (&str, &str) = ("app.py", "import flask, os\nprint(flask.__name__, os.getuid())\n");
const MODULES: [(&str, &str); 2] = [
    ("package.json", include_str!("../support/apps/node-dev/package.json")),
    ("package-lock.json", include_str!("../support/apps/node-dev/package-lock.json")),
];

const SHAPES: &[Shape] = &[
    Shape {
        name: "an environment, a user and a check",
        dockerfile: "FROM python:3\nRUN apt-get update && apt-get install -y gcc libyaml-dev && rm -rf /var/lib/apt/lists/*\nRUN groupadd -g 1500 app && useradd -u 1500 -g app -m app\nWORKDIR /app\nCOPY requirements.txt .\nRUN python3 -m venv --without-pip /opt/venv && pip --python /opt/venv/bin/python install -r requirements.txt\nENV PATH=/opt/venv/bin:$PATH\nCOPY --chown=app:app . .\nUSER app\nHEALTHCHECK CMD python3 -c \"import flask\"\nENTRYPOINT [\"python3\", \"app.py\"]\n",
        files: &[FLASK, PRINTS],
    },
    Shape {
        name: "a user's own packages",
        dockerfile: "FROM python:3\nRUN useradd -m -u 1000 web\nUSER web\nWORKDIR /home/web/app\nENV PATH=/home/web/.local/bin:$PATH\nCOPY --chown=web requirements.txt .\nRUN pip install --user -r requirements.txt\nCOPY --chown=web . .\nCMD [\"sh\", \"-c\", \"flask --version | head -1 && python3 app.py\"]\n",
        files: &[FLASK, PRINTS],
    },
    Shape {
        name: "pruned and given to a user",
        dockerfile: "FROM node:20\nRUN groupadd -r web && useradd -r -g web web\nWORKDIR /usr/src/app\nCOPY package*.json ./\nRUN npm ci\nCOPY . .\nRUN mkdir dist && cp server.js dist && npm prune --omit=dev && chown -R web /usr/src/app\nUSER web\nCMD [\"sh\", \"-c\", \"ls && id -un && node dist/server.js\"]\n",
        files: &[MODULES[0], MODULES[1], ("server.js", "console.log(require('ms')(60000));\n")],
    },
    Shape {
        name: "a library and a plugin that is loaded",
        dockerfile: "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make\nCOPY . /tmp/build\nRUN mkdir -p /usr/local/bin /usr/local/lib/plugins && cd /tmp/build && gcc -shared -fPIC -o /usr/local/lib/libgreet.so.1 greet.c && ln -s libgreet.so.1 /usr/local/lib/libgreet.so \\\n && gcc -shared -fPIC -o /usr/local/lib/plugins/de.so de.c \\\n && gcc -o /usr/local/bin/greet main.c -L/usr/local/lib -lgreet -ldl && ldconfig && rm -rf /tmp/build\nCMD [\"greet\"]\n",
        files: &[
            ("greet.c", "#include <stdio.h>\nvoid greet(void) { puts(\"hello\"); fflush(stdout); }\n"),
            ("de.c", "#include <stdio.h>\nvoid plug(void) { puts(\"hallo\"); }\n"),
            (
                "main.c",
                "#include <dlfcn.h>\nvoid greet(void);\nint main(void) {\n  void *plugin;\n  greet();\n  plugin = dlopen(\"/usr/local/lib/plugins/de.so\", RTLD_NOW);\n  if (!plugin) return 3;\n  ((void (*)(void))dlsym(plugin, \"plug\"))();\n  return 0;\n}\n",
            ),
        ],
    },
    Shape {
        name: "models in caches, loaded by a script",
        dockerfile: "FROM python:3\nCOPY requirements.txt /\nRUN pip install -r /requirements.txt && mkdir -p /root/.cache/huggingface/hub && echo weights > /root/.cache/huggingface/hub/model\nCOPY entry.sh app.py /\nENTRYPOINT [\"sh\", \"/entry.sh\"]\nCMD [\"serve\"]\n",
        files: &[
            FLASK,
            ("entry.sh", "exec python3 /app.py \"$@\"\n"),
            (
                "app.py",
                "import sys, flask\nprint(sys.argv, open('/root/.cache/huggingface/hub/model').read())\n",
            ),
        ],
    },
    Shape {
        name: "arguments, links and a shell command",
        dockerfile: "FROM gcc:12\nARG VERSION=1.2\nENV APP_VERSION=${VERSION}\nWORKDIR /opt/app\nCOPY main.c .\nRUN set -e; mkdir -p bin share /usr/local/bin; gcc -o bin/app main.c; echo data > share/data; ln -s /opt/app/bin/app /usr/local/bin/app\nENV APP_ENV=prod\nVOLUME /data\nLABEL org.opencontainers.image.title=app\nCMD app && cat /opt/app/share/data\n",
        files: &[(
            "main.c",
            "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { printf(\"%s %s\\n\", getenv(\"APP_VERSION\"), getenv(\"APP_ENV\")); }\n",
        )],
    },
    Shape {
        name: "purged too late",
        dockerfile: "FROM debian:bookworm-slim\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN apt-get update && apt-get install -y gcc libc6-dev libyaml-dev busybox-static\nWORKDIR /src\nCOPY . .\nRUN gcc -o app main.c -lyaml && install -m 0755 app /usr/bin/yamlapp\nRUN apt-get purge -y gcc libc6-dev && apt-get autoremove -y && rm -rf /var/lib/apt/lists/*\nCMD [\"/bin/sh\", \"-c\", \"yamlapp && busybox echo and more\"]\n",
        files: &[(
            "main.c",
            "#include <stdio.h>\n#include <yaml.h>\nint main(void) { puts(yaml_get_version_string()); }\n",
        )],
    },
    // A build tool that starts the program runs with its packages.
    Shape {
        name: "started by pipenv",
        dockerfile: "FROM python:3\nWORKDIR /app\nRUN pip install pipenv\nCOPY Pipfile ./\nRUN pipenv install --skip-lock || pipenv install\nCOPY app.py .\nCMD [\"pipenv\", \"run\", \"python\", \"app.py\"]\n",
        files: &[("Pipfile", include_str!("../support/apps/seed/Pipfile")), PRINTS],
    },
    Shape {
        name: "resources of Java",
        dockerfile: "FROM eclipse-temurin:17\nCOPY . /opt/app/src\nWORKDIR /opt/app\nRUN find src -name '*.java' > sources && javac -d classes @sources && cp src/greeting.txt classes/\nENV JAVA_OPTS=-Xmx64m\nENTRYPOINT [\"sh\", \"-c\", \"exec java $JAVA_OPTS -cp classes Hello\"]\n",
        files: &[
            ("greeting.txt", "good morning\n"),
            (
                "Hello.java",
                "public class Hello {\n  public static void main(String[] words) throws Exception {\n    System.out.println(new String(Hello.class.getResourceAsStream(\"/greeting.txt\").readAllBytes()));\n  }\n}\n",
            ),
        ],
    },
    // Dependencies of development are what it is for.
    Shape {
        name: "tests that are run",
        dockerfile: "FROM python:3\nWORKDIR /app\nRUN pip install pytest flask\nCOPY test_app.py .\nCMD [\"sh\", \"-c\", \"pytest -q -p no:cacheprovider | head -1\"]\n",
        files: &[("test_app.py", "import flask\n\n\ndef test_name():\n    assert flask.__name__\n")],
    },
    Shape {
        name: "started by a development dependency",
        dockerfile: "FROM node:20\nWORKDIR /app\nCOPY package*.json ./\nRUN npm ci\nCMD [\"npx\", \"tsc\", \"--version\"]\n",
        files: &MODULES,
    },
    Shape {
        name: "packages to run and to build with in one",
        dockerfile: "FROM python:3-slim\nRUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev busybox-static \\\n    && pip install --no-cache-dir flask \\\n    && rm -rf /var/lib/apt/lists/*\nCOPY app.py /srv/\nRUN printf 'int puts(const char *); int main(void) { puts(\"hi\"); }' > /x.c && gcc -o /usr/local/bin/hi /x.c && rm /x.c\nCMD hi && busybox echo and more && python3 /srv/app.py\n",
        files: &[PRINTS],
    },
];

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn shapes_that_people_write_run_as_before() {
    let Some(engine) = apps::engine("proposals for many shapes") else { return };
    let mut faults = Vec::new();
    for (number, shape) in SHAPES.iter().enumerate() {
        let context = tempfile::tempdir().unwrap();
        for (path, text) in shape.files {
            fs::write(context.path().join(path), text).unwrap();
        }
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("Dockerfile");
        let built = |text: &str, tag: &str| -> Result<(String, i64), String> {
            fs::write(&path, text).unwrap();
            engine.build(context.path(), &path.display().to_string(), tag);
            let says = engine.docker_with(&["run", "--rm", "--network", "none", tag], true)?;
            Ok((says, engine.inspect(tag)["totals"]["uncompressed"].as_i64().unwrap()))
        };
        let tag = format!("shapes:{number}");
        let (says, now) = built(shape.dockerfile, &tag).unwrap();
        let file = path.display().to_string();
        let proposed = engine.layergate(&["stages", "--propose", &file, "--image", &tag]).expect(0).stdout;
        let entry =
            engine.layergate(&["stages", &file, "--image", &tag, "--format", "json"]).expect(0).json();
        let said = entry["dockerfiles"][0]["fix"]["saves"].as_i64().unwrap();
        let (still, then) = match built(&proposed, &format!("{tag}-proposed")) {
            Ok(built) => built,
            Err(why) => {
                faults.push(format!("{}: {why}\n{proposed}", shape.name));
                continue;
            }
        };
        let off = (said - (now - then)).abs() as f64 * 100.0 / (now - then) as f64;
        let row = format!("{}: {said} said, {} saved of {now}, off by {off:.1}%", shape.name, now - then);
        let _ = std::io::Write::write_fmt(&mut std::io::stderr().lock(), format_args!("{row}\n"));
        let is_cache = |line: &str| line.starts_with("COPY --from") && line.contains("/.cache/pip");
        if says != still || off > 5.0 || proposed.lines().any(is_cache) {
            faults.push(format!("{row}: {still:?}, before {says:?}\n{proposed}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}
