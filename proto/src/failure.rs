//! Says how an error travels from the agent to whoever talks to a person.
//!
//! In: what went wrong, where, and what to try. Out: a `google.rpc.Status` that any gRPC client can read, and the same
//! words back. Each failure is one `ErrorInfo` (domain [`DOMAIN`]; metadata `message`, `field`, `at`, `try`), and those
//! with a field stand in `BadRequest` too, where foreign clients look for them (AIP-193).

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, FieldViolation, StatusExt as _};

/// Domain of every `ErrorInfo` of ours.
pub const DOMAIN: &str = "poplin.dev";

/// What may be said in one answer, in octets. Details travel as a header, base64 makes them a third longer, fields and
/// messages stand there twice, and hyper's clients refuse headers above 16 KiB.
const ROOM_OCTETS: usize = 4000;

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class, which decides the exit code of the command line.
    pub code: Code,
    /// What is wrong, lower case, without a full stop: thing, value, bound.
    pub message: String,
    /// Path of the field at fault, in document spelling, such as `spec.blockSize`.
    pub field: Option<String>,
    /// Stable name for programs, in UPPER_SNAKE, such as `POOL_FULL`; empty if another program answered.
    pub reason: String,
    /// What to try, a sentence of its own.
    pub advice: Option<String>,
    /// Where the author wrote it: `file:line:column`.
    pub origin: Option<String>,
}

impl Failure {
    /// A failure of a class, with a name for programs and words for people.
    pub fn new(code: Code, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, reason: reason.into(), advice: None, origin: None }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
        self
    }

    /// Says what to try.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Says where it was written.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// The status that carries this one failure.
    pub fn into_status(self) -> Status {
        Self::combine(vec![self])
    }

    /// The status that carries several failures of one call, in order. Its code and message are those of the first.
    /// Those that do not fit into an answer are counted in a last failure, `MORE_FAILURES`.
    pub fn combine(failures: Vec<Self>) -> Status {
        let Some(first) = failures.first().cloned() else {
            return Status::internal("something failed and left no word of it");
        };
        let failures = fitting(failures);
        let violations: Vec<_> = failures.iter().filter_map(Self::violation).collect();
        let mut details: Vec<ErrorDetail> = failures.into_iter().map(|failure| failure.info().into()).collect();
        if !violations.is_empty() {
            details.push(BadRequest::new(violations).into());
        }
        Status::with_error_details_vec(first.code, first.message, details)
    }

    /// The first failure a status carries.
    pub fn from_status(status: &Status) -> Self {
        Self::all_from_status(status).swap_remove(0)
    }

    /// Every failure a status carries, at least one: a status of another program is taken at its word.
    pub fn all_from_status(status: &Status) -> Vec<Self> {
        let ours: Vec<_> = status
            .get_error_details_vec()
            .into_iter()
            .filter_map(|detail| match detail {
                ErrorDetail::ErrorInfo(info) if info.domain == DOMAIN => Some(Self::from_info(status, info)),
                _ => None,
            })
            .collect();
        if ours.is_empty() {
            return vec![Self::new(status.code(), "", status.message())];
        }
        ours
    }

    fn violation(&self) -> Option<FieldViolation> {
        self.field.as_ref().map(|field| FieldViolation::new(field.clone(), self.message.clone()))
    }

    fn info(self) -> ErrorInfo {
        let metadata: HashMap<String, String> =
            [("message", Some(self.message)), ("field", self.field), ("try", self.advice), ("at", self.origin)]
                .into_iter()
                .filter_map(|(key, value)| value.map(|value| (key.to_owned(), value)))
                .collect();
        ErrorInfo::new(self.reason, DOMAIN, metadata)
    }

    fn from_info(status: &Status, mut info: ErrorInfo) -> Self {
        Self {
            code: status.code(),
            message: info.metadata.remove("message").unwrap_or_else(|| status.message().to_owned()),
            field: info.metadata.remove("field"),
            reason: info.reason,
            advice: info.metadata.remove("try"),
            origin: info.metadata.remove("at"),
        }
    }

    /// Octets this failure needs in an answer, without the framing.
    fn len(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.message.len() + self.reason.len() + optional(&self.field) + optional(&self.advice) + optional(&self.origin)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.into_status()
    }
}

/// The first failures that fit into one answer, at least one, and a word about the rest.
fn fitting(mut failures: Vec<Failure>) -> Vec<Failure> {
    let mut octets = 0;
    let fit = failures
        .iter()
        .take_while(|failure| {
            octets += failure.len();
            octets <= ROOM_OCTETS
        })
        .count()
        .max(1);
    let rest = failures.split_off(fit);
    if let Some(next) = rest.first() {
        failures.push(Failure::new(next.code, "MORE_FAILURES", format!("and {} more", rest.len())));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_small() -> Failure {
        Failure::new(
            Code::InvalidArgument,
            "POOL_TOO_SMALL",
            "pool prod 10.4.0.0/30 is smaller than its block size /26",
        )
        .field("spec.cidr")
        .advice("cidr of /26 or larger, or blockSize: 30")
        .origin("shop.yaml:7:9")
    }

    #[test]
    fn a_failure_arrives_as_it_left() {
        let status = too_small().into_status();

        assert_eq!(Failure::from_status(&status), too_small());
        assert_eq!(status.message(), too_small().message);
    }

    #[test]
    fn foreign_clients_find_the_field_where_they_look_for_it() {
        let details = too_small().into_status().get_error_details();

        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "spec.cidr");
        assert_eq!(details.error_info().unwrap().reason, "POOL_TOO_SMALL");
    }

    #[test]
    fn several_failures_keep_their_order() {
        let second = Failure::new(Code::InvalidArgument, "NAME_MISSING", "metadata.name is empty");

        let status = Failure::combine(vec![too_small(), second.clone()]);

        assert_eq!(Failure::all_from_status(&status), [too_small(), second]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let status = Failure::combine(vec![too_small(); 1000]);

        let failures = Failure::all_from_status(&status);
        let told = failures.len() - 1;
        assert!(told > 10, "{told}");
        assert_eq!(failures[told].message, format!("and {} more", 1000 - told));
        // hyper refuses headers above 16 KiB; base64 makes the details a third longer.
        assert!(status.details().len() * 4 / 3 < 14_000, "{}", status.details().len());
    }

    #[test]
    fn a_status_of_another_program_is_taken_at_its_word() {
        let failure = Failure::from_status(&Status::unavailable("proxy is full"));

        assert_eq!(failure, Failure::new(Code::Unavailable, "", "proxy is full"));
    }
}
