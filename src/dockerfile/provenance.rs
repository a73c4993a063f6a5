//! BuildKit's provenance: what a build says about itself (SLSA provenance v0.2 and v1, and BuildKit's
//! docs/attestations/slsa-definitions.md). With `mode=max` it names the Dockerfile lines of each layer, so that nothing
//! has to be inferred; with `mode=min` it names the base images by digest. It is untrusted text from whoever made the
//! image, and applies to this image only if it names the image's digest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::LineRange;
use super::ast::Dockerfile;
use super::parse::MAX_BYTES;
use super::statement::{Info, Predicate, RawMaterial, Statement, StatementSubject};
use super::steps::{ProvenanceStep, Steps, number};
use super::variables::plain_name;
use crate::image::Digest;

/// The predicate types of SLSA that BuildKit writes.
pub const PREDICATES: [&str; 2] = ["https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"];
/// The keys of `buildx build --metadata-file` for provenance, and for the digests of the manifest or index and config.
const IN_METADATA: &str = "buildx.build.provenance";
const METADATA_DIGESTS: [&str; 2] = ["containerimage.digest", "containerimage.config.digest"];
/// Maximum bytes of a Dockerfile path that is used.
const MAX_PATH: usize = 500;

/// What a build says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    /// The Dockerfile's path: in the repository if the build states that, otherwise as the build names it.
    pub file: Option<String>,
    /// The Dockerfile's text.
    pub text: Option<String>,
    /// The stage that was built, if one was named.
    pub target: Option<String>,
    /// The given build arguments.
    pub arguments: BTreeMap<String, String>,
    /// Named contexts, by name.
    pub contexts: BTreeMap<String, String>,
    /// The images that the build read, including base images.
    pub images: Vec<Material>,
    /// The layers of each step's result, lowest first, by the number of the step.
    chains: BTreeMap<u64, Vec<Digest>>,
    /// The lines of each step; if a step is written twice, both.
    lines: BTreeMap<u64, Vec<LineRange>>,
    /// The steps, and what they build on.
    steps: Steps,
}

/// An image that a build read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// Its name as given, `mybase:1`.
    pub name: String,
    /// The digest of its manifest or index.
    pub digest: Digest,
}

/// The output of `buildx build --metadata-file`, or one target's part of `buildx bake`'s: read once, for many images.
#[derive(Debug, Default)]
pub struct BuildxMetadata {
    builds: Vec<BuildxBuild>,
}

/// What it says about one build.
#[derive(Debug)]
struct BuildxBuild {
    /// The digests of its manifest or index, and of its config.
    digests: Vec<Digest>,
    /// The provenance, by its key in the document.
    provenance: BTreeMap<String, Result<Arc<Provenance>, ProvenanceError>>,
}

/// Provenance that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// It is not JSON, or not in BuildKit's format.
    #[error("it is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It names another image.
    #[error("it is for an image other than {0}")]
    OtherImage(Digest),
    /// It names images other than those that are measured.
    #[error("it is for other images")]
    OtherImages,
}

impl Provenance {
    /// Reads an attestation: an in-toto statement that is stored beside the image whose manifest has this digest.
    /// `None` if the statement is not provenance.
    ///
    /// # Errors
    /// [`ProvenanceError`], also if it names another image. One that names no image belongs to the image it is stored
    /// beside: BuildKit does not name an image without a name.
    pub fn of_statement(json: &[u8], manifest: &Digest) -> Result<Option<Provenance>, ProvenanceError> {
        let statement: Statement = serde_json::from_slice(json)?;
        if !PREDICATES.contains(&statement.predicate_type.as_str()) {
            return Ok(None);
        }
        let is_this = |subject: &StatementSubject| digest_of(&subject.digest).as_ref() == Some(manifest);
        if !statement.subject.is_empty() && !statement.subject.iter().any(is_this) {
            return Err(ProvenanceError::OtherImage(manifest.clone()));
        }
        Ok(Some(Provenance::of_predicate(statement.predicate)))
    }

