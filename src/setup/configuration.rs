//! The configuration that is written: few limits, all others to choose from, and each line explained.

use super::quote::{comment, toml};
use super::{By, Image, Plan, WORKFLOW};
use crate::report::escape::short_path;

/// What can be limited besides, each with a value to start from.
const OTHERS: [(&str, &str, &str); 9] = [
    (
        "metric",
        "\"compressed\"",
        "Which size is judged: \"unpacked\" (where nothing is said), \"compressed\" (what a pull downloads) or \"visible\".",
    ),
    ("max-size", "\"500 MB\"", "The most that an image may have. MB is 10^6 bytes, MiB is 2^20."),
    ("warn-increase", "\"1%\"", "Growth that is worth a warning, which fails nothing."),
    (
        "max-own-increase",
        "\"10 MB\"",
        "As max-increase, for your own layers: growth of the base image is left out.",
    ),
    ("max-layers", "40", "The most layers."),
    ("max-layer-size", "\"200 MB\"", "The most that one layer may have."),
    (
        "max-wasted",
        "\"5%\"",
        "The most that may be shipped and not be reachable, because a later layer replaces or deletes it.",
    ),
    ("max-build-only", "\"20 MB\"", "The most of what only the build needed: compilers, headers, caches."),
    ("forbid-paths", "[\"**/.git\", \"root/.cache/**\"]", "Files that must not be in any layer."),
];

/// The text of `layergate.toml`.
pub fn configuration(plan: &Plan) -> String {
    let mut out = comment(
        0,
        &format!(
            "What images may have and how much they may grow, for layergate, which {WORKFLOW} runs. Made by `layergate init` to start from; change what you like. `layergate check` on your machine reads this file too."
        ),
    );
    limits(plan, &mut out);
    for image in &plan.images {
        section(image, plan, &mut out);
    }
    out += "\n[accept]\n";
    out += &comment(
        0,
        "Growth that is meant to be: this label on the pull request turns its failure into \"accepted\" when the check is run again. The comment says who has set it. Whoever may set labels may accept.",
    );
    out += "labels = [\"size-ok\"]\n";
    out += &comment(
        0,
        "A line such as \"Image-Size-Accept: the new model\" in a commit's message does the same.",
    );
    out += "# trailer = \"Image-Size-Accept\"\n";
    out += &comment(0, "The most growth that can be accepted at all.");
    out + "# max-increase = \"50 MB\"\n"
}

fn limits(plan: &Plan, out: &mut String) {
    out.push_str("\n[limits]\n");
    out.push_str(&comment(0, "A change fails if it makes an image more than 5% larger and adds more than 1 MiB. With \"or\", either is enough."));
    out.push_str("max-increase = \"5% and 1 MiB\"\n");
    let staged = plan.images.iter().all(|image| image.staged);
    let (value, text) = if staged {
        (
            "require",
            "Images have to be built in several stages, so that what only the build needs is not shipped: your Dockerfiles do that now. \"warn\" only says it, \"off\" does not look.",
        )
    } else {
        (
            "warn",
            "Says where an image ships what only its build needed, which building in several stages avoids. \"require\" makes that a failure, \"off\" does not look. `layergate stages` tells where you are.",
        )
    };
    out.push_str(&comment(0, text));
    out.push_str(&format!("multi-stage = \"{value}\"\n"));
    out.push_str(&comment(0, "A pull request whose target branch has no recorded size yet, as the very first one, is no failure. \"fail\" makes it one."));
    out.push_str("on-missing-baseline = \"warn\"\n");
    out.push_str("\n# More limits; take away the # before those that you want.\n");
    for (key, value, text) in OTHERS {
        out.push_str(&comment(0, text));
        out.push_str(&format!("# {key} = {value}\n"));
    }
}

/// How an image is built, which says which line of the Dockerfile made which layer.
fn section(image: &Image, plan: &Plan, out: &mut String) {
    let build = &image.build;
    let origin = short_path(&build.origin, 60);
    let by = match &build.by {
        By::Compose { service, .. } => format!("The service {service} of {origin}."),
        By::Bake { target, .. } => format!("The target {target} of {origin}."),
        By::Docker if build.dockerfile.as_deref() == Some(&build.origin) => format!("The image of {origin}."),
        By::Docker => format!("An image that {origin} builds."),
    };
    out.push('\n');
    out.push_str(&comment(0, &format!("{by} Limits that are written here count for this image alone.")));
    // A name has small letters, digits and hyphens alone.
    out.push_str(&format!("[images.{}]\n", image.name));
    if let Some(dockerfile) = &build.dockerfile {
        out.push_str(&comment(0, "Its Dockerfile: reports name the line that made a layer."));
        out.push_str(&format!("dockerfile = {}\n", toml(dockerfile)));
    }
    if let Some(target) = &build.target {
        out.push_str(&comment(0, "The stage that is built."));
        out.push_str(&format!("target = {}\n", toml(target)));
    }
    let arguments: Vec<String> =
        super::workflow::arguments(build).map(|(name, value)| toml(&format!("{name}={value}"))).collect();
    if !arguments.is_empty() {
        out.push_str(&comment(0, "What the build is given; the workflow gives it the same."));
        out.push_str(&format!("build-args = [{}]\n", arguments.join(", ")));
    }
    if image.staged && !plan.images.iter().all(|image| image.staged) {
        out.push_str(&comment(0, "This one is built in several stages; it stays so."));
        out.push_str("multi-stage = \"require\"\n");
    }
}
