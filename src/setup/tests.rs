//! What is found in repositories that are made up, and what is written for them.

use std::collections::BTreeMap;

use super::{By, Image, Nothing, Plan, Tree, Yaml, configuration, path, plan, workflow};
use crate::policy::{Config, Settings};

/// A repository of these files; what is called like a Dockerfile is one.
fn planned(files: &[(&str, &str)]) -> Result<Plan, Nothing> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |path: &str| {
        files.get(path).map(|text| (*text).to_owned()).ok_or_else(|| "it is not there".to_owned())
    };
    let exists = |path: &str| {
        files.contains_key(path)
            || files.keys().any(|file| file.starts_with(&format!("{path}/")))
            || path == "."
    };
    let of = |fits: &dyn Fn(&str) -> bool| {
        files.keys().filter(|file| fits(file)).map(|file| (*file).to_owned()).collect()
    };
    let tree = Tree {
        workflows: of(&|file| file.starts_with(".github/workflows/")),
        dockerfiles: of(&|file| path::name(file).contains("Dockerfile")),
        repository: ("acme".into(), "shop".into()),
        read: &read,
        exists: &exists,
    };
    plan(&tree, "main", "git:layergate-baselines")
}

/// The images of a plan: name, Dockerfile, context, target.
fn shown(images: &[Image]) -> Vec<String> {
    let one = |image: &Image| {
        let build = &image.build;
        let target = build.target.as_deref().map(|target| format!(" {target}")).unwrap_or_default();
        format!("{} {} {}{target}", image.name, build.dockerfile.as_deref().unwrap_or("-"), build.context)
    };
    images.iter().map(one).collect()
}

/// The build step of a workflow: its script and its variables.
fn build_step(plan: &Plan) -> (String, BTreeMap<String, String>) {
    let text = workflow(plan);
    let yaml = Yaml::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let steps = yaml.at(&["jobs", "check", "steps"]).unwrap().items().to_vec();
    let step = steps.iter().find(|step| step.text_of("name") == Some("build")).unwrap();
    let variables = step.get("env").into_iter().flat_map(Yaml::entries);
    let variables = variables.map(|(name, value)| (name.to_owned(), value.text().unwrap().to_owned()));
    (step.text_of("run").unwrap().trim().to_owned(), variables.collect())
}

const ONE_STAGE: &str = "FROM debian:13\nRUN apt-get update && apt-get install -y gcc\nCOPY . .\nRUN make\n";
const STAGES: &str =
    "FROM golang AS build\nRUN go build -o /a\nFROM scratch AS prod\nCOPY --from=build /a /a\n";

#[test]
fn a_dockerfile_alone_is_an_image_of_the_repositorys_name() {
    let plan = planned(&[("Dockerfile", ONE_STAGE), ("tests/Dockerfile", "FROM scratch\n")]).unwrap();
    assert_eq!(shown(&plan.images), ["shop Dockerfile ."]);
    assert_eq!(plan.left_out, ["tests/Dockerfile"]);
    assert_eq!(build_step(&plan).0, "docker build --tag shop:ci .");
    assert!(!plan.images[0].staged);
    assert!(configuration(&plan).contains("\nmulti-stage = \"warn\"\n"));
    let nothing = planned(&[("README.md", "x")]).unwrap_err();
    assert!(nothing.notes.is_empty());
}

#[test]
fn a_dockerfile_is_built_from_where_its_files_are() {
    let plan = planned(&[
        ("docker/api.Dockerfile", "FROM scratch\nCOPY go.mod api /\n"),
        ("go.mod", ""),
        ("api/x", ""),
        ("web/Dockerfile", "FROM scratch\nCOPY [\"index.html\", \"/\"]\n"),
        ("web/index.html", ""),
    ])
    .unwrap();
    assert_eq!(shown(&plan.images), ["api docker/api.Dockerfile .", "web web/Dockerfile web"]);
    let script = "docker build --tag api:ci --file docker/api.Dockerfile .\ndocker build --tag web:ci web";
    assert_eq!(build_step(&plan).0, script);
}