    fn of_predicate(predicate: Predicate) -> Provenance {
        let Predicate { materials, invocation, build_config, metadata, build_definition, run_details } =
            predicate;
        let own = metadata.v02.or(run_details.metadata.v1).unwrap_or_default();
        let external = build_definition.external_parameters;
        let mut arguments = invocation.parameters.args;
        arguments.extend(external.request.args);
        let target = arguments.get("target").filter(|target| !target.is_empty()).cloned();
        let with_prefix = |prefix: &str| -> BTreeMap<String, String> {
            let named = arguments.iter();
            named
                .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone())))
                .collect()
        };
        let config = [invocation.config_source, external.config_source];
        let named = config.into_iter().find_map(|source| source.entry_point.or(source.path));
        let contexts = with_prefix("context:");
        let file = file_of_build(&own.source.infos, named.as_deref(), &contexts);
        let info = file.and_then(|file| own.source.infos.get(file));
        let text = info.and_then(text_of);
        let most = text.as_ref().map_or(usize::MAX, |text| text.lines().count());
        let is_there = |lines: &LineRange| lines.end_line as usize <= most;
        let images = materials.iter().chain(&build_definition.resolved_dependencies);
        let mut operations = build_config.llb_definition;
        operations.extend(build_definition.internal_parameters.build_config.llb_definition);
        let layers = own.layers.into_iter().filter_map(|(output, chains)| {
            let chain = chains.into_iter().next()?;
            Some((number(&output)?, chain.into_iter().map(|layer| layer.digest).collect()))
        });
        let locations = own.source.locations.into_iter();
        Provenance {
            file: path_of(named.or_else(|| info.and_then(|info| info.filename.clone())), &own.vcs),
            text,
            target,
            arguments: with_prefix("build-arg:"),
            contexts,
            images: images.filter_map(Material::of).collect(),
            chains: layers.collect(),
            lines: locations
                .filter_map(|(step, of)| Some((number(&step)?, of.lines(file?))))
                .map(|(step, lines)| (step, lines.into_iter().filter(is_there).collect::<Vec<_>>()))
                .filter(|(_, lines)| !lines.is_empty())
                .collect(),
            steps: Steps::of(&operations),
        }
    }

    /// The lines of each of an image's layers, by digest, lowest first. `None` for layers of a base image, and for
    /// those that it does not state: all of them with `mode=min`.
    pub fn lines_of(&self, layers: &[Option<Digest>]) -> Vec<Option<LineRange>> {
        let own = self.makers(layers).into_iter().map(|maker| maker.filter(|maker| !self.is_image(*maker)));
        let places: Vec<&[LineRange]> = own
            .map(|maker| maker.and_then(|maker| self.lines.get(&maker)).map_or(&[][..], Vec::as_slice))
            .collect();
        // An instruction comes after those that it builds on.
        let only = |places: &&[LineRange]| if let [lines] = places { Some(*lines) } else { None };
        let place = |at: usize| {
            let below = places[..at].iter().rev().find_map(only).map_or(0, |lines| lines.end_line);
            let above = places[at + 1..].iter().find_map(only).map_or(u32::MAX, |lines| lines.line);
            let mut fitting = places[at].iter().filter(|lines| lines.line > below && lines.end_line < above);
            only(&places[at]).or_else(|| fitting.next().filter(|_| fitting.next().is_none()).copied())
        };
        (0..places.len()).map(place).collect()
    }

    /// Whether it states which steps made these layers.
    pub fn tells_lines(&self, layers: &[Option<Digest>]) -> bool {
        !layers.is_empty() && !self.lines.is_empty() && self.makers(layers).iter().all(Option::is_some)
    }

    /// The images that the base image may be: that of the lowest step, if it states the steps, otherwise all that the
    /// build read.
    pub fn base_images(&self, layers: &[Option<Digest>]) -> Vec<&Material> {
        let lowest = self.makers(layers).first().copied().flatten();
        let images = self.images.iter().filter(|image| !image.is_frontend());
        match lowest.map(|lowest| self.steps.get(lowest)) {
            Some(Some(ProvenanceStep::Image(Some(digest)))) => {
                images.filter(|image| image.digest == *digest).collect()
            }
            Some(Some(ProvenanceStep::Image(None))) | None => images.collect(),
            Some(_) => Vec::new(),
        }
    }

    /// How many of the lowest of an image's layers are the base image's; `None` if it does not say.
    pub fn base_layers(&self, layers: &[Option<Digest>]) -> Option<u64> {
        let makers = self.makers(layers);
        if makers.iter().any(Option::is_none) {
            return None;
        }
        let from_image = |maker: &&Option<u64>| maker.is_some_and(|maker| self.is_image(maker));
        Some(makers.iter().take_while(from_image).count() as u64)
    }

    fn is_image(&self, step: u64) -> bool {
        matches!(self.steps.get(step), Some(ProvenanceStep::Image(_)))
    }

    /// The step that made each layer, from the graph of steps: layers may be equal, and BuildKit omits the layers of
    /// some steps, so digests alone are not enough. The digests that it states have to match, unless it compressed all
    /// layers anew for the image (eStargz).
    fn makers(&self, layers: &[Option<Digest>]) -> Vec<Option<u64>> {
        let unknown = || vec![None; layers.len()];
        let Some(makers) = self.steps.makers(layers.len()) else { return unknown() };
        let known: BTreeSet<&Digest> = layers.iter().flatten().collect();
        let is_repacked = !self.chains.values().flatten().any(|digest| known.contains(digest));
        let fits = |(maker, layer): (&u64, &Option<Digest>)| {
            let made = self.chains.get(maker).filter(|_| !is_repacked && !self.is_image(*maker));
            made.zip(layer.as_ref()).is_none_or(|(made, layer)| made.last() == Some(layer))
        };
        match makers.iter().zip(layers).all(fits) {
            true => makers.into_iter().map(Some).collect(),
            false => unknown(),
        }
    }
}

