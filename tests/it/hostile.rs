//! Text from images is hostile. Rendered as GitHub would, it is text and nothing else; in a log it
//! is no command.

use std::fs;
use std::path::Path;

use comrak::{Options, markdown_to_html};

use crate::support::{FakeLayer, Item, Run, fixture, layergate, oci_layout, run, tar_of};

/// What a Dockerfile, a path or a label may hold to become more than text.
const STRINGS: [&str; 41] = [
    ":tada:",
    "a | b",
    "a || b |",
    "| --- | --- |",
    "`code`",
    "``two``",
    "``` fence",
    "` | `",
    "a \\| b",
    "\\",
    "x\\`y",
    "line\none",
    "line\r\ntwo",
    "\n\n# heading",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- layergate key=default sha=x -->",
    "-->",
    "</code></summary></details>",
    "&lt;b&gt; &amp; &#64;team",
    "@team",
    "@acme/owners please",
    "#1",
    "acme/shop#1",
    "GH-1",
    "0123456789abcdef0123456789abcdef01234567",
    "https://evil.example/x",
    "http://evil.example|x",
    "www.evil.example",
    "www.evil.example | x",
    "mallory@evil.example | x",
    "[link](https://evil.example)",
    "[link](https://evil.example) | `x`",
    "![image](https://evil.example/x.png)",
    "[^1]: footnote [^1]",
    "- [ ] task",
    "$x^2$ | $`y`$",
    "::error::broken",
    "##[error]broken",
    "\u{1b}[31mred\u{202e}desrever\u{200b}",
];

/// An image with one layer for each string, made by an instruction and with a file named by it.
fn hostile_image(directory: &Path, size: u64) -> String {
    let layer = |(index, text): (usize, &&str)| {
        let name = text.replace('\0', "");
        let path = format!("{index}/{name}");
        let created_by = if index % 2 == 0 { format!("RUN echo {text}") } else { (*text).to_owned() };
        FakeLayer::gzip(&tar_of(&[Item::File(&path, size + index as u64)]), &created_by)
    };
    let layers: Vec<FakeLayer> = STRINGS.iter().enumerate().map(layer).collect();
    oci_layout(directory, &layers).display().to_string()
}

fn render(markdown: &str) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.math_dollars = true;
    options.render.r#unsafe = true;
    markdown_to_html(markdown, &options)
}

/// The names of all tags, and the text outside of `<code>`.
fn tags_and_prose(html: &str) -> (Vec<String>, String) {
    let (mut tags, mut prose, mut in_code) = (Vec::new(), String::new(), false);
    for piece in html.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
        if name == "code" {
            in_code = !tag.starts_with('/');
        }
        tags.push(tag.split(" align=").next().unwrap_or(tag).to_owned());
        if !in_code {
            prose.push_str(text);
        }
    }
    (tags, prose)
}

fn assert_only_ours(markdown: &str) {
    let html = render(markdown);
    let (tags, prose) = tags_and_prose(&html);
    let ours = [
        "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "strong", "details", "summary",
        "sub", "ul", "li",
    ];
    for tag in &tags {
        assert!(ours.contains(&tag.trim_start_matches('/')), "<{tag}> in\n{html}");
    }
    for reference in ["#1", "GH-1", "acme/shop#", "0123456789abcdef", ":tada:"] {
        assert!(!prose.contains(reference), "{reference} outside of code in\n{prose}");
    }
    let mention = prose
        .match_indices('@')
        .any(|(at, _)| prose[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric()));
    assert!(!mention, "a mention in\n{prose}");
    assert!(!prose.contains("evil.example"), "an address outside of code in\n{prose}");
    for row in html.split("<tr>").skip(1).map(|row| row.split("</tr>").next().unwrap()) {
        let cells = row.matches("<td").count() + row.matches("<th").count();
        assert!([2, 3, 4, 5, 7].contains(&cells), "{row}");
    }
}

/// The text of every `<code>`, as a reader sees it.
fn shown_code(html: &str) -> Vec<String> {
    let piece = |piece: &str| {
        let text = piece.split("</code>").next().unwrap_or_default();
        let text =
            text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        text.replace('\u{200b}', "")
    };
    html.split("<code>").skip(1).map(piece).collect()
}

/// What a reader should see of a string: one line, controls made visible.
fn expected(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let visible = |c: char| match c {
        '\u{1b}' => '\u{241b}',
        '\u{202e}' | '\u{200b}' => '\u{fffd}',
        c => c,
    };
    one_line.chars().map(visible).collect()
}

#[test]
fn rendered_as_github_would_hostile_text_is_text() {
    let directory = tempfile::tempdir().unwrap();
    let base = hostile_image(&directory.path().join("base"), 1000);
    let head = hostile_image(&directory.path().join("head"), 3000);
    let markdown = run(&["diff", "--format", "markdown", &base, &head]).expect(0).stdout;
    assert_only_ours(&markdown);
    let shown = shown_code(&render(&markdown));
    for (index, text) in STRINGS.iter().enumerate() {
        // A text that says it is nothing has no instruction to show.
        let text = expected(text);
        let text = if index % 2 == 0 { format!("RUN echo {text}") } else { text };
        assert!(shown.iter().any(|code| code == &text), "{text:?} is not shown whole in\n{shown:#?}");
    }
    let inspect = run(&["inspect", "--format", "markdown", &head]).expect(0).stdout;
    assert_only_ours(&inspect);
}

