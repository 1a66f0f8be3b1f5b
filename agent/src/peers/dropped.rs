//! What the kernel drops of connections that are protected: it says so in counters only, one for all neighbours together.
//!
//! In: `/proc/net/netstat`. Out: how much was dropped meanwhile, and what that may mean for a dial that came to nothing.

use poplin_bgp::Protection;

/// How many segments the kernel has dropped since it started, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Signed with another password.
    mismatched: u64,
    /// Not signed, and should be.
    unsigned: u64,
    /// Signed, and nobody asked for it.
    unexpected: u64,
    /// From too far away.
    distant: u64,
}

impl Dropped {
    /// How it stands now; nothing where the kernel does not count.
    pub(super) fn read() -> Self {
        std::fs::read_to_string("/proc/net/netstat").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Each protocol has two lines that begin alike: names, then numbers.
    fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return Self::default() };
        let number = |wanted: &str| {
            let pair = names.split(' ').zip(numbers.split(' ')).find(|(name, _)| *name == wanted);
            pair.and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
        };
        Self {
            mismatched: number("TCPMD5Failure"),
            unsigned: number("TCPMD5NotFound"),
            unexpected: number("TCPMD5Unexpected"),
            distant: number("TCPMinTTLDrop"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            mismatched: self.mismatched.saturating_sub(before.mismatched),
            unsigned: self.unsigned.saturating_sub(before.unsigned),
            unexpected: self.unexpected.saturating_sub(before.unexpected),
            distant: self.distant.saturating_sub(before.distant),
        }
    }

    /// What a neighbour that did not answer may mean by it, and what speaks for that. Whoever does not share a password hears nothing at all.
    pub(super) fn hints(self, before: Self, protection: &Protection) -> String {
        let dropped = self.since(before);
        let mut hints = String::new();
        let mut hint = |is_likely: bool, text: String| {
            if is_likely {
                hints.push_str("; ");
                hints.push_str(&text);
            }
        };
        match &protection.password_file {
            Some(file) => {
                let file = file.display();
                hint(true, format!("one with another password than that in {file} keeps silent"));
                hint(
                    dropped.mismatched > 0,
                    format!("{} segments came signed with another password", dropped.mismatched),
                );
                hint(dropped.unsigned > 0, format!("{} segments came without a signature", dropped.unsigned));
            }
            None => hint(
                dropped.unexpected > 0,
                format!("{} signed segments came from neighbours without a passwordFile", dropped.unexpected),
            ),
        }
        if let Some(hops) = protection.hops_max {
            hint(true, format!("one more than {hops} hops away is not heard"));
            hint(dropped.distant > 0, format!("{} packets came from farther", dropped.distant));
        }
        hints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU8;

    const TEXT: &str = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPMinTTLDrop\n\
                        TcpExt: 9 1 2 3 4\nIpExt: InNoRoutes\nIpExt: 7\n";

    #[test]
    fn the_kernels_counters_are_found_by_name() {
        let expected = Dropped { mismatched: 3, unsigned: 1, unexpected: 2, distant: 4 };
        assert_eq!(Dropped::parse(TEXT), expected);
        assert_eq!(Dropped::parse("TcpExt: SyncookiesSent\nTcpExt: 9\n"), Dropped::default());
    }

    #[test]
    fn a_silent_neighbour_is_explained_by_what_was_dropped_meanwhile() {
        let (before, now) = (Dropped::default(), Dropped::parse(TEXT));
        let signed = Protection { password_file: Some("/etc/poplin/tor.key".into()), hops_max: None };
        let near = Protection { password_file: None, hops_max: NonZeroU8::new(1) };

        let told = now.hints(before, &signed);
        assert_eq!(
            told,
            "; one with another password than that in /etc/poplin/tor.key keeps silent; 3 segments came signed with another \
             password; 1 segments came without a signature"
        );
        assert_eq!(now.hints(now, &Protection::default()), "");
        assert_eq!(
            now.hints(before, &near),
            "; 2 signed segments came from neighbours without a passwordFile; one more than 1 hops away is not heard; 4 packets came \
             from farther"
        );
    }
}