#[test]
fn workflows_say_how_their_images_are_built() {
    let ci = r#"
on: push
env: {REGISTRY: ghcr.io}
jobs:
  images:
    strategy:
      matrix:
        include:
          - {image: api, dir: services/api}
          - {image: web, dir: services/web, target: prod}
    steps:
      - uses: actions/checkout@v4
        with: {submodules: recursive, lfs: true}
      - uses: docker/login-action@v3
      - run: npm ci
      - id: meta
        uses: docker/metadata-action@v5
        with:
          images: name=${{ env.REGISTRY }}/${{ github.repository }}/${{ matrix.image }}
      - uses: docker/build-push-action@v6
        with:
          context: ${{ matrix.dir }}
          target: ${{ matrix.target }}
          platforms: linux/amd64,linux/arm64
          push: ${{ github.event_name == 'push' }}
          tags: ${{ steps.meta.outputs.tags }}
          build-args: |
            MODE=release
            SHA=${{ github.sha }}
          secrets: |
            key=${{ secrets.KEY }}
  job:
    defaults: {run: {working-directory: jobs}}
    env: {TAG: v1}
    steps:
      - run: |
          cd nightly
          docker build \
            -t "acme/nightly:$TAG" -f Dockerfile.nightly ..
      - uses: docker/build-push-action@v6
        with: {file: ./oci/Dockerfile, outputs: "type=oci,dest=/tmp/image.tar", tags: acme/packed}
      - uses: docker/build-push-action@v6
        with: {file: "${{ needs.x.outputs.file }}"}
      - run: docker build https://example.com/x.git
"#;
    let plan = planned(&[
        (".github/workflows/ci.yml", ci),
        (".github/workflows/odd.yml", "a: [b\nc: }"),
        ("services/api/Dockerfile", "FROM scratch\n"),
        ("services/web/Dockerfile", STAGES),
        ("jobs/nightly/Dockerfile.nightly", "FROM scratch\n"),
        ("oci/Dockerfile", "FROM scratch\n"),
        ("Dockerfile.old", "FROM scratch\n"),
    ])
    .unwrap();
    assert_eq!(
        shown(&plan.images),
        [
            "api services/api/Dockerfile services/api",
            "web services/web/Dockerfile services/web prod",
            "nightly jobs/nightly/Dockerfile.nightly jobs",
            "packed oci/Dockerfile .",
        ]
    );
    assert_eq!(plan.images[0].build.arguments, [("MODE".to_owned(), "release".to_owned())]);
    assert!(plan.images[1].staged && !plan.images[0].staged);
    assert_eq!(plan.left_out, ["Dockerfile.old"]);
    let notes = plan.notes.join("\n");
    for part in ["`npm ci`", "secrets", "SHA", "not followed", "odd.yml is not looked at", "linux/arm64"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let text = workflow(&plan);
    assert_eq!(text.matches("submodules: recursive").count(), 2);
    assert_eq!(text.matches("lfs: true").count(), 2);
    let (script, _) = build_step(&plan);
    assert!(
        script.contains("docker build --tag web:ci --target prod --build-arg MODE=release services/web\n"),
        "{script}"
    );
    let config = Config::parse("x", &configuration(&plan)).unwrap();
    let build = config.build_of("web", None, &Settings::new()).unwrap();
    assert_eq!((build.target.as_deref(), build.arguments["MODE"].as_str()), (Some("prod"), "release"));
}

#[test]
fn a_workflow_that_runs_layergate_is_told() {
    let gate = "jobs: {a: {steps: [{uses: layergate/layergate@main}]}}";
    let plan = planned(&[(".github/workflows/size.yml", gate), ("Dockerfile", STAGES)]).unwrap();
    assert_eq!(plan.gated.as_deref(), Some(".github/workflows/size.yml"));
    assert!(configuration(&plan).contains("\nmulti-stage = \"require\"\n"));
}

const COMPOSE: &str = r#"
x-build: &build {context: ., dockerfile: docker/Dockerfile}
services:
  api:
    build: {<<: *build, target: api, args: [MODE=x]}
    image: ghcr.io/acme/api:${TAG:-latest}
  worker:
    build: *build
    profiles: [jobs]
  twin:
    build: *build
    image: ghcr.io/acme/api:${TAG:-latest}
  db: {image: postgres}
  odd name: {build: .}
  far: {build: "https://example.com/x.git"}
"#;

#[test]
fn services_of_compose_are_built_by_compose() {
    let files = [("compose.yaml", COMPOSE), ("docker/Dockerfile", "FROM scratch AS api\n")];
    let plan = planned(&files).unwrap();
    assert_eq!(shown(&plan.images), ["api docker/Dockerfile . api", "worker docker/Dockerfile ."]);
    let references: Vec<&str> = plan.images.iter().map(|image| image.reference.as_str()).collect();
    assert_eq!(references, ["ghcr.io/acme/api:latest", "layergate-worker:latest"]);
    let (script, variables) = build_step(&plan);
    assert_eq!(script, "docker compose --file compose.yaml build api worker");
    assert_eq!(variables["TAG"], "latest");
    assert_eq!(variables["COMPOSE_PROJECT_NAME"], "layergate");
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
}

#[test]
fn a_service_that_compose_cannot_build_here_is_built_by_docker() {
    let compose =
        "services:\n  api:\n    build: .\n    env_file: .env\n  web:\n    build: ./web\n    image: ${X:+y}\n";
    let plan = planned(&[
        ("compose.yaml", compose),
        ("Dockerfile", "FROM scratch\n"),
        ("web/Dockerfile", "FROM scratch\n"),
    ])
    .unwrap();
    assert!(plan.images.iter().all(|image| image.build.by == By::Docker), "{:?}", plan.images);
    assert_eq!(build_step(&plan).0, "docker build --tag api:ci .\ndocker build --tag web:ci web");
    assert!(plan.notes.iter().any(|note| note.contains(".env is not there")), "{:?}", plan.notes);
}

const BAKE: &str = r#"
variable "REGISTRY" { default = "ghcr.io/acme" }
group "default" { targets = ["api", "more"] }
group "more" { targets = ["web", "more"] }
target "common" {
  platforms = ["linux/amd64", "linux/arm64"]
  args = { MODE = "release", NOW = timestamp() }
}
target "api" {
  inherits = ["common"]
  context = "api"
  tags = ["${REGISTRY}/api:latest"]
}
target "web" {
  context = "."
  dockerfile = "web/Dockerfile"
  target = "prod"
  cache-to = ["type=gha"]
}
target "unused" { context = "unused" }
"#;

#[test]
fn targets_of_bake_are_built_by_bake() {
    let files = [
        ("docker-bake.hcl", BAKE),
        ("compose.yaml", COMPOSE),
        ("api/Dockerfile", "FROM scratch\n"),
        ("web/Dockerfile", STAGES),
    ];
    let plan = planned(&files).unwrap();
    assert_eq!(shown(&plan.images), ["api api/Dockerfile api", "web web/Dockerfile . prod"]);
    assert_eq!(plan.images[0].build.arguments, [("MODE".to_owned(), "release".to_owned())]);
    let script = "docker build --tag web:ci --file web/Dockerfile --target prod .\n\
        docker buildx bake --load --file docker-bake.hcl --set api.tags=api:ci --set api.platform=linux/amd64 api";
    assert_eq!(build_step(&plan).0, script);
    assert!(plan.notes.iter().any(|note| note.contains("writes a cache")), "{:?}", plan.notes);

    let json = r#"{"group": {"default": {"targets": ["api"]}}, "target": {"api": {"context": "api"}}}"#;
    let plan = planned(&[("docker-bake.json", json), ("api/Dockerfile", "FROM scratch\n")]).unwrap();
    assert_eq!(
        build_step(&plan).0,
        "docker buildx bake --load --file docker-bake.json --set api.tags=api:ci api"
    );
}

/// Names that would be something else to a shell, to YAML, to TOML, or to GitHub.
const ODD: [&str; 8] = [
    "a b",
    "quo'te\"s",
    "$(touch x)",
    "${{ github.token }}",
    "-dash",
    "back`tick`",
    "co: lon #",
    "\u{fc}ml\u{e4}ut",
];

#[test]
fn odd_names_stay_names() {
    let paths: Vec<String> = ODD.iter().map(|name| format!("{name}/Dockerfile")).collect();
    let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "FROM scratch\n")).collect();
    files.push(("new\nline/Dockerfile", "FROM scratch\n"));
    files.push(("bi\u{202e}di/Dockerfile", "FROM scratch\n"));
    let plan = planned(&files).unwrap();
    let mut written: Vec<&str> = plan.images.iter().map(|image| image.build.context.as_str()).collect();
    let mut expected = ODD.to_vec();
    written.sort_unstable();
    expected.sort_unstable();
    assert_eq!(written, expected);
    // The script has the names of variables alone, and these are the names as they are.
    let (script, variables) = build_step(&plan);
    let known: Vec<String> = variables.values().map(|value| value.replace("${{ '${{' }}", "${{")).collect();
    for name in ODD {
        let path = format!("./{name}");
        let is_known = known.iter().any(|value| *value == name || *value == path);
        assert!(is_known || name == "-dash" && script.contains(" ./-dash\n"), "{name}: {script} {known:?}");
    }
    for part in ["$(", "`", "'", "${{", ": ", " -dash"] {
        assert!(!script.contains(part), "{part}: {script}");
    }
    let text = workflow(&plan);
    assert!(!text.replace("${{ '${{' }}", "").contains("${{ github.token"), "{text}");
    let config = Config::parse("x", &configuration(&plan)).unwrap();
    for image in &plan.images {
        let file = config.dockerfile_of(&image.name).unwrap();
        assert_eq!(file.to_str(), image.build.dockerfile.as_deref());
    }
    assert_eq!(plan.left_out.len(), 2);
}

