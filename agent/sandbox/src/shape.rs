//! Bounds how fast a container sends and receives, by a token bucket on each side of its link.
//!
//! In: rates. Out: `tbf` queues: on the host's side for what goes to the container, inside for what it sends. Both queue before they drop, as a slow
//! link would, and end with the link. Rules: tc-tbf(8); header: linux/pkt_sched.h (`struct tc_tbf_qopt`).
//! A policer on the host's side would need no queue inside, but drops bursts that TCP then sends again; whoever may change queues inside
//! (`CAP_NET_ADMIN`) can undo ours.

use futures_util::{StreamExt as _, TryStreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};

use crate::seen::{failed, link};
use crate::{Finding, SandboxError, Wiring, netns};

/// How fast, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Octets a second, not 0.
    pub octets_per_second: u64,
    /// Octets that may go at once after a silence; 0 = as much as 10 ms allow, and no less than a segment of 64 KiB.
    pub burst_octets: u32,
}

/// Bounds of one attachment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Of what the container receives.
    pub ingress: Option<Rate>,
    /// Of what it sends.
    pub egress: Option<Rate>,
}

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
/// `TC_LINKLAYER_ETHERNET`: the kernel computes times itself, and wants no table of them.
const LINKLAYER_ETHERNET: u8 = 1;

/// The largest segment a veth hands on whole.
const SEGMENT_OCTETS: u64 = 64 << 10;
/// Milliseconds of the usual burst: some ticks of the slowest clock of kernels, 100 Hz.
const BURST_MILLISECONDS: u64 = 10;
/// How long a packet may wait, as the reference plugin has it.
const LATENCY_MILLISECONDS: u64 = 25;

impl Rate {
    fn burst(&self) -> u32 {
        let usual = (self.octets_per_second / 1000 * BURST_MILLISECONDS).max(SEGMENT_OCTETS);
        match self.burst_octets {
            0 => u32::try_from(usual).unwrap_or(u32::MAX),
            wanted => wanted,
        }
    }

    fn limit(&self) -> u32 {
        let waiting = self.octets_per_second / 1000 * LATENCY_MILLISECONDS + u64::from(self.burst());
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// Two `tc_ratespec`, of which the second, for peaks, is unused; then limit, buffer and MTU, of which `TCA_TBF_BURST` sets the second.
    fn parameters(&self) -> Vec<u8> {
        let slow = u32::try_from(self.octets_per_second).unwrap_or(u32::MAX);
        let mut octets = vec![0, LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
        octets.extend(slow.to_ne_bytes());
        octets.extend([0; 12]);
        octets.extend(self.limit().to_ne_bytes());
        octets.extend([0; 8]);
        octets
    }

    fn options(&self) -> Vec<TcOption> {
        let option = |kind, value| TcOption::Other(DefaultNla::new(kind, value));
        vec![
            option(TCA_TBF_PARMS, self.parameters()),
            option(TCA_TBF_RATE64, self.octets_per_second.to_ne_bytes().to_vec()),
            option(TCA_TBF_BURST, self.burst().to_ne_bytes().to_vec()),
        ]
    }
}

/// Sets the bounds; idempotent. `host_interface` is the host's side of the link, in the namespace of the caller.
pub async fn shape(wiring: &Wiring, host_interface: &str, shape: &Shape) -> Result<(), SandboxError> {
    if let Some(rate) = shape.ingress {
        bound(&netns::connect_here()?, host_interface, rate).await?;
    }
    if let Some(rate) = shape.egress {
        bound(&netns::connect(&wiring.netns)?, &wiring.interface, rate).await?;
    }
    Ok(())
}

/// Which of the bounds are missing.
pub async fn inspect_shape(wiring: &Wiring, host_interface: &str, shape: &Shape) -> Result<Vec<Finding>, SandboxError> {
    let mut findings = Vec::new();
    if shape.ingress.is_some() {
        findings.extend(unbound(&netns::connect_here()?, host_interface).await?);
    }
    if shape.egress.is_some() {
        findings.extend(unbound(&netns::connect(&wiring.netns)?, &wiring.interface).await?);
    }
    Ok(findings)
}

async fn bound(handle: &Handle, interface: &str, rate: Rate) -> Result<(), SandboxError> {
    let refused =
        |source| failed(format!("bound interface {interface} to {} octets a second", rate.octets_per_second), source);
    let mut message = TcMessage::with_index(index(handle, interface).await?);
    message.header.parent = TcHandle::ROOT;
    message.header.handle = TcHandle { major: 1, minor: 0 };
    message.attributes = vec![TcAttribute::Kind("tbf".to_owned()), TcAttribute::Options(rate.options())];
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let mut answers = handle.clone().request(request).map_err(refused)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload
            && error.code.is_some()
        {
            return Err(refused(rtnetlink::Error::NetlinkError(error)));
        }
    }
    Ok(())
}

async fn unbound(handle: &Handle, interface: &str) -> Result<Option<Finding>, SandboxError> {
    let index = index(handle, interface).await?;
    let queues: Vec<TcMessage> = handle
        .qdisc()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|source| failed("read queues".to_owned(), source))?;
    let is_bound = queues.iter().filter(|queue| queue.header.index == index).any(is_token_bucket);
    Ok((!is_bound).then(|| Finding::Unbound { interface: interface.to_owned() }))
}

fn is_token_bucket(queue: &TcMessage) -> bool {
    queue.attributes.iter().any(|attribute| matches!(attribute, TcAttribute::Kind(kind) if kind == "tbf"))
}

async fn index(handle: &Handle, interface: &str) -> Result<i32, SandboxError> {
    let link = link(handle, interface).await?;
    link.and_then(|link| i32::try_from(link.header.index).ok())
        .ok_or_else(|| SandboxError::Missing { interface: interface.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_that_nobody_names_lets_a_whole_segment_pass() {
        let slow = Rate { octets_per_second: 125_000, burst_octets: 0 };
        let fast = Rate { octets_per_second: 1_250_000_000, burst_octets: 0 };

        assert_eq!((slow.burst(), fast.burst()), (65_536, 12_500_000));
        assert_eq!(Rate { burst_octets: 4096, ..slow }.burst(), 4096);
        assert_eq!(slow.limit(), 65_536 + 3125);
    }

    #[test]
    fn parameters_have_the_layout_of_the_header() {
        let parameters = Rate { octets_per_second: 0x0102_0304, burst_octets: 1 }.parameters();

        assert_eq!(parameters.len(), 36);
        assert_eq!(parameters[8..12], 0x0102_0304_u32.to_ne_bytes());
    }
}
