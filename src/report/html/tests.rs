use serde_json::Value;

use super::*;
use crate::analysis::Analysis;
use crate::image::snapshot::{ImageIdentity, SourceInfo};
use crate::image::{Bytes, Entry, FileList, Layer, Measured, Snapshot};
use crate::report::ImageReport;

const UNTRUSTED: &str = "</script><script>alert(1)</script><!--&\u{2028}\"\\\u{202e}";

fn snapshot(name: &str) -> Snapshot {
    let files = FileList {
        entries: vec![Entry::File(format!("a/{name}").as_str().into(), Bytes(7))],
        ..FileList::default()
    };
    let image = ImageIdentity { name: name.to_owned(), reference: name.to_owned(), platform: None, id: None };
    let source = SourceInfo { transport: "dir".into(), engine: None };
    Snapshot::new(image, source, Measured::Content, Some(Bytes(7)), vec![Layer::made_up(0, files)])
}

fn page(name: &str) -> String {
    let image = Analysis::from(snapshot(name));
    let details = [Details::of(&image, None, &mut 10)];
    let report = Report::new(None, vec![ImageReport::added(&image)]);
    let mut out = Vec::new();
    write(&report, PageSubject::Image, &details, None, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn element<'a>(page: &'a str, id: &str) -> &'a str {
    let start = format!("<script type=\"application/json\" id=\"{id}\">");
    let from = page.find(&start).unwrap() + start.len();
    &page[from..from + page[from..].find("</script>").unwrap()]
}

#[test]
fn no_text_ends_the_element_that_holds_it() {
    let (page, plain) = (page(UNTRUSTED), page("plain"));
    for mark in ["<script", "</script>", "<!--"] {
        assert_eq!(page.matches(mark).count(), plain.matches(mark).count(), "{mark}");
    }
    let data: Value = serde_json::from_str(element(&page, "data")).unwrap();
    assert_eq!(data["images"][0]["name"], UNTRUSTED);
    assert_eq!(data["images"][0]["files"], "files-0");
    let files: Value = serde_json::from_str(element(&page, "files-0")).unwrap();
    // A slash separates directories, and a backslash is doubled.
    assert_eq!(files["sizes"], serde_json::json!([7]));
    assert!(page.contains("<title>&lt;/script&gt;"), "{}", &page[..2000]);
    assert!(!page.contains('\u{202e}') || !page[..page.find("</head>").unwrap()].contains('\u{202e}'));
}

#[test]
fn the_page_has_nothing_left_to_fill_in() {
    let page = page("plain");
    assert!(!page.contains("{{"));
    assert!(page.contains("<title>plain: 7\u{a0}B in 1 layers</title>"), "{}", &page[..2000]);
    assert_eq!(page.matches("Content-Security-Policy").count(), 1);
}
