//! How one pull request is accepted.

use super::console;
use crate::config::{Accept, Acceptance};
use crate::github::acceptance::Pull;
use crate::github::{GithubError, pulls};

/// How a pull request is accepted. If it is unknown whether it comes from a fork, GitHub is asked.
pub async fn of_pull(
    accept: &Accept,
    pull: &Pull<'_>,
    from_fork: Option<bool>,
) -> Result<Option<Acceptance>, GithubError> {
    if !accept.labels.is_empty()
        && let Some(label) = accept.label_of(&pull.labels().await?)
    {
        // The label's presence is enough; who added it is only for people.
        let set = pull.labelled(label).await.unwrap_or_else(|error| {
            console::warn(&format!("cannot tell who set the label: {error}"));
            None
        });
        let (by, at) = set.map(|set| (set.by, set.at)).unzip();
        return Ok(Some(Acceptance {
            label: Some(label.clone()),
            by: by.flatten(),
            at,
            ..Acceptance::default()
        }));
    }
    let Some(trailer) = &accept.trailer else { return Ok(None) };
    // In a pull request from a fork, anybody can write the commits.
    let from_fork = match from_fork {
        Some(from_fork) => from_fork,
        None => {
            let found = pulls::of_number(pull.client, pull.repository, pull.number).await?;
            found.is_none_or(|pull| pull.from_fork)
        }
    };
    if from_fork {
        return Ok(None);
    }
    // The newest, if there are several.
    let messages = pull.messages().await?;
    let said =
        messages.into_iter().rev().find_map(|message| Some((accept.reason_in(&message.text)?, message)));
    Ok(said.map(|(reason, message)| Acceptance {
        label: None,
        trailer: Some(trailer.clone()),
        reason: Some(reason),
        commit: Some(message.sha),
        by: Some(message.author),
        at: Some(message.at),
        pull: None,
    }))
}
