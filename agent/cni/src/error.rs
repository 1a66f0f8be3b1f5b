//! Says what went wrong in the form runtimes read. Rules: CNI specification, section 5, "Error".

use std::io;

use poplin_proto::{ConnectError, Failure};
use serde_json::{Value, json};
use tonic::Code;

/// An error as a runtime gets it. Codes below 100 are the specification's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CniError {
    code: u32,
    msg: String,
    details: String,
}

const VERSION: u32 = 1;
const UNKNOWN_CONTAINER: u32 = 3;
const ENVIRONMENT: u32 = 4;
const IO: u32 = 5;
const DECODE: u32 = 6;
const CONFIG: u32 = 7;
const TRY_LATER: u32 = 11;
const NOT_AVAILABLE: u32 = 50;
/// The agent refused for a reason the specification has no code for; the reason's name stands in the details.
const AGENT: u32 = 100;
/// The container's side could not be furnished.
const SANDBOX: u32 = 101;
/// CHECK found differences.
const DIFFERS: u32 = 102;

impl CniError {
    fn new(code: u32, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: String::new() }
    }

    pub(crate) fn version(msg: impl Into<String>) -> Self {
        Self::new(VERSION, msg)
    }

    pub(crate) fn environment(msg: impl Into<String>) -> Self {
        Self::new(ENVIRONMENT, msg)
    }

    pub(crate) fn decode(error: &serde_json::Error) -> Self {
        Self::new(DECODE, "the network configuration on stdin cannot be read").details(error.to_string())
    }

    pub(crate) fn config(msg: impl Into<String>) -> Self {
        Self::new(CONFIG, msg)
    }

    pub(crate) fn differs(findings: &[String]) -> Self {
        Self::new(DIFFERS, findings.join("; "))
    }

    #[allow(clippy::needless_pass_by_value, reason = "so that it can be named in map_err")]
    pub(crate) fn io(error: io::Error) -> Self {
        Self::new(IO, error.to_string())
    }

    /// For every verb but STATUS: the runtime may ask again when the agent is back.
    pub(crate) fn unreachable(error: &ConnectError) -> Self {
        Self::new(TRY_LATER, error.to_string()).details(error.advice())
    }

    /// For STATUS: ADD would fail now.
    pub(crate) fn not_available(msg: impl Into<String>) -> Self {
        Self::new(NOT_AVAILABLE, msg)
    }

    pub(crate) fn failure(failure: &Failure) -> Self {
        let code = match failure.code {
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled => TRY_LATER,
            Code::NotFound => UNKNOWN_CONTAINER,
            Code::InvalidArgument => CONFIG,
            _ => AGENT,
        };
        let details = [Some(failure.reason.clone()).filter(|reason| !reason.is_empty()), failure.advice.clone()];
        Self::new(code, failure.message.clone()).details(details.into_iter().flatten().collect::<Vec<_>>().join(": "))
    }

    /// A namespace that is not there, or is none, is a wrong `CNI_NETNS`.
    pub(crate) fn netns(error: &poplin_sandbox::NetnsError) -> Self {
        Self::new(ENVIRONMENT, format!("CNI_NETNS: {error}"))
    }

    pub(crate) fn sandbox(error: &poplin_sandbox::SandboxError) -> Self {
        Self::new(SANDBOX, error.to_string())
    }

    /// Adds what helps a person: advice, or the cause.
    pub(crate) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// In one line, for those who have but one.
    pub(crate) fn told(&self) -> String {
        if self.details.is_empty() { self.msg.clone() } else { format!("{}; {}", self.msg, self.details) }
    }

    pub(crate) fn to_json(&self, version: &str) -> Value {
        let mut error = json!({"cniVersion": version, "code": self.code, "msg": self.msg});
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        error
    }
}