#[test]
fn values_of_a_workflow_stay_values() {
    let ci = r#"
jobs:
  a:
    steps:
      - uses: docker/build-push-action@v6
        with:
          target: "x\"; $(touch y) ${{ '${{' }}"
          tags: "$(z):1"
          build-args: |
            A=$(touch z) 'q' "r"
            TOKEN=ghp_0123456789012345678901234567890123456789
            bad name=1
"#;
    let plan = planned(&[(".github/workflows/x.yml", ci), ("Dockerfile", STAGES)]).unwrap();
    let (script, variables) = build_step(&plan);
    assert_eq!(script, "docker build --tag z:ci --build-arg \"$ARGUMENT_1\" .");
    assert_eq!(variables["ARGUMENT_1"], "A=$(touch z) 'q' \"r\"");
    assert!(!workflow(&plan).contains("ghp_") && !configuration(&plan).contains("ghp_"));
    assert!(plan.notes.iter().any(|note| note.contains("left out")), "{:?}", plan.notes);
}

#[test]
fn names_are_each_of_one_image() {
    let plan = planned(&[
        ("a/api/Dockerfile", "FROM scratch\n"),
        ("b/api/Dockerfile", "FROM scratch\n"),
        ("b/api/Dockerfile.x", "FROM scratch\n"),
        ("oci/Dockerfile", "FROM scratch\n"),
        ("snapshot/Dockerfile", "FROM scratch\n"),
    ])
    .unwrap();
    let names: Vec<&str> = plan.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["a-api", "b-api", "x", "oci-image", "snapshot-image"]);
}

