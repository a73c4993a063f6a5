//! Acceptance: somebody with the right to do so declares an exceeded limit intended.

use serde::{Deserialize, Serialize};

use super::setting::{ConfigError, Settings};
use crate::image::{Bytes, Delta};
use crate::limits::Threshold;

/// The keys of `[accept]`.
pub const ACCEPT_KEYS: [&str; 3] = ["labels", "trailer", "max-increase"];

/// What accepts an exceeded limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accept {
    /// Labels of the pull request, any of which accepts.
    pub labels: Vec<String>,
    /// The name of the commit trailer that accepts.
    pub trailer: Option<String>,
    /// The most growth that can be accepted; none of these may be exceeded.
    pub max_increase: Vec<Threshold>,
}

/// How an exceeded limit was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Acceptance {
    /// The label of the pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The commit trailer, if it was not a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailer: Option<String>,
    /// The reason given in the trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The commit with the trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The login of the person who added the label, or the name of the commit's author, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was accepted, as GitHub writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The pull request with the acceptance, if that is one ahead in a merge queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<u64>,
}

impl Accept {
    /// Parses settings.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Accept, ConfigError> {
        let lines = settings.get("labels").map_or("", |setting| setting.text.as_str()).lines();
        let labels = lines.map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect();
        let trailer = match settings.get("trailer") {
            None => None,
            Some(setting) if is_trailer_name(setting.text.trim()) => Some(setting.text.trim().to_owned()),
            Some(setting) => {
                return Err(ConfigError {
                    origin: setting.origin.clone(),
                    message: "a trailer name has only letters, digits and `-`, such as Image-Size-Accept"
                        .into(),
                });
            }
        };
        let mut max_increase = Vec::new();
        if let Some(setting) = settings.get("max-increase") {
            let failed = |error| ConfigError { origin: setting.origin.clone(), message: format!("{error}") };
            for line in setting.text.split('\n') {
                max_increase.push(line.parse::<Threshold>().map_err(failed)?);
            }
        }
        Ok(Accept { labels, trailer, max_increase })
    }

    /// What both accept.
    pub fn and(mut self, other: &Accept) -> Accept {
        self.labels.retain(|label| other.labels.iter().any(|own| own.eq_ignore_ascii_case(label)));
        self.trailer = self.trailer.filter(|trailer| other.trailer.as_ref() == Some(trailer));
        let more = other.max_increase.iter().filter(|bound| !self.max_increase.contains(bound)).cloned();
        let more: Vec<Threshold> = more.collect();
        self.max_increase.extend(more);
        self
    }

    /// Whether nothing is accepted.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.trailer.is_none()
    }

    /// Whether this much growth may be accepted. Unknown growth may not.
    pub fn reaches(&self, growth: Option<(Delta, Bytes)>) -> bool {
        self.max_increase
            .iter()
            .all(|bound| growth.is_some_and(|(growth, base)| growth.0 <= bound.bytes_of(base).0 as i64))
    }

    /// The first of a pull request's labels that accepts; as on GitHub, case is ignored.
    pub fn label_of<'a>(&self, labels: &'a [String]) -> Option<&'a String> {
        labels.iter().find(|label| self.labels.iter().any(|own| own.eq_ignore_ascii_case(label)))
    }

    /// The reason in a commit message's trailer. The trailer is in the last paragraph (git-interpret-trailers) and must
    /// give a reason.
    pub fn reason_in(&self, message: &str) -> Option<String> {
        let name = self.trailer.as_deref()?;
        let message = message.replace("\r\n", "\n");
        let last =
            message.trim_end().rsplit("\n\n").next().filter(|last| last.len() < message.trim_end().len())?;
        let value = |line: &str| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        last.lines().filter_map(value).find(|reason| !reason.is_empty())
    }
}

fn is_trailer_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    fn accept(settings: &[(&str, &str)]) -> Result<Accept, ConfigError> {
        let setting = |text: &str| Setting { text: text.to_owned(), origin: "test".into() };
        Accept::from_settings(
            &settings.iter().map(|(key, text)| ((*key).to_owned(), setting(text))).collect(),
        )
    }

    #[test]
    fn a_trailer_is_in_the_last_paragraph_and_has_a_reason() {
        let accept = accept(&[("trailer", "Image-Size-Accept")]).unwrap();
        let reason = |message: &str| accept.reason_in(message);
        let told = reason("Add fonts\n\nSigned-off-by: x\nimage-size-accept:  we need them \n\n");
        assert_eq!(told.as_deref(), Some("we need them"));
        assert_eq!(reason("Add\r\n\r\nImage-Size-Accept: fonts\r\n").as_deref(), Some("fonts"));
        for without in [
            "",
            "Image-Size-Accept: a subject is no trailer",
            "x\n\nImage-Size-Accept: not last\n\nmore",
            "x\n\nImage-Size-Accept:",
            "x\n\nImage-Size-Acceptance: other",
        ] {
            assert_eq!(reason(without), None, "{without}");
        }
    }

    #[test]
    fn what_is_accepted_may_have_a_bound() {
        let bound = accept(&[("labels", "size-ok\n\nbig"), ("max-increase", "10%")]).unwrap();
        assert_eq!(bound.label_of(&["other".into(), "Size-OK".into()]).map(String::as_str), Some("Size-OK"));
        assert!(
            bound.reaches(Some((Delta(10), Bytes(100)))) && !bound.reaches(Some((Delta(11), Bytes(100))))
        );
        assert!(!bound.reaches(None), "growth that is not known");
        assert!(Accept::default().reaches(None) && Accept::default().is_empty());
        assert!(accept(&[("trailer", "a b")]).is_err() && accept(&[("max-increase", "5")]).is_err());
    }
}
