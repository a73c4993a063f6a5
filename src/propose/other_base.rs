//! What is needed to build the final stage on another image than the build's: what that image had, and the other lacks.

use super::context::{BuildContext, Maker};
use super::entry::StartCommands;
use super::quote::{copy_path, listed};
use super::steps::BuildStep;
use super::tree::{PathKind, name_of, parent_of};
use super::{RuntimeImage, base};
use crate::image::{Bytes, Snapshot};

/// Where programs are found in every image.
const USUAL_PATH: [&[u8]; 6] =
    [b"usr/local/sbin", b"usr/local/bin", b"usr/sbin", b"usr/bin", b"sbin", b"bin"];

/// Another image for the final stage.
pub(super) struct OtherBase<'w, 'a> {
    pub context: &'w BuildContext<'a>,
    pub other: RuntimeImage<'a>,
}

impl OtherBase<'_, '_> {
    /// What the other base image needs that the build's had.
    pub fn extra(&self, entry: &StartCommands) -> Extra {
        let (mut extra, other) = (Extra::default(), &self.other);
        let is_set = |keyword: &str| {
            self.context.steps.iter().any(|step| {
                step.instruction.keyword == keyword
                    && (keyword != "WORKDIR" || step.instruction.arguments.starts_with('/'))
            })
        };
        if !is_set("WORKDIR")
            && let Some(path) = self
                .context
                .of_base("WORKDIR")
                .and_then(|path| copy_path(path.trim_start_matches('/').as_bytes()))
        {
            extra.first.push(format!("WORKDIR {path}"));
        }
        if let Some(line) = self.search_path(entry) {
            extra.first.push(line);
        }
        self.certificates(&mut extra);
        self.libraries_of_compiler(&mut extra);
        if !entry.is_known() {
            extra.unsure.push("the Dockerfile sets no CMD or ENTRYPOINT, so the base image's applies".into());
        }
        match other.snapshot.map(|snapshot| base::same_distribution(snapshot, self.context.inputs.snapshot)) {
            None | Some(Some(true)) => {}
            Some(_) => {
                extra.unsure.push(format!("{} may have a different C library from the builder's", other.name))
            }
        }
        extra
    }

    /// A program that is called by name is looked up in its own base image's search path.
    fn search_path(&self, entry: &StartCommands) -> Option<String> {
        let program = entry.program().filter(|program| !program.contains('/'))?;
        let sets_path = |step: &BuildStep<'_>| {
            step.instruction.keyword == "ENV" && step.instruction.text.contains("PATH")
        };
        if self.context.steps.iter().any(sets_path) {
            return None;
        }
        let nodes = entry.named.iter().map(|node| &self.context.tree.nodes[*node]);
        let mut programs = nodes.filter(|node| {
            matches!(node.what, PathKind::File(_) | PathKind::Symlink)
                && name_of(node.path) == program.as_bytes()
        });
        let directory = parent_of(programs.next()?.path);
        let is_usual = USUAL_PATH.contains(&directory) || directory.ends_with(b".bin");
        let directory = copy_path(directory).filter(|_| !is_usual)?;
        Some(format!("ENV PATH={directory}:$PATH"))
    }

    /// A plain distribution has no CA certificates, but a toolchain image does.
    fn certificates(&self, extra: &mut Extra) {
        let path = b"etc/ssl/certs/ca-certificates.crt";
        let Some(node) = self.context.tree.find(path).map(|node| &self.context.tree.nodes[node]) else {
            return;
        };
        let PathKind::File(file) = node.what else { return };
        if self.context.maker(node.layer) != Maker::Base
            || self.other.snapshot.is_none_or(|snapshot| has_file(snapshot, path))
        {
            return;
        }
        extra.lines.push("COPY --from={builder} /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/".into());
        let size = self.context.filesystem.existing_at(file as usize).map_or(0, |file| file.size.0);
        extra.bytes = Bytes(extra.bytes.0 + size);
    }

    /// The consequences of building on an image that contains less.
    pub fn less(&self, has_modules: bool) -> String {
        let had = self.context.base_name().unwrap_or("the base image");
        let libraries = if has_modules { self.missing_libraries() } else { Vec::new() };
        let name = self.other.name;
        if libraries.is_empty() {
            return format!(
                "{name} contains less than {had}: install what the program runs or loads in the final stage"
            );
        }
        let missing = listed(libraries.iter().map(String::as_str));
        format!(
            "{name} lacks these libraries of {had}: {missing}; in the final stage, install those that compiled modules load"
        )
    }

    /// Libraries that the build's base image has and the other lacks.
    fn missing_libraries(&self) -> Vec<String> {
        let packages = |snapshot: &'_ Snapshot| snapshot.packages.as_deref().unwrap_or_default().to_vec();
        let there = self.other.snapshot.map(packages).unwrap_or_default();
        let catalogue = self.context.inputs.catalogue;
        let mut missing = packages(self.context.inputs.snapshot);
        missing.retain(|package| {
            package.layer < u64::from(self.context.base_layers)
                && package.ecosystem.is_system()
                && package.name.starts_with("lib")
                && catalogue.kind_of_package(package.ecosystem, &package.name).is_none()
                && !there.iter().any(|other| other.name == package.name)
        });
        missing.into_iter().map(|package| package.name).collect()
    }

    /// The gcc images have newer C++ libraries than the distribution that they are built on.
    fn libraries_of_compiler(&self, extra: &mut Extra) {
        let tree = &self.context.tree;
        let is_there = |name: &&&str| tree.find(format!("usr/local/lib64/{name}").as_bytes()).is_some();
        let is_cpp =
            |path: &[u8]| [b".cpp" as &[u8], b".cc", b".cxx", b".hpp"].iter().any(|end| path.ends_with(end));
        let is_own = |layer: u32| matches!(self.context.maker(layer), Maker::Builder(_));
        if !tree.nodes.iter().any(|node| is_own(node.layer) && is_cpp(node.path)) {
            return;
        }
        let names: Vec<&&str> = ["libstdc++.so.6", "libgcc_s.so.1"].iter().filter(is_there).collect();
        if names.is_empty() {
            return;
        }
        let paths: Vec<String> = names.iter().map(|name| format!("/usr/local/lib64/{name}")).collect();
        extra.lines.push(format!("COPY --from={{builder}} {} /usr/local/lib/", paths.join(" ")));
        extra.has_libraries = true;
        // Copying a link by its name copies the file that it leads to.
        for name in names {
            let start = format!("usr/local/lib64/{name}");
            let sizes =
                self.context.filesystem.existing().filter(|file| {
                    file.path.0.starts_with(start.as_bytes()) && !file.path.0.ends_with(b".py")
                });
            extra.bytes = Bytes(extra.bytes.0 + sizes.map(|file| file.size.0).max().unwrap_or(0));
        }
    }
}

/// What is only necessary for another base image.
#[derive(Default)]
pub(super) struct Extra {
    /// Lines directly after `FROM`.
    pub first: Vec<String>,
    /// Lines before the copies.
    pub lines: Vec<String>,
    pub bytes: Bytes,
    pub unsure: Vec<String>,
    /// Whether libraries are copied.
    pub has_libraries: bool,
}

fn has_file(snapshot: &Snapshot, path: &[u8]) -> bool {
    let file_lists = snapshot.layers.iter().filter_map(|layer| layer.file_list.as_deref());
    file_lists
        .into_iter()
        .flat_map(|file_list| &file_list.entries)
        .any(|entry| matches!(entry, crate::image::Entry::File(..)) && entry.path().as_bytes() == path)
}