#[test]
fn every_limit_that_is_offered_is_one() {
    let plan = planned(&[("Dockerfile", STAGES)]).unwrap();
    let text = configuration(&plan);
    let is_offer = |line: &&str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            rest.split(" = ").next().is_some_and(|key| !key.contains(' ')) && rest.contains(" = ")
        })
    };
    assert!(text.lines().filter(is_offer).count() >= 11, "{text}");
    let taken: String = text
        .lines()
        .map(|line| if is_offer(&line) { &line[2..] } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    let config = Config::parse("x", &taken).unwrap_or_else(|error| panic!("{error}\n{taken}"));
    let (limits, _) = config.limits_for("shop", None, &Settings::new()).unwrap();
    assert!(limits.max_size.is_some() && limits.max_layers.is_some());
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
}

proptest::proptest! {
    #[test]
    fn whatever_a_workflow_says_what_is_written_can_be_read(
        context in "[a-z $'\"`{}():#\\\\/.-]{0,20}", value in "\\PC{0,20}", line in "[a-z $'\"`{}()-]{0,20}",
    ) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let step = format!(
            "{{uses: docker/build-push-action@v6, with: {{context: {}, target: {}, tags: {}, build-args: {}}}}}",
            quoted(&context), quoted(&value), quoted(&value), quoted(&format!("A={value}")),
        );
        let run = format!("{{run: {}}}", quoted(&format!("docker build -t x --target {line} .")));
        let ci = format!("jobs: {{a: {{steps: [{step}, {run}]}}}}");
        let file = path::join(".", &context).and_then(|context| path::join(&context, "Dockerfile"));
        let file = file.unwrap_or_else(|| "x/Dockerfile".into());
        let files = [(".github/workflows/x.yml", ci.as_str()), (&file, "FROM scratch\n"), ("Dockerfile", "FROM scratch\n")];
        let plan = planned(&files).unwrap();
        Config::parse("x", &configuration(&plan)).unwrap();
        build_step(&plan);
    }
}

