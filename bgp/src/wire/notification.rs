//! What one speaker tells the other before it hangs up.
//!
//! Rules: RFC 4271 §4.5 and §6, RFC 4486, RFC 8538 and RFC 9384 (Cease), RFC 9003 (words of a person), RFC 5492 (capabilities), RFC 6608 (FSM errors),
//! RFC 7313 (route refresh), RFC 9234 (roles), RFC 9687 (send hold timer).

use std::fmt;

use super::reader::Reader;

/// An error code with its subcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault(pub u8, pub u8);

/// Names every fault we know, as a constant and in words.
macro_rules! faults {
    ($($name:ident = $code:literal / $subcode:literal, $text:literal;)*) => {
        impl Fault {
            $(#[doc = concat!("Code ", $code, ", subcode ", $subcode, ": ", $text, ".")]
            pub const $name: Fault = Fault($code, $subcode);)*

            fn words(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

faults! {
    NOT_SYNCHRONIZED = 1 / 1, "connection not synchronized";
    BAD_LENGTH = 1 / 2, "bad message length";
    BAD_TYPE = 1 / 3, "bad message type";
    OPEN = 2 / 0, "malformed open";
    BAD_VERSION = 2 / 1, "unsupported version number";
    BAD_PEER_AS = 2 / 2, "bad peer AS";
    BAD_IDENTIFIER = 2 / 3, "bad BGP identifier";
    BAD_PARAMETER = 2 / 4, "unsupported optional parameter";
    BAD_HOLD_TIME = 2 / 6, "unacceptable hold time";
    BAD_CAPABILITY = 2 / 7, "unsupported capability";
    ROLE_MISMATCH = 2 / 11, "role mismatch";
    ATTRIBUTE_LIST = 3 / 1, "malformed attribute list";
    UNRECOGNIZED_WELL_KNOWN = 3 / 2, "unrecognized well-known attribute";
    OPTIONAL_ATTRIBUTE = 3 / 9, "optional attribute error";
    NETWORK_FIELD = 3 / 10, "invalid network field";
    HOLD_EXPIRED = 4 / 0, "hold timer expired";
    FSM = 5 / 0, "finite state machine error";
    FSM_OPEN_SENT = 5 / 1, "unexpected message in OpenSent";
    FSM_OPEN_CONFIRM = 5 / 2, "unexpected message in OpenConfirm";
    FSM_ESTABLISHED = 5 / 3, "unexpected message in Established";
    CEASE = 6 / 0, "cease";
    MAXIMUM_PREFIXES = 6 / 1, "maximum number of prefixes reached";
    SHUTDOWN = 6 / 2, "administrative shutdown";
    DECONFIGURED = 6 / 3, "peer de-configured";
    RESET = 6 / 4, "administrative reset";
    REJECTED = 6 / 5, "connection rejected";
    CONFIGURATION_CHANGE = 6 / 6, "other configuration change";
    COLLISION = 6 / 7, "connection collision resolution";
    OUT_OF_RESOURCES = 6 / 8, "out of resources";
    HARD_RESET = 6 / 9, "hard reset";
    BFD_DOWN = 6 / 10, "BFD down";
    REFRESH_LENGTH = 7 / 1, "invalid length of a route refresh";
    SEND_HOLD_EXPIRED = 8 / 0, "send hold timer expired";
}

impl Fault {
    /// The code shared by every Cease.
    const CEASE_CODE: u8 = 6;

    /// Whether this ends a session without blaming anybody.
    pub fn is_cease(self) -> bool {
        self.0 == Self::CEASE_CODE
    }

    /// A notification of this fault, with nothing to show for it.
    pub fn bare(self) -> Notification {
        self.with([])
    }

    /// A notification of this fault; `data` is what the standard asks to show.
    pub fn with(self, data: impl Into<Vec<u8>>) -> Notification {
        Notification { fault: self, data: data.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words().unwrap_or("unknown fault");
        write!(f, "{words} ({}/{})", self.0, self.1)
    }
}

/// The last message of a session: what went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}{}", shown(self))]
pub struct Notification {
    /// What went wrong.
    pub fault: Fault,
    /// What the fault's section asks to show, often the offending octets.
    pub data: Vec<u8>,
}

/// What a person at the other end wanted to say. Quoted, so that it cannot pass for a line of ours (RFC 9003 §5). Of a hard reset, why it is one.
fn shown(notification: &Notification) -> String {
    if let Some(reason) = notification.hard_reason() {
        return format!(": {reason}");
    }
    notification.communication().map(|text| format!(": {text:?}")).unwrap_or_default()
}

impl Notification {
    /// The longest communication: its length is one octet, RFC 9003 §2.
    pub const COMMUNICATION_OCTETS_MAX: usize = 255;

    /// A shutdown in the words of a person; what is too long is cut off between two characters.
    pub fn shutdown(text: &str) -> Self {
        let end = text.floor_char_boundary(Self::COMMUNICATION_OCTETS_MAX);
        let length = u8::try_from(end).unwrap_or(u8::MAX);
        let data: Vec<u8> = std::iter::once(length).chain(text[..end].bytes()).collect();
        Fault::SHUTDOWN.with(if end == 0 { Vec::new() } else { data })
    }

    /// The words of the person who shut the session down or reset it, if there are any. What is not UTF-8 is replaced.
    pub fn communication(&self) -> Option<String> {
        let (length, text) = self.data.split_first()?;
        let is_communication = self.fault == Fault::SHUTDOWN || self.fault == Fault::RESET;
        let text = text.get(..usize::from(*length)).filter(|text| is_communication && !text.is_empty())?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The same, said so that the routes go with the session: RFC 8538 §3. What is hard already stays as it is.
    pub(crate) fn hardened(self) -> Self {
        if self.fault == Fault::HARD_RESET {
            return self;
        }
        Fault::HARD_RESET.with([vec![self.fault.0, self.fault.1], self.data].concat())
    }

    /// Why a hard reset is one, if this is one and says so.
    pub fn hard_reason(&self) -> Option<Self> {
        let is_reason = |fault: &Fault| self.fault == Fault::HARD_RESET && *fault != Fault::HARD_RESET;
        let (&[code, subcode], data) = self.data.split_first_chunk::<2>()?;
        Some(Fault(code, subcode)).filter(is_reason).map(|fault| fault.with(data))
    }

    /// Data beyond this does not fit into one message and is cut off.
    const DATA_OCTETS_MAX: usize = super::MESSAGE_OCTETS_MAX - super::HEADER_OCTETS - 2;

    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        let mut reader = Reader::new(body);
        let (Some(code), Some(subcode)) = (reader.u8(), reader.u8()) else { return Err(Fault::BAD_LENGTH.bare()) };
        Ok(Fault(code, subcode).with(reader.rest()))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.fault.0, self.fault.1]);
        out.extend(self.data.iter().take(Self::DATA_OCTETS_MAX));
    }
}
