//! temp
use super::stages::File;
use super::{Exit, UsageError};
use crate::cli::Stages;
use crate::policy::Config;
pub async fn run(_: &Stages, _: &Config, _: &[File]) -> anyhow::Result<Exit> {
    Err(UsageError("not yet".into()).into())
}