impl BuildxMetadata {
    /// Reads a document.
    ///
    /// # Errors
    /// [`ProvenanceError::Malformed`] if it is not such a document. Unusable provenance in it is an error only for the
    /// images that it is about.
    pub fn parse(json: &[u8]) -> Result<BuildxMetadata, ProvenanceError> {
        let document: BTreeMap<String, Value> = serde_json::from_slice(json)?;
        let is_build = |document: &BTreeMap<String, Value>| {
            METADATA_DIGESTS.iter().any(|name| document.contains_key(*name))
        };
        let builds = match is_build(&document) {
            true => vec![BuildxBuild::of(document)],
            false => {
                let objects = document.into_values().filter_map(|value| serde_json::from_value(value).ok());
                objects.filter(is_build).map(BuildxBuild::of).collect()
            }
        };
        Ok(BuildxMetadata { builds })
    }

    /// The provenance of the image whose manifest, index or config has one of these digests. `platform` selects among
    /// several. `None` if there is none for that image.
    ///
    /// # Errors
    /// [`ProvenanceError`], also if the document is about other images.
    pub fn provenance_of(
        &self,
        image: &[Digest],
        platform: Option<&str>,
    ) -> Result<Option<Arc<Provenance>>, &ProvenanceError> {
        const OTHER: &ProvenanceError = &ProvenanceError::OtherImages;
        let about = |build: &&BuildxBuild| build.digests.iter().any(|digest| image.contains(digest));
        let Some(build) = self.builds.iter().find(about) else {
            return if self.builds.is_empty() || image.is_empty() { Ok(None) } else { Err(OTHER) };
        };
        let of_platform = || build.provenance.get(&format!("{IN_METADATA}/{}", platform?));
        let found = build.provenance.get(IN_METADATA).or_else(of_platform);
        found.map(|found| found.as_ref().map(Arc::clone)).transpose()
    }
}

