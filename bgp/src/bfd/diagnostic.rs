//! Why a session last left the state Up, in the words of the standard.
//!
//! Rules: RFC 5880 §4.1.

use std::fmt;

/// A diagnostic code; five bits on the wire, and codes without a name are passed on as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing has happened yet.
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the detection time.
    pub const EXPIRED: Self = Self(1);
    /// The other end says that it does not hear us, or that it begins anew.
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    /// Somebody switched the session off.
    pub const ADMINISTRATIVE: Self = Self(7);

    /// Takes the lower five bits.
    pub fn new(code: u8) -> Self {
        Self(code & 0b1_1111)
    }

    /// The code, below 32.
    pub fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbour signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            code => return write!(f, "diagnostic {code}"),
        })
    }
}
