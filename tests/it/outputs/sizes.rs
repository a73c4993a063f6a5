//! How large a comment and a step summary get: GitHub refuses both as a whole where they are too large.

use crate::security::untrusted::{Step, assert_only_ours, render};
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::{FakeLayer, Item, oci_layout, tar_of};

const IMAGES: usize = 60;
const LAYERS: usize = 40;
/// GitHub Actions, "Adding a job summary".
const MOST_OF_A_SUMMARY: usize = 1 << 20;

/// A step of a Dockerfile of two hundred characters.
fn command(layer: usize) -> String {
    let start = format!("RUN make target-{layer:02}");
    (0..30).map(|number| format!(" --option-{number}=value")).fold(start, |text, more| text + &more)[..200]
        .to_owned()
}

/// An image all of whose layers have another size than in one of another factor.
fn image(step: &Step, name: &str, factor: u64) -> String {
    let layer = |index: usize| {
        let path = format!("opt/part-{index:02}/file");
        FakeLayer::gzip(&tar_of(&[Item::File(&path, factor * (1000 + index as u64))]), &command(index))
    };
    let layers: Vec<FakeLayer> = (0..LAYERS).map(layer).collect();
    oci_layout(&step.path(name), &layers).display().to_string()
}

/// Sixty images that fail, each named by its place in the table. The names of an action's input are on lines.
fn images(path: &str, order: impl Iterator<Item = usize>) -> String {
    order.map(|index| format!("image-{index:02}={path}")).collect::<Vec<_>>().join("\n")
}

/// The images, by their numbers, of whose details a comment has the part with this title.
fn detailed(body: &str, title: &str) -> Vec<usize> {
    let has = |index: &usize| {
        let opening = format!("<summary><code>image-{index:02}</code> details");
        let details = body.split_once(&opening).map(|(_, after)| after.split("</details>").next());
        details.flatten().is_some_and(|details| details.contains(&format!("**{title}**")))
    };
    (0..IMAGES).filter(has).collect()
}

#[test]
fn sixty_images_of_forty_changed_layers_fit() {
    assert_eq!(command(7).len(), 200);
    let (step, github) = (Step::new(), FakeGithub::start());
    let (base, head) = (image(&step, "base", 1), image(&step, "head", 3));
    let base = images(&base, 0..IMAGES);
    let check = |order: &str| {
        github.world().comments.clear();
        let check = ["check", order, "--baseline", &base, "--max-increase", "5%"];
        step.run(Some(&github), &[&check[..], &["--comment", "always"]].concat()).expect(1);
        let [body] = github.bodies_of(BOT).try_into().unwrap();
        (body, step.read("summary"))
    };
    let (body, summary) = check(&images(&head, 0..IMAGES));
    assert!(body.len() <= 60_000, "{} bytes", body.len());
    assert!(body.len() > 55_000, "what there is room for is shown: {} bytes", body.len());
    assert!(summary.len() <= MOST_OF_A_SUMMARY, "{} bytes", summary.len());

    // Whole blocks go, and that is said.
    for text in [&body[body.find("-->\n").unwrap() + 4..], &summary] {
        assert_only_ours(text);
        assert!(text.contains("60 of 60 images fail"));
        let html = render(text);
        let above = html.split("<details>").next().unwrap();
        assert_eq!(above.matches("<table>").count(), 1, "each is in details, but the first");
        assert!(html.matches("<table>").count() > 1);
        let first = html.split("</table>").next().unwrap();
        assert_eq!(first.matches("<tr>").count(), IMAGES + 1, "the table of images is whole");
    }
    assert!(body.contains("Some details are left out to keep this short"));

    // Findings and causes come before layers, layers before files, and images in the order of the table.
    assert_eq!(body.matches("**max-increase**:").count(), IMAGES);
    assert_eq!(body.matches("**Causes**: ").count(), IMAGES);
    for title in ["Layers", "Files"] {
        let kept = detailed(&body, title);
        assert!(!kept.is_empty() && kept.len() < IMAGES, "{title}: {kept:?}");
        assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>(), "those of the first images are kept");
        assert_eq!(detailed(&summary, title).len(), IMAGES, "the summary has room for all");
    }

    // In whatever order they are named.
    let (other, _) = check(&images(&head, (0..IMAGES).rev()));
    let text = |body: &str| body[body.find("-->\n").unwrap()..].to_owned();
    assert_eq!(text(&body), text(&other));
}
