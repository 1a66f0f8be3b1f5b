//! The other door: netavark, the network stack of podman, runs the plugin as the driver of a network.
//!
//! In: a verb and mostly the path of a namespace as arguments, JSON on stdin. Out: JSON on stdout; an error is one sentence and exit code 1.
//! What it wants is said over in the words of CNI, and from there on both doors lead the same way.
//! Rules: plugin-API.md of netavark, API version 1.0.0; podman makes networks of plugins since 4.6, with netavark 1.6.

mod create;
mod options;
mod status;
mod wanted;

use std::path::PathBuf;

use poplin_sandbox::Inside;
use serde_json::{Value, json};

use crate::add::attach;
use crate::del::del;
use crate::error::CniError;
use crate::invocation::Sandbox;
use crate::{finish, read_input};
use wanted::Wanted;

/// Does what is asked.
pub(crate) fn run(arguments: &[String]) -> Result<Option<Value>, CniError> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["info"] => Ok(Some(json!({"version": env!("CARGO_PKG_VERSION"), "api_version": "1.0.0"}))),
        ["create"] => create::answer(&read_input()?).map(Some),
        ["setup", netns] => finish(setup(netns.into(), &Wanted::parse(&read_input()?)?)).map(Some),
        ["teardown", _] => finish(teardown(&Wanted::parse(&read_input()?)?)).map(|()| None),
        _ => Err(CniError::environment(format!(
            "{:?} is none of create, setup NETNS, teardown NETNS, info",
            words.join(" ")
        ))
        .details("netavark runs it; podman network create --driver poplin makes a network of it")),
    }
}

/// As netavark reads it.
pub(crate) fn error(error: &CniError) -> Value {
    json!({"error": error.told()})
}

async fn setup(netns: PathBuf, wanted: &Wanted) -> Result<Value, CniError> {
    let inside = Inside::enter(&netns).map_err(|error| CniError::environment(error.to_string()))?;
    let sandbox = Sandbox { attachment: wanted.attachment()?, netns, args: wanted.args() };
    let made = attach(inside, &sandbox, &wanted.conf()?).await?;
    Ok(status::block(&sandbox.attachment.interface, wanted.has_dns(), &made))
}

/// The namespace may have gone before.
async fn teardown(wanted: &Wanted) -> Result<(), CniError> {
    del(&wanted.attachment()?, &wanted.bare_conf()?).await
}
