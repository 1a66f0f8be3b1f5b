//! Says how a run ended when it did not end well: words for the person, a number for the script.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use poplin_proto::{ConnectError, Failure};
use poplin_sandbox::{NetnsError, SandboxError};
use tonic::Code;

use crate::door::{advice, exit_of};

/// What the shell is told. Documented and stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nobody reads any more, as behind `head`: no fault of ours.
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Conflict = 4,
    Unreachable = 5,
    Denied = 6,
    Unhealthy = 7,
    TimedOut = 8,
    /// Answered as far as is known here, and somebody else has a word, too.
    Unsettled = 9,
    /// Of `run`, as env(1) has them: it failed itself, its command cannot be executed, its command is not there.
    NotRun = 125,
    NotExecutable = 126,
    NoCommand = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a run ended, with everything that went wrong in it.
#[derive(Debug)]
pub(crate) struct Problem {
    exit: Exit,
    failures: Vec<Failure>,
}

impl Problem {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, failures: vec![Failure::new(Code::Unknown, "", message)] }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        if let Some(failure) = self.failures.last_mut() {
            failure.advice = Some(advice.into());
        }
        self
    }

    /// The same, ending the run with another exit code.
    pub(crate) fn exiting(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Joins what went wrong in several steps; the first decides the exit code.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.failures.extend(other.failures);
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong first, and what to try, for who tells it otherwise than [`Self::report`].
    pub(crate) fn words(self) -> (String, String) {
        let first = self.failures.into_iter().next();
        first.map(|failure| (failure.message, failure.advice.unwrap_or_default())).unwrap_or_default()
    }

    /// A call that no answer came to, because its connection broke or was never made.
    fn broken(cause: &(dyn Error + 'static)) -> Self {
        let story = with_causes(cause);
        Self::new(exit_of(&story), format!("the connection to the agent broke: {story}")).advice(advice(&story))
    }

    /// Prints everything that went wrong to stderr.
    pub(crate) fn report(self) -> ExitCode {
        for failure in &self.failures {
            eprint!("{}", rendered(failure));
        }
        self.exit.into()
    }
}

/// The house form: `error: WHAT, at WHERE`, then what to try.
fn rendered(failure: &Failure) -> String {
    let mut text = "error: ".to_owned();
    if let Some(field) = failure.field.as_ref().filter(|field| !failure.message.contains(field.as_str())) {
        let _ = write!(text, "{field}: ");
    }
    text.push_str(&failure.message);
    if let Some(origin) = &failure.origin {
        let _ = write!(text, ", at {origin}");
    }
    text.push('\n');
    if let Some(advice) = &failure.advice {
        let _ = writeln!(text, "  try: {advice}");
    }
    text
}

impl From<tonic::Status> for Problem {
    fn from(status: tonic::Status) -> Self {
        if let Some(cause) = status.source() {
            return Self::broken(cause);
        }
        let exit = match status.code() {
            Code::NotFound => Exit::NotFound,
            Code::AlreadyExists | Code::Aborted => Exit::Conflict,
            Code::Unavailable => Exit::Unreachable,
            Code::PermissionDenied | Code::Unauthenticated => Exit::Denied,
            Code::DeadlineExceeded => Exit::TimedOut,
            _ => Exit::Failed,
        };
        Self { exit, failures: Failure::all_from_status(&status) }
    }
}

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        let exit = match error {
            ConnectError::Denied { .. } => Exit::Denied,
            ConnectError::Absent { .. } | ConnectError::Refused { .. } | ConnectError::Other { .. } => {
                Exit::Unreachable
            }
        };
        Self::new(exit, with_causes(&error)).advice(error.advice())
    }
}

impl From<NetnsError> for Problem {
    fn from(error: NetnsError) -> Self {
        let exit = match &error {
            NetnsError::Absent { .. } => Exit::NotFound,
            NetnsError::Refused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::Denied,
            NetnsError::NotNetns { .. } | NetnsError::OfHost { .. } | NetnsError::Refused { .. } => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<SandboxError> for Problem {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Netns(error) => error.into(),
            error => Self::new(Exit::Failed, with_causes(&error)),
        }
    }
}

/// Documents that were read without an agent.
impl From<Vec<Failure>> for Problem {
    fn from(failures: Vec<Failure>) -> Self {
        Self { exit: Exit::Failed, failures }
    }
}

/// Only stdout fails this way; every file names itself before.
impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Done, failures: Vec::new() },
            _ => Self::new(Exit::Failed, format!("cannot write the answer: {error}")),
        }
    }
}

/// The text of an error and of what caused it, each cause once.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_try() {
        let failure = Failure::new(Code::InvalidArgument, "X", "pool is too small")
            .field("spec.cidr")
            .origin("shop.yaml:7:9")
            .advice("cidr of /26 or larger");

        assert_eq!(
            rendered(&failure),
            "error: spec.cidr: pool is too small, at shop.yaml:7:9\n  try: cidr of /26 or larger\n"
        );
    }

    #[test]
    fn each_class_has_its_exit_code() {
        let exit = |code| Problem::from(tonic::Status::new(code, "")).exit() as u8;

        assert_eq!(exit(Code::InvalidArgument), 1);
        assert_eq!(exit(Code::NotFound), 3);
        assert_eq!(exit(Code::Aborted), 4);
        assert_eq!(exit(Code::Unavailable), 5);
        assert_eq!(exit(Code::PermissionDenied), 6);
        assert_eq!(exit(Code::DeadlineExceeded), 8);
    }
}
