//! Over real connections, with a neighbour that reads when the test says so.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

use poplin_node::Event;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::shield::Shield;
use super::*;

/// More than the sockets of both ends hold, and fewer tellings than there is room for.
const PIECES: usize = 400;
const PIECE_OCTETS: usize = 64 << 10;
const ROOM: usize = 100_000;

/// A writer that does not work yet, what it tells the speaker, and the neighbour's end.
async fn line() -> (Pen, Writer, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let (pen, writer) = Writer::new(ConnectionId(1), near.into_split().1);
    (pen, writer, far)
}

fn speaker() -> (Shared, mpsc::Receiver<Event>) {
    let (events, told) = mpsc::channel(ROOM);
    let (opened, _) = unbounded_channel();
    let shield = Shield::new(Vec::new());
    (Shared { sources: BTreeSet::new(), events, opened, connections: AtomicU64::new(0), shield }, told)
}

/// The next telling of how much waits.
async fn waits(told: &mut mpsc::Receiver<Event>) -> usize {
    match told.recv().await {
        Some(Event::Bgp(BgpEvent::Waits { octets, .. })) => octets,
        other => panic!("{other:?}"),
    }
}

fn piece(number: usize) -> Vec<u8> {
    let octets = PIECE_OCTETS - number;
    (0..octets).map(|octet| u8::try_from((octet + number) % 251).unwrap()).collect()
}

#[tokio::test]
async fn a_neighbour_that_reads_late_gets_every_piece_in_order_and_the_speaker_hears_what_waits() {
    let (mut pen, writer, mut far) = line().await;
    let (shared, mut told) = speaker();
    let all: Vec<u8> = (0..PIECES).flat_map(piece).collect();

    (0..PIECES).for_each(|number| pen.write(piece(number).into()));
    let work = tokio::spawn(async move { writer.run(&shared).await });
    assert!((1..all.len()).contains(&waits(&mut told).await), "some is in the sockets");
    let mut heard = vec![0; all.len()];
    far.read_exact(&mut heard).await.unwrap();

    assert!(heard == all);
    while waits(&mut told).await > 0 {}
    drop(pen);
    assert_eq!(work.await.unwrap(), "closed");
}

#[tokio::test]
async fn a_few_octets_with_nothing_before_them_wait_for_no_task() {
    let (mut pen, _idle, mut far) = line().await;

    pen.write(vec![1, 2, 3].into());

    let mut heard = [0; 3];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, [1, 2, 3]);
}

#[tokio::test]
async fn what_a_neighbour_has_is_told_and_what_waits_is_not() {
    let (mut pen, writer, mut far) = line().await;
    let (shared, mut told) = speaker();
    let events = shared.events.clone();

    pen.write(vec![1, 2, 3].into());
    pen.await_acknowledged(ConnectionId(1), events.clone());
    assert!(
        matches!(told.recv().await, Some(Event::Bgp(BgpEvent::Acknowledged { .. }))),
        "its kernel has it, read or not"
    );

    (0..PIECES).for_each(|number| pen.write(piece(number).into()));
    pen.await_acknowledged(ConnectionId(1), events);
    let work = tokio::spawn(async move { writer.run(&shared).await });
    assert!(waits(&mut told).await > 0, "not acknowledged: it waits");
    let mut heard = vec![0; 3 + (0..PIECES).map(|number| PIECE_OCTETS - number).sum::<usize>()];
    far.read_exact(&mut heard).await.unwrap();

    while !matches!(told.recv().await, Some(Event::Bgp(BgpEvent::Acknowledged { .. }))) {}
    drop(pen);
    assert_eq!(work.await.unwrap(), "closed");
}

#[tokio::test]
async fn octets_are_counted_alike_whoever_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let ends = [dialled, accepted].map(TcpStream::into_split);
    let (_readers, writers): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let mut ends: Vec<_> = writers.into_iter().map(|writer| Writer::new(ConnectionId(1), writer)).collect();

    for (pen, writer) in &mut ends {
        assert_eq!(writer.line.acknowledged().unwrap(), 0);
        pen.write(vec![1, 2, 3].into());
        while writer.line.acknowledged().unwrap() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(writer.line.acknowledged().unwrap(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_is_not_asked_any_more() {
    let (mut pen, writer, far) = line().await;
    let (shared, mut told) = speaker();
    (0..PIECES).for_each(|number| pen.write(piece(number).into()));
    pen.await_acknowledged(ConnectionId(1), shared.events.clone());
    drop((pen, writer, shared, far));

    assert!(told.recv().await.is_none(), "whoever asked has let go of the way to tell");
}
