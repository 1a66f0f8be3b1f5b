//! Waits until the host's end of a veth sends.
//!
//! In: a netlink connection inside the container's namespace, and the end in there as it was read, which has just come up. The host's end was raised before, and
//! the kernel takes note that it has a carrier now by work it puts off (linux net/core/link_watch.c): until then what the host sends is lost, and without a trace. On a
//! busy machine one in fifty first packets to a new container was, and TCP repeats it after a second. From Linux 6.8 on, whoever asks for a link has that
//! work done first; before, asking again and again does.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, State};
use rtnetlink::Handle;

/// Whoever attaches waits no longer than that: the host's end may be down for reasons of its own.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(1);

/// Until the other end of a veth sends; at once for what is no veth, or where the kernel does not tell of other namespaces (before Linux 4.15).
pub(crate) async fn until_the_far_end_sends(handle: &Handle, own: &LinkMessage) {
    let Some((namespace, index)) = far_end(own) else { return };
    let begin = Instant::now();
    while let Some(far) = far_link(handle, namespace, index).await
        && !is_carrying(&far)
        && begin.elapsed() < PATIENCE
    {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where the other end is, as the kernel numbers namespaces seen from this one, and its index there.
fn far_end(own: &LinkMessage) -> Option<(i32, u32)> {
    let attributes = || own.attributes.iter();
    let namespace =
        attributes().find_map(|one| if let LinkAttribute::LinkNetNsId(id) = one { Some(*id) } else { None })?;
    let index = attributes().find_map(|one| if let LinkAttribute::Link(index) = one { Some(*index) } else { None })?;
    Some((namespace, index))
}

async fn far_link(handle: &Handle, namespace: i32, index: u32) -> Option<LinkMessage> {
    let mut request = handle.link().get().match_index(index);
    request.message_mut().attributes.push(LinkAttribute::IfNetnsId(namespace));
    request.execute().try_next().await.ok().flatten()
}

fn is_carrying(far: &LinkMessage) -> bool {
    far.attributes.iter().any(|one| matches!(one, LinkAttribute::OperState(State::Up | State::Unknown)))
}