#[test]
fn the_summary_the_log_and_the_outputs_are_as_safe() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let base = hostile_image(&file("base"), 1000);
    let head = hostile_image(&file("head"), 3000);
    let store = format!("dir:{}", file("store").display());
    run(&["record", &format!("app={base}"), "--store", &store]).expect(0);
    for format in ["text", "markdown", "json"] {
        let mut check = layergate();
        check.args(["check", &format!("app={head}"), "--store", &store, "--format", format]);
        check.args(["--max-increase", "5%", "--max-layer-size", "100 B", "--max-layers", "3"]);
        check.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", file("output"));
        check.env("GITHUB_STEP_SUMMARY", file("summary")).env("RUNNER_TEMP", directory.path());
        let _ = fs::remove_file(file("output"));
        let run = Run::of(&mut check).expect(1);
        assert_only_ours(&fs::read_to_string(file("summary")).unwrap());
        assert_no_foreign_command(&run);
        if format == "json" {
            let text = run.json().to_string();
            assert!(text.contains("##[error]broken"), "what the document says is what it said");
        }
    }
    let output = fs::read_to_string(file("output")).unwrap();
    let keys: Vec<&str> =
        output.lines().filter_map(|line| line.split_once("<<").map(|(key, _)| key)).collect();
    assert_eq!(keys, ["verdict", "size", "base-size", "delta", "delta-percent", "report", "comment-url"]);
}

/// The runner takes a command at the start of a line, and the old form anywhere in one.
fn assert_no_foreign_command(run: &Run) {
    let ours = ["::error title=layergate", "::warning title=layergate"];
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        let line = line.trim_start();
        assert!(!line.starts_with("::") || ours.iter().any(|own| line.starts_with(own)), "{line}");
        assert!(!line.contains("##["), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

#[test]
fn a_record_cannot_say_more_than_a_label() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let (flag, sha) = (format!("dir:{}", store.display()), "f".repeat(40));
    run(&["record", &format!("web={}", fixture("demo/web-v1.tar")), "--store", &flag, "--commit", &sha])
        .expect(0);
    let record = store.join("records").join(&sha).join("web/linux%2famd64.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    for text in STRINGS.iter().map(|text| (*text).to_owned()).chain(["x".repeat(70_000)]) {
        document["commit"]["ref"] = format!("refs/heads/{text}").into();
        fs::write(&record, document.to_string()).unwrap();
        let image = format!("web={}", fixture("demo/web-v2.tar"));
        let check = ["check", &image, "--store", &flag, "--base-commit", &sha, "--format", "markdown"];
        let markdown = run(&check).expect(0).stdout;
        assert_only_ours(&markdown);
        assert!(markdown.len() < 3000, "{} bytes", markdown.len());
    }
}

#[test]
fn an_image_may_be_called_anything() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a|b", "`x`", "@team", "<b>", "..", "a b"] {
        let path = directory.path().join(format!("{name}.tar"));
        fs::copy(fixture("demo/web-v1.tar"), &path).unwrap();
        let store = format!("dir:{}", directory.path().join("store").display());
        let path = path.display().to_string();
        run(&["record", &path, "--store", &store]).expect(0);
        let check = ["check", &path, "--store", &store, "--max-increase", "1%", "--format", "markdown"];
        let markdown = run(&check).expect(0).stdout;
        assert_only_ours(&markdown);
        assert!(shown_code(&render(&markdown)).contains(&name.to_owned()), "{markdown}");
    }
}

#[test]
fn a_report_of_many_images_fits_the_comment() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", directory.path().join("store").display());
    let base = hostile_image(&directory.path().join("base"), 1000);
    let head = hostile_image(&directory.path().join("head"), 3000);
    let images =
        |path: &str| (0..60).map(|index| format!("image-{index}={path}")).collect::<Vec<_>>().join("\n");
    run(&["record", &images(&base), "--store", &store]).expect(0);
    let check = ["check", &images(&head), "--store", &store, "--max-increase", "5%", "--format", "markdown"];
    let markdown = run(&check).expect(1).stdout;
    assert!(markdown.len() <= 60_000, "{} bytes", markdown.len());
    assert!(markdown.len() > 40_000, "the budget is used: {} bytes", markdown.len());
    assert_only_ours(&markdown);
    assert!(markdown.contains("60 of 60 images fail") && markdown.contains("Some details are left out"));
    let html = render(&markdown);
    assert_eq!(
        html.matches("<details>").count(),
        html.matches("</details>").count(),
        "blocks are dropped whole"
    );
}
