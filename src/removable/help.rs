//! Advice about removable files that depends on the Dockerfile.

use crate::dockerfile::{Copied, DockerfileFacts};
use crate::image::Removable;

/// Maximum places that an advice names.
const MAX_PATHS: usize = 3;

/// Advice for files that were copied from another stage or image: they cannot be moved to a builder stage, because they
/// already come from elsewhere.
pub fn help_with_copy(found: &Removable, dockerfile: &DockerfileFacts) -> Option<String> {
    let place = found.source().dockerfile.as_ref()?;
    let is_it = |copy: &Copied| !copy.mount && copy.line == place.line;
    dockerfile.facts.copies.iter().find(|copy| is_it(copy))?;
    // For development packages, the stage that installs them has to change.
    if found.kind.ends_with("dev-dependencies") {
        let place = place.to_string();
        return Some(found.help.replace(&place, &format!("the stage that {place} copies from")));
    }
    let paths: Vec<String> = found.paths.iter().take(MAX_PATHS).map(|path| format!("/{path}")).collect();
    Some(format!(
        "in {place}, copy only the files that run, without {} ({}); move what needs those to a builder stage",
        found.what,
        paths.join(", ")
    ))
}
