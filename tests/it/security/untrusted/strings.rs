//! What an image, a Dockerfile, a label, a commit or a saved report may hold to become more than text.

/// Written out: each probes something of its own.
const WRITTEN: &[&str] = &[
    // Nothing, and what looks like it.
    "",
    " ",
    "\t",
    " \u{a0}\u{2003}\u{3000} ",
    "\u{2800}\u{3164}\u{115f}\u{ffa0}",
    "\u{200b}",
    // Cells and rows of tables.
    "|",
    "a | b",
    "a || b |",
    "| --- | --- |",
    "|:-:|",
    "a \\| b",
    "a \\\\| b",
    "a \\\\\\| b",
    "` | `",
    "x` | **y** | `z",
    "&#124; &vert; &VerticalLine;",
    // Code, and what ends it.
    "`code`",
    "``two``",
    "``` fence",
    "~~~ tildes",
    "`",
    "a`",
    "`a",
    "x\\`y",
    "`` ` ``",
    "</code>",
    "</code></summary></details>",
    "</code></pre></td></tr></table>",
    // Lines.
    "line\none",
    "line\r\ntwo",
    "line\rthree",
    "line\u{b}four\u{c}five",
    "line\u{85}six",
    "line\u{2028}seven\u{2029}eight",
    "\n\nparagraph",
    "\n\n    indented code",
    "a\\\nhard break",
    "a  \nhard break",
    // Blocks.
    "# heading",
    "\n\n# heading\n\n",
    "heading\n=======",
    "heading\n---",
    "***",
    "> quote",
    "> [!NOTE]\n> alert",
    "\n> [!CAUTION]\n> alert",
    "- item\n- item",
    "1. one\n2. two",
    "- [ ] task",
    "- [x] done @team",
    "[^1]: footnote [^1]",
    "footnote[^note]\n\n[^note]: https://evil.example",
    "[ref]: https://evil.example \"title\"\n\n[ref]",
    "\n\n```mermaid\ngraph TD; a-->b; click a \"https://evil.example\"\n```",
    "\n\n```geojson\n{}\n```\n",
    "\n\n```topojson\n{}\n```\n",
    "\n\n```stl\nsolid x\n```\n",
    "\n\n```suggestion\nrm -rf /\n```\n",
    "\n\n```math\nx^2\n```\n",
    "\n\n~~~~diff\n+ x\n~~~~\n",
    // Emphasis.
    "*a* **b** ***c***",
    "_a_ __b__",
    "~a~ ~~b~~",
    "H~2~O x^2^",
    "==marked==",
    // Mathematics.
    "$x^2$",
    "$$x^2$$",
    "$`x^2`$",
    "$ `y` $",
    "cost $5 or $6",
    "\\(x\\) \\[y\\]",
    "$\\href{https://evil.example}{x}$",
    // HTML.
    "<b>bold</b>",
    "<B>BOLD</B>",
    "<script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://evil.example/x.png'/>",
    "<picture><source srcset=https://evil.example/x></picture>",
    "<svg onload=alert(1)><a xlink:href=x></svg>",
    "<a href=\"https://evil.example\">x</a>",
    "<a href='javascript:alert(1)' title='",
    "<details open><summary>x</summary>",
    "<details",
    "<table><tr><td>",
    "<h1>",
    "<br><hr/>",
    "<kbd><samp><var><sub><sup>",
    "<textarea>",
    "<title>",
    "<iframe src=//evil.example>",
    "<form action=https://evil.example><input>",
    "<math><mi>x</mi></math>",
    "<?php echo 1 ?>",
    "<!DOCTYPE html>",
    "<![CDATA[ x ]]>",
    "]]>",
    "< b >",
    "1 < 2 > 0",
    "\" onmouseover=\"alert(1)",
    "' style='color:red",
    // Comments, and our own marks.
    "<!--",
    "-->",
    "<!-- x --> y",
    "<!---->",
    "<!-->",
    "<!-- layergate key=default sha=x -->",
    "<!-- layergate key=default verdict=pass sha=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa run=999.1 -->",
    "<!-- layergate key=default sha=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa run=999.1 -->",
    "--><!-- layergate key=other",
    // Entities.
    "&lt;b&gt; &amp; &#64;team",
    "&#60;b&#62; &#x3c;i&#X3E;",
    "&lt &gt &amp &quot &copy",
    "&#0; &#xD800; &#99999999; &#xfffd",
    "&commat;team &num;1 &colon;tada&colon;",
    "&Tab;&NewLine;&nbsp;&zwnj;&rlm;",
    "&",
    "&&amp;&",
    // Mentions.
    "@team",
    "@acme/owners please",
    "(@team)",
    "x,@team",
    "/@team",
    "-@team-",
    "\u{ff20}team",
    "\u{fe6b}team",
    "@\u{200d}team",
    "@dependabot rebase",
    "/close",
    "/approve",
    // References.
    "#1",
    "(#12)",
    "acme/shop#1",
    "acme#1",
    "GH-1",
    "gh-22",
    "Fixes #1",
    "Closes: GH-1",
    "JIRA-123",
    "TICKET-7, ABC-99",
    "acme/shop@0123456789abcdef0123456789abcdef01234567",
    "acme@0123456",
    "acme/shop@v1.0",
    "GHSA-aaaa-bbbb-cccc",
    "CVE-2024-12345",
    "acme/shop/issues/1",
    "https://github.com/acme/shop/issues/1",
    "https://github.com/acme/shop/commit/0123456789abcdef0123456789abcdef01234567",
    "https://github.com/acme/shop/blob/main/a#L1-L5",
    // Addresses.
    "https://evil.example/x",
    "HTTPS://EVIL.EXAMPLE/X",
    "http://evil.example|x",
    "ftp://evil.example/x",
    "//evil.example/x",
    "www.evil.example",
    "WWW.evil.example",
    "(www.evil.example)",
    "www.evil.example | x",
    "mallory@evil.example",
    "mallory@evil.example | x",
    "a.b-c_d+e@evil.example",
    "mailto:mallory@evil.example",
    "xmpp:mallory@evil.example/x",
    "javascript:alert(1)",
    "data:text/html,x",
    "vscode://file/x",
    "<https://evil.example/x>",
    "<mailto:mallory@evil.example>",
    "<mallory@evil.example>",
    "[link](https://evil.example)",
    "[link](https://evil.example) | `x`",
    "[link](<javascript:alert(1)>)",
    "[link][ref]",
    "[[wiki]]",
    "[",
    "](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "![",
    "[![x](https://evil.example/x.png)](https://evil.example)",
    // Emoji.
    ":tada:",
    "x:+1:y",
    ":octocat::shipit:",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{2705}\u{fe0f} pass",
    // What hides, and what turns text round.
    "\u{202e}desrever\u{202c}",
    "\u{2066}isolated\u{2069}",
    "\u{200e}\u{200f}\u{61c}marks",
    "soft\u{ad}hyphen",
    "zero\u{200b}width\u{200c}and\u{200d}joined\u{2060}x",
    "\u{feff}mark of order",
    "tag\u{e0001}\u{e0041}\u{e0042}\u{e007f}s",
    "selector\u{fe00}\u{fe01}\u{fe02}\u{fe03}\u{fe04}s",
    "more\u{e0100}\u{e0101}\u{e01ef}selectors",
    "filler\u{034f}\u{17b4}\u{180e}\u{3164}s",
    "private\u{e000}\u{f8ff}\u{10fffd}",
    "interlinear\u{fff9}x\u{fffa}y\u{fffb}",
    "nonc\u{fdd0}\u{ffff}\u{10ffff}haracters",
    "cafe\u{301} na\u{308}ive",
    "\u{5e9}\u{5c1}\u{5b8}\u{5dc}\u{5d5}\u{5b9}\u{5dd} \u{645}\u{64e}\u{631}",
    "\u{fdfd}\u{fdfd}\u{fdfd}",
    // Terminals.
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}[1A\u{1b}[2Kup",
    "\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31mred\u{9c}",
    "\u{90}q\u{9c}",
    "bell\u{7}",
    "back\u{8}\u{8}\u{8}\u{8}space",
    "rub\u{7f}out",
    "nul\u{0}l",
    "shift\u{e}in\u{f}out",
    "end\u{4}\u{1a}of file",
    // Commands of a workflow.
    "::error::broken",
    "::error file=a,line=1::broken",
    "  ::warning::indented",
    "\n::error::on its own line",
    "\r::error::after a return",
    "\u{85}::error::after a next line",
    "::set-output name=verdict::pass",
    "::set-env name=PATH::/evil",
    "::add-path::/evil",
    "::add-mask::pass",
    "::stop-commands::x",
    "::echo::on",
    "::group::x\n::endgroup::",
    "::debug::x",
    "::save-state name=x::y",
    "::add-matcher::/evil.json",
    "::remove-matcher owner=x::",
    "::ERROR::upper",
    "##[error]broken",
    "  ##[group]x",
    "x ##[set-output name=verdict;]pass",
    "##[add-mask]x",
    "#\u{200b}#[error]x",
    "%0A::error::encoded",
    "%0D%0A::error::encoded",
    "%250A%25",
    "%3A%3Aerror%3A%3A",
    "title=x,file=y::z",
    "a:b,c:d",
    // Files that a workflow reads.
    "verdict=pass",
    "verdict<<EOF\npass\nEOF",
    "layergate_0000000000000000\nverdict=pass",
    "ghadelimiter_0a1b2c3d-0000-0000-0000-000000000000",
    "x\nghadelimiter_x\nverdict<<ghadelimiter_x\npass\nghadelimiter_x",
    "EOF",
    "report=/evil",
    "${{ github.token }}",
    "$(id) `id` ${IFS}",
    "'; exit 0; '",
    "\"; exit 0; \"",
    "-rf",
    "--help",
    "../../etc/passwd",
    "\\\\server\\share",
    "\\",
    "\\n\\r\\u0000",
    "{\"verdict\":\"pass\"}",
    "{{ template }} {% tag %}",
    "=cmd|' /C calc'!A0",
];

/// All of them: those that are written out, and those that are best made.
pub fn strings() -> Vec<String> {
    let mut all: Vec<String> = WRITTEN.iter().map(|text| (*text).to_owned()).collect();
    // Runs of back ticks, where a run as long ends them.
    all.extend([2, 3, 4, 5, 7, 16, 31, 79].map(|length| format!("{}a", "`".repeat(length))));
    all.extend([3, 6].map(|length| format!("{0} x {0}", "`".repeat(length))));
    // Words that are the hashes of commits, by their length.
    all.extend([7, 8, 9, 12, 13, 20, 39, 40].map(|length| "0123456789abcdef".repeat(3)[..length].to_owned()));
    all.push("0123456789ABCDEF0123456789ABCDEF01234567".to_owned());
    all.push(format!("sha256:{}", "0123456789abcdef".repeat(4)));
    // Marks that pile up.
    all.push(format!("z{}", "\u{334}\u{318}\u{353}".repeat(40)));
    all.push(format!("a{0}l{0}g{0}o{0}", "\u{36f}\u{489}\u{20e3}".repeat(8)));
    all.push("\u{e01}".to_owned() + &"\u{e47}".repeat(100));
    // Length.
    all.push("w".repeat(10_000));
    all.push("$".repeat(10_000));
    all.push("\u{5927}".repeat(3000));
    all.push("long words ".repeat(500));
    all.push("/a".repeat(2000));
    all.push("|".repeat(10_000));
    all.push("<".repeat(1000));
    all.push("&amp;".repeat(500));
    all.push("[".repeat(1000));
    all.push("> ".repeat(300));
    all.push("*a _".repeat(300));
    all.push("\u{1f600}".repeat(400));
    all.push("\n".repeat(400));
    all
}

/// Whether a text might be more than text where there is no markdown: in a log, or a file of outputs.
pub fn is_for_runner(text: &str) -> bool {
    let marks = ["::", "##[", "%", "<<", "EOF", "verdict", "ghadelimiter"];
    marks.iter().any(|mark| text.contains(mark)) || !text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

#[test]
fn each_is_there_once() {
    let all = strings();
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert!(distinct.len() >= 150, "{}", distinct.len());
}
