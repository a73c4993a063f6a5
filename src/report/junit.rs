//! A report as JUnit XML, which CI systems show as tests: a suite for each image, a case for each limit.

use std::io::{self, Write};

use super::escape::xml;
use super::{ImageReport, Report, words};
use crate::limits::{self, Finding, Severity, Verdict};

/// Writes a report.
///
/// # Errors
/// Any error from writing.
pub fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let suites: Vec<Suite> = report.images.iter().map(|image| Suite::of(report, image)).collect();
    let sum = |of: fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>();
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<testsuites name="layergate" tests="{}" failures="{}" errors="0">"#,
        sum(Suite::tests),
        sum(Suite::failures)
    )?;
    suites.iter().try_for_each(|suite| suite.write(out))?;
    writeln!(out, "</testsuites>")
}

struct Suite {
    name: String,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    /// The kind of failure, what failed and what to do.
    failure: Option<(String, String, String)>,
    /// Another remark.
    note: Option<String>,
}

impl Suite {
    /// A case for each configured limit, and for anything else that was found.
    fn of(report: &Report, image: &ImageReport) -> Suite {
        let case = |(limit, value): (&limits::Definition, &str)| {
            let key = limit.key.name;
            let is_other = |finding: &Finding| {
                let mut values = image.values_of(key).filter(|other| *other != value);
                values.any(|other| finding.limit.as_deref() == Some(other.trim()))
            };
            let found =
                image.findings.iter().filter(|finding| finding.rule == key && !is_other(finding)).collect();
            Case::of(format!("{key} = {}", value.replace('\n', ", ")), image, found)
        };
        let mut cases: Vec<Case> = image.set_limits().map(case).collect();
        let others = image.findings.iter().filter(|finding| image.values_of(&finding.rule).next().is_none());
        cases.extend(others.map(|finding| Case::of(finding.rule.clone(), image, vec![finding])));
        if cases.is_empty() {
            cases.push(Case { name: "measured".into(), failure: None, note: Some("no limit is set".into()) });
        }
        Suite { name: words::label(report, image), cases }
    }

    fn tests(&self) -> usize {
        self.cases.len()
    }

    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_some()).count()
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let name = xml(&self.name);
        writeln!(
            out,
            r#"  <testsuite name="{name}" tests="{}" failures="{}" errors="0" skipped="0">"#,
            self.tests(),
            self.failures()
        )?;
        for case in &self.cases {
            writeln!(
                out,
                r#"    <testcase name="{}" classname="layergate.{name}" time="0">"#,
                xml(&case.name)
            )?;
            if let Some((rule, message, help)) = &case.failure {
                let (rule, message) = (xml(rule), xml(message));
                writeln!(out, r#"      <failure type="{rule}" message="{message}">{}</failure>"#, xml(help))?;
            }
            if let Some(note) = &case.note {
                writeln!(out, "      <system-out>{}</system-out>", xml(note))?;
            }
            writeln!(out, "    </testcase>")?;
        }
        writeln!(out, "  </testsuite>")
    }
}

impl Case {
    fn of(name: String, image: &ImageReport, found: Vec<&Finding>) -> Case {
        let is_failing =
            |finding: &&&Finding| finding.severity == Severity::Fail && image.verdict != Verdict::Accepted;
        let sentence = |finding: &&Finding| match finding.subject == image.name {
            true => finding.message.clone(),
            false => format!("{}: {}", finding.subject, finding.message),
        };
        let failing: Vec<&Finding> = found.iter().filter(is_failing).copied().collect();
        let join = |texts: Vec<String>| texts.join("; ");
        let failure = failing.first().map(|first| {
            let help =
                failing.iter().filter_map(|finding| words::next_step(image, finding).map(str::to_owned));
            (first.rule.clone(), join(failing.iter().map(sentence).collect()), join(help.collect()))
        });
        let others = found.iter().filter(|finding| !is_failing(finding));
        let notes: Vec<String> = others
            .map(|finding| format!("{}: {}", words::severity(image, finding), sentence(finding)))
            .collect();
        Case { name, failure, note: (!notes.is_empty()).then(|| join(notes)) }
    }
}
