//! The first `layergate.toml`: limits that hold today.

use super::CheckedImage;
use super::quote::{fill, quoted};
use crate::limits;

const TEMPLATE: &str = include_str!("templates/layergate.toml");

/// The measurement of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMeasurement {
    /// The image's name.
    pub name: String,
    /// Its uncompressed size in bytes, if known.
    pub size: Option<u64>,
    /// Whether it passes `multi-stage = "require"`.
    pub staged: bool,
}

/// The text of the file.
pub fn configuration(images: &[CheckedImage], measured: &[ImageMeasurement]) -> String {
    let size_of = |image: &CheckedImage| measured.iter().find(|one| one.name == image.name);
    let all_staged =
        !images.is_empty() && images.iter().all(|image| size_of(image).is_some_and(|one| one.staged));
    let multi_stage = if all_staged { "require" } else { "warn" };
    let values = [("multi-stage", multi_stage.to_owned()), ("more", other_limits())];
    let mut out = fill(TEMPLATE, &values);
    let is_plain = |text: &&String| !text.contains("${{");
    for image in images.iter().filter(|image| is_plain(&&image.name)) {
        let keys = [("dockerfile", &image.dockerfile), ("target", &image.target)];
        let given = keys.into_iter().filter_map(|(key, value)| Some((key, value.as_ref().filter(is_plain)?)));
        let mut lines: Vec<String> = given.map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
        lines.extend(
            size_of(image)
                .and_then(|one| one.size)
                .map(|size| format!("max-size = \"{}\" # {size} bytes when this was written", above(size))),
        );
        if !lines.is_empty() {
            let is_bare = image.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            let name = if is_bare { image.name.clone() } else { quoted(&image.name) };
            out += &format!("\n[images.{name}]\n{}\n", lines.join("\n"));
        }
    }
    out
}

/// Every limit that the template does not set, commented out, with an example.
fn other_limits() -> String {
    let is_set = |name: &str| TEMPLATE.lines().any(|line| line.starts_with(&format!("{name} = ")));
    let others = limits::LIMITS.iter().filter(|limit| !is_set(limit.key.name));
    others.map(|limit| format!("# {}", limit.key.toml_example())).collect::<Vec<_>>().join("\n")
}

/// A size with a tenth of room above it, in round decimal units.
fn above(bytes: u64) -> String {
    let wanted = bytes.saturating_add(bytes / 10).saturating_add(1);
    let (unit, name) = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")]
        .into_iter()
        .find(|(unit, _)| wanted >= 10 * unit)
        .unwrap_or((1, "B"));
    format!("{} {name}", wanted.div_ceil(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_what_was_measured() {
        for (bytes, expected) in
            [(0, "1 B"), (5_000, "5501 B"), (1_385_083_642, "1524 MB"), (60_000_000_000, "67 GB")]
        {
            assert_eq!(above(bytes), expected);
        }
        let image = |name: &str| CheckedImage {
            name: name.into(),
            dockerfile: Some("a\"b/Dockerfile".into()),
            target: None,
        };
        let measured = [ImageMeasurement { name: "x".into(), size: Some(70_000_000), staged: true }];
        let text = configuration(&[image("x")], &measured);
        assert!(
            text.contains("multi-stage = \"require\"") && text.contains("max-size = \"78 MB\""),
            "{text}"
        );
        let text = configuration(&[image("x"), image("y"), image("${{ matrix.z }}")], &measured);
        assert!(text.contains("multi-stage = \"warn\"") && !text.contains("matrix"), "{text}");
        crate::config::Config::parse("layergate.toml", &text).unwrap();
        // Commented-out limits must be valid as they are.
        let text = text
            .replace("\n# max-", "\nmax-")
            .replace("\n# warn-", "\nwarn-")
            .replace("\n# forbid-", "\nforbid-");
        crate::config::Config::parse("layergate.toml", &text).unwrap();
        for limit in limits::LIMITS {
            assert!(text.contains(&format!("\n{} = ", limit.key.name)), "{}", limit.key.name);
        }
    }
}