impl BuildxBuild {
    fn of(document: BTreeMap<String, Value>) -> BuildxBuild {
        let texts = METADATA_DIGESTS.iter().filter_map(|name| document.get(*name)?.as_str());
        let digests = texts.filter_map(|text| Digest::parse(text).ok()).collect();
        let read = |(name, value): (String, Value)| {
            let predicate = Predicate::deserialize(value).map_err(ProvenanceError::from);
            (name, predicate.map(|predicate| Arc::new(Provenance::of_predicate(predicate))))
        };
        let provenance = document.into_iter().filter(|(name, _)| name.starts_with(IN_METADATA));
        BuildxBuild { digests, provenance: provenance.map(read).collect() }
    }
}

impl Material {
    /// Reads a package URL such as `pkg:docker/mybase@1?platform=linux%2Famd64` (purl specification, type docker).
    fn of(raw: &RawMaterial) -> Option<Material> {
        let rest = raw.uri.strip_prefix("pkg:docker/")?;
        let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        // A version may be a digest or a tag.
        let name = match path.split_once('@') {
            Some((name, version)) if version.contains(':') => format!("{name}@{version}"),
            Some((name, tag)) => format!("{name}:{tag}"),
            None => path.into_owned(),
        };
        Some(Material { name, digest: digest_of(&raw.digest)? })
    }

    /// Whether it is the program that reads Dockerfiles, which `# syntax=` selects.
    fn is_frontend(&self) -> bool {
        let name = self.name.strip_prefix("docker.io/").unwrap_or(&self.name);
        ["docker/dockerfile:", "docker/dockerfile@", "docker/dockerfile-upstream"]
            .iter()
            .any(|frontend| name.starts_with(frontend))
    }
}

/// Which of the files was built. A bake target that builds on other targets has their files beside its own, or only
/// theirs if it adds no layer: its own is the one that names such a target. `None` if that is not certain.
fn file_of_build(infos: &[Info], named: Option<&str>, contexts: &BTreeMap<String, String>) -> Option<usize> {
    let linked = contexts.iter().filter(|(_, value)| value.starts_with("input:"));
    let linked: Vec<String> =
        linked.map(|(name, _)| plain_name(name.split("::").next().unwrap_or(name))).collect();
    if linked.is_empty() {
        return Some(0);
    }
    let builds_on = |info: &Info| {
        let dockerfile = text_of(info).and_then(|text| Dockerfile::parse(&text).ok());
        dockerfile.is_some_and(|dockerfile| {
            dockerfile.names_of_others().any(|name| linked.contains(&plain_name(name)))
        })
    };
    let is_it = |info: &Info| info.filename.as_deref() == named && builds_on(info);
    let mut fitting = (0..infos.len()).filter(|at| is_it(&infos[*at]));
    fitting.next().filter(|_| fitting.next().is_none())
}

fn text_of(info: &Info) -> Option<String> {
    let fits = info.data.len() / 4 * 3 <= MAX_BYTES + 3;
    String::from_utf8(STANDARD.decode(&info.data).ok().filter(|_| fits)?).ok()
}

/// The Dockerfile's path: below its directory in the repository, if the client stated that.
fn path_of(name: Option<String>, vcs: &BTreeMap<String, String>) -> Option<String> {
    let is_fit = |path: &str| {
        let is_below = |part: &str| !part.is_empty() && part != "..";
        path.len() <= MAX_PATH && path.split('/').all(is_below) && !path.contains(['\\', ':'])
    };
    let name = name.filter(|name| is_fit(name) && !name.chars().any(char::is_control))?;
    let directory = vcs.get("localdir:dockerfile").filter(|directory| is_fit(directory) && *directory != ".");
    let directory = directory.filter(|directory| !directory.chars().any(char::is_control));
    Some(directory.map_or_else(|| name.clone(), |directory| format!("{directory}/{name}")))
}

