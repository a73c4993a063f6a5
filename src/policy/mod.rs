//! Limits, rules and verdicts. Pure: rules return findings and print nothing.

pub mod accept;
pub mod amount;
pub mod config;
pub mod limits;
pub mod rules;
pub mod setting;
pub mod stages;

pub use accept::{Accept, Acceptance};
pub use config::{Build, Config};
pub use limits::{Limits, Metric};
pub use rules::{BASELINE_RULE, Case, Finding, Severity, Sides, UNJUDGED_RULE, Unjudgeable, Verdict, judge};
pub use setting::{ConfigError, Setting, Settings};
pub use stages::{Judgement, judge_stages};
