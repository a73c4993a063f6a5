//! Proposals from made-up images.