fn digest_of(digests: &BTreeMap<String, String>) -> Option<Digest> {
    digests.iter().find_map(|(algorithm, hex)| Digest::parse(&format!("{algorithm}:{hex}")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digest of the fixtures, found in the text by its first digits.
    fn digest(text: &str, start: &str) -> Digest {
        let at = text.find(&format!("sha256:{start}")).unwrap();
        Digest::parse(&text[at..at + 7 + 64]).unwrap()
    }

    fn statement(name: &str) -> String {
        std::fs::read_to_string(format!("tests/fixtures/provenance/{name}.json")).unwrap()
    }

    fn layers(text: &str, starts: &[&str]) -> Vec<Option<Digest>> {
        starts.iter().map(|start| Some(digest(text, start))).collect()
    }

    fn lines(provenance: &Provenance, layers: &[Option<Digest>]) -> Vec<Option<(u32, u32)>> {
        let lines = provenance.lines_of(layers);
        lines.into_iter().map(|lines| lines.map(|lines| (lines.line, lines.end_line))).collect()
    }

    /// The manifests of the fixtures.
    const APP: &str = "sha256:e95409f81500481b7d668c991eaf91365be44483743cb655186068a905d6611c";
    const APP_V1: &str = "sha256:9b9dd413b46659c326b1314a7a0056591fd5ab82e1aa28794c26c9ad3e4bef5a";
    const APP_LINES: [Option<(u32, u32)>; 4] = [None, Some((10, 11)), Some((12, 13)), Some((14, 14))];

    #[test]
    fn with_mode_max_each_layer_has_its_lines() {
        let dockerfile = std::fs::read_to_string("tests/fixtures/provenance/app.Dockerfile").unwrap();
        let (of, v1) = (Digest::parse(APP).unwrap(), Digest::parse(APP_V1).unwrap());
        for (name, image, starts) in [
            ("max", &of, ["a1c027eb", "963780a5", "79ba82ac", "c157a005"]),
            ("max-v1", &v1, ["99825925", "e8d9c65b", "87f6fbcc", "52fb4a86"]),
        ] {
            let text = statement(name);
            let provenance = Provenance::of_statement(text.as_bytes(), image).unwrap().unwrap();
            let layers = layers(&text, &starts);
            assert_eq!(lines(&provenance, &layers), APP_LINES, "{name}");
            assert_eq!(provenance.base_layers(&layers), Some(1), "{name}");
            assert_eq!(provenance.text.as_deref(), Some(dockerfile.as_str()), "{name}");
            assert_eq!(provenance.file.as_deref(), Some("Dockerfile"), "{name}");
            assert_eq!(provenance.images[0].name, "mybase:1", "{name}");
            let other = Provenance::of_statement(text.as_bytes(), layers[0].as_ref().unwrap());
            assert!(matches!(other, Err(ProvenanceError::OtherImage(_))), "{name}");
        }
    }

    #[test]
    fn what_named_contexts_stand_for_is_read() {
        // As BuildKit in Docker 26.1.5 writes it for `--build-context base=docker-image://mybase:1`.
        let args = r#"{"context:base":"docker-image://mybase:1","build-arg:A":"1"}"#;
        for text in [
            format!(r#"{{"invocation":{{"parameters":{{"args":{args}}}}}}}"#),
            format!(r#"{{"buildDefinition":{{"externalParameters":{{"request":{{"args":{args}}}}}}}}}"#),
        ] {
            let predicate: Predicate = serde_json::from_str(&text).unwrap();
            let provenance = Provenance::of_predicate(predicate);
            let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert_eq!(provenance.contexts, pair("base", "docker-image://mybase:1"), "{text}");
            assert_eq!(provenance.arguments, pair("A", "1"), "{text}");
        }
    }

    #[test]
    fn with_mode_min_it_names_the_base_image_and_no_lines() {
        let text = statement("min");
        let of = Digest::parse(APP).unwrap();
        let provenance = Provenance::of_statement(text.as_bytes(), &of).unwrap().unwrap();
        assert_eq!(provenance.lines_of(&[Some(of.clone())]), [None]);
        assert_eq!(provenance.base_layers(&[Some(of)]), None);
        let material = &provenance.images[0];
        assert_eq!(material.name, "mybase:1");
        assert!(material.digest.to_string().starts_with("sha256:207b924e"));
        assert_eq!(provenance.text, None);
    }

    #[test]
    fn layers_that_were_packed_anew_are_in_the_same_order() {
        let text = statement("stages-estargz");
        let provenance =
            Provenance::of_statement(text.as_bytes(), &digest(&text, "416be6f7")).unwrap().unwrap();
        let expected = [Some((2, 2)), Some((6, 6)), Some((7, 7)), Some((8, 8))];
        let made = layers(&text, &["416be6f7", "04cef855", "a24ecc80", "a56f109e"]);
        assert_eq!(lines(&provenance, &made), expected);
        let other = vec![Some(Digest::of(b"one")), None, Some(Digest::of(b"two")), None];
        assert_eq!(lines(&provenance, &other), expected);
        assert_eq!(lines(&provenance, &other[1..]), [None; 3], "it is of four layers");
        assert_eq!(provenance.base_layers(&made), Some(0));
    }

    #[test]
    fn a_metadata_file_is_of_the_image_that_it_names() {
        let text = statement("metadata");
        let index = digest(&text, "8aefa103");
        let parse = |text: &str| BuildxMetadata::parse(text.as_bytes()).unwrap();
        let file = parse(&text);
        let read = |of: &[Digest]| file.provenance_of(of, Some("linux/amd64"));
        let provenance = read(std::slice::from_ref(&index)).unwrap().unwrap();
        let layers = layers(&text, &["99825925", "e8d9c65b", "87f6fbcc", "52fb4a86"]);
        assert_eq!(lines(&provenance, &layers), APP_LINES);
        let bake = parse(&format!(r#"{{"app":{text},"other":{{}}}}"#));
        assert_eq!(bake.provenance_of(&[index], None).unwrap(), Some(provenance));
        assert!(matches!(read(&[Digest::of(b"other")]), Err(ProvenanceError::OtherImages)));
        assert!(matches!(parse("{}").provenance_of(&[Digest::of(b"")], None), Ok(None)));
        assert!(matches!(BuildxMetadata::parse(b"[]"), Err(ProvenanceError::Malformed(_))));
    }

    /// A build of bake's target `app`, as BuildKit in Docker 26.1.5 writes it: the files of the targets that it builds
    /// on come before its own, or alone. Each file is a name and a text whose last line is a `COPY`.
    fn linked(context: &str, files: &[(&str, &str)]) -> (Provenance, Vec<Option<Digest>>) {
        let layers: Vec<Digest> = files.iter().map(|(_, text)| Digest::of(text.as_bytes())).collect();
        let info = |(name, text): &(&str, &str)| serde_json::json!({ "filename": name, "data": STANDARD.encode(text) });
        let mut locations = serde_json::Map::new();
        let mut steps = Vec::new();
        for (at, (_, text)) in files.iter().enumerate() {
            let line = serde_json::json!({ "line": text.lines().count() });
            let place = serde_json::json!({ "sourceIndex": at, "ranges": [{ "start": line, "end": line }] });
            locations.insert(format!("step{at}"), serde_json::json!({ "locations": [place] }));
            let below: Vec<String> =
                at.checked_sub(1).map(|below| format!("step{below}:0")).into_iter().collect();
            let input = if at == 0 { -1 } else { 0 };
            let op = serde_json::json!({ "file": { "actions": [{ "input": input }] } });
            steps.push(serde_json::json!({ "id": format!("step{at}"), "inputs": below, "op": { "Op": op } }));
        }
        let last = format!("step{}:0", files.len() - 1);
        steps.push(serde_json::json!({ "id": "result", "inputs": [last], "op": { "Op": null } }));
        let infos: Vec<Value> = files.iter().map(info).collect();
        let predicate = serde_json::json!({
            "invocation": {
                "configSource": { "entryPoint": "Dockerfile" },
                "parameters": { "args": { (format!("context:{context}")): format!("input:0-{context}") } },
            },
            "buildConfig": { "llbDefinition": steps },
            "metadata": { "https://mobyproject.org/buildkit@v1#metadata": {
                "source": { "locations": locations, "infos": infos },
            } },
        });
        let provenance = Provenance::of_predicate(serde_json::from_value(predicate).unwrap());
        (provenance, layers.into_iter().map(Some).collect())
    }

    #[test]
    fn lines_are_those_of_the_file_that_was_built_and_not_of_one_that_it_builds_on() {
        const BASE: &str = "FROM scratch\n\nCOPY a /\n";
        const APP: &str = "FROM base\nCOPY b /\n";
        for name in ["base.Dockerfile", "Dockerfile"] {
            let (provenance, layers) = linked("base", &[(name, BASE), ("Dockerfile", APP)]);
            assert_eq!(lines(&provenance, &layers), [None, Some((2, 2))], "{name}");
            assert_eq!(provenance.text.as_deref(), Some(APP), "{name}");
        }
        let copies = "FROM debian\nCOPY --from=base /a /\n";
        let (provenance, layers) = linked("base", &[("Dockerfile", copies), ("Dockerfile", BASE)]);
        assert_eq!(lines(&provenance, &layers), [Some((2, 2)), None]);
        // It adds no layer, and its own file is missing.
        let named = "FROM scratch AS base\nFROM base\nCOPY a /\n";
        for (context, files) in [
            ("base", &[("Dockerfile", BASE)][..]),
            ("base", &[("Dockerfile", named)]),
            ("middle", &[("Dockerfile", BASE), ("Dockerfile", APP)]),
        ] {
            let (provenance, layers) = linked(context, files);
            assert!(!provenance.tells_lines(&layers), "{files:?}");
            assert_eq!(provenance.text, None, "{files:?}");
        }
    }

    #[test]
    fn lines_that_the_file_lacks_are_none() {
        let text = statement("max");
        let of = Digest::parse(APP).unwrap();
        let layers = layers(&text, &["a1c027eb", "963780a5", "79ba82ac", "c157a005"]);
        let short = STANDARD.encode("FROM mybase\nRUN one\n");
        let mut document: Value = serde_json::from_str(&text).unwrap();
        let own = &mut document["predicate"]["metadata"]["https://mobyproject.org/buildkit@v1#metadata"];
        own["source"]["infos"][0]["data"] = short.into();
        let provenance = Provenance::of_statement(document.to_string().as_bytes(), &of).unwrap().unwrap();
        assert_eq!(lines(&provenance, &layers), [None; 4]);
    }

    #[test]
    fn what_is_no_provenance_or_odd_breaks_nothing() {
        let of = Digest::of(b"image");
        let sbom = br#"{"predicateType":"https://spdx.dev/Document","predicate":{}}"#;
        assert!(matches!(Provenance::of_statement(sbom, &of), Ok(None)));
        let odd = br#"{"predicateType":"https://slsa.dev/provenance/v1","predicate":{"runDetails":{"metadata":{"buildkit_metadata":
            {"source":{"locations":{"step0":{"locations":[{"ranges":[{"start":{"line":0},"end":{"line":9}}]}]},"x":{}},
            "infos":[{"data":"%%"}]},"layers":{"step0:0":[],"nonsense":[[]]}}}}}}"#;
        let provenance = Provenance::of_statement(odd, &of).unwrap().unwrap();
        assert_eq!(provenance, Provenance::default());
        assert!(Provenance::of_statement(b"{", &of).is_err());
    }
}
