//! The project around the program: documents, installation, workflows, structure.

mod completions;
pub mod docs;
mod init;
mod install;
mod manual;
pub mod reference;
mod release;
mod rooms;
mod schema;
mod vocabulary;
mod workflows;
