//! What to do about removable files by what the Dockerfile says of them.

use crate::dockerfile::{Copied, DockerfileFacts};
use crate::image::Removable;

/// The most places that an advice names.
const MAX_PATHS: usize = 3;

/// What to do instead about what came with a copy from another stage or image: it cannot be moved there, for it
/// is there already.
pub fn help_with_copy(found: &Removable, dockerfile: &DockerfileFacts) -> Option<String> {
    let place = found.source().dockerfile.as_ref()?;
    let is_it = |copy: &Copied| !copy.mount && copy.line == place.line;
    dockerfile.facts.copies.iter().find(|copy| is_it(copy))?;
    // Of packages that are installed for development, the stage that installs them knows better.
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