#[test]
fn images_that_share_a_dockerfile_are_told_apart_by_their_arguments() {
    let compose = "services:\n  api: {build: {context: ., args: {APP: api}}}\n  web: {build: {context: ., args: {APP: web}}}\n  again: {build: {context: ., args: {APP: web}}}\n";
    let plan = planned(&[("compose.yaml", compose), ("Dockerfile", "FROM scratch\n")]).unwrap();
    assert_eq!(plan.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["api", "web"]);

    // A test and a release build one image, with other arguments.
    let step = |arguments: &str| {
        format!("jobs: {{a: {{steps: [{{run: 'docker build -t acme/api {arguments} .'}}]}}}}")
    };
    let (test, release) = (step(""), step("--build-arg MODE=release"));
    let files = [
        (".github/workflows/a.yml", test.as_str()),
        (".github/workflows/b.yml", release.as_str()),
        ("Dockerfile", "FROM scratch\n"),
    ];
    let plan = planned(&files).unwrap();
    assert_eq!(plan.images.len(), 1);
    assert!(plan.notes.join("\n").contains("with other arguments than"), "{:?}", plan.notes);
}

#[test]
fn nothing_of_a_compose_file_gets_into_the_workflow_as_it_is() {
    let evil = "services:\n  x:\n    build: {dockerfile_inline: \"FROM scratch\"}\n    image: \"x:1\\n          command: record\\n          evil: $${{ github.token }}\"\n  y: {build: .}\n";
    let plan = planned(&[("compose.yaml", evil), ("Dockerfile", "FROM scratch\n")]).unwrap();
    let text = workflow(&plan);
    assert!(!text.contains("github.token") && text.matches("command:").count() == 1, "{text}");
    assert_eq!(plan.images.len(), 1);
    assert!(plan.notes.join("\n").contains("left out, because what it calls the image"), "{:?}", plan.notes);

    // One step sets a variable once, so an image that needs another value is built by itself.
    let two =
        "services:\n  a: {build: a, image: 'acme/a:${TAG:-1}'}\n  b: {build: b, image: 'acme/b:${TAG:-2}'}\n";
    let files =
        [("compose.yaml", two), ("a/Dockerfile", "FROM scratch\n"), ("b/Dockerfile", "FROM scratch\n")];
    let plan = planned(&files).unwrap();
    assert_eq!(plan.images[0].reference, "acme/a:1");
    assert_eq!((&plan.images[1].build.by, plan.images[1].reference.as_str()), (&By::Docker, "b:ci"));
}

#[test]
fn of_a_large_workflow_only_a_part_is_looked_at() {
    let steps: String = (0..4_000).map(|i| format!("      - run: echo {i}\n")).collect();
    let text = format!("jobs:\n  a:\n    steps:\n{steps}      - run: docker build -t acme/late .\n");
    let plan = planned(&[(".github/workflows/a.yml", &text), ("Dockerfile", "FROM scratch\n")]).unwrap();
    assert!(plan.notes.join("\n").contains("only the first 3000 steps"), "{:?}", plan.notes);
}
