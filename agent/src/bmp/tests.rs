//! A station on the loopback: dialled, told, hung up on.

use tokio::net::TcpListener;

use super::*;

struct World {
    stations: Stations,
    events: mpsc::Receiver<Event>,
    listener: TcpListener,
}

fn everything() -> Monitoring {
    Monitoring { views: BTreeSet::new(), statistics: None }
}

impl World {
    async fn new() -> Self {
        let (sender, events) = mpsc::channel(64);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stations = Stations::new("h1", BTreeSet::new(), sender);
        stations.want(&[(listener.local_addr().unwrap(), everything())].into());
        Self { stations, events, listener }
    }

    async fn next(&mut self) -> BgpEvent {
        match self.events.recv().await {
            Some(Event::Bgp(event)) => event,
            other => panic!("{other:?} is about no station"),
        }
    }

    /// The station answers; the name of the connection, and its far end.
    async fn answered(&mut self) -> (ConnectionId, TcpStream) {
        let (stream, _) = self.listener.accept().await.unwrap();
        match self.next().await {
            BgpEvent::StationUp { connection, station, system, .. } => {
                assert_eq!(station, self.listener.local_addr().unwrap());
                assert_eq!(system.name, "h1");
                (connection, stream)
            }
            other => panic!("{other:?} is no station that listens"),
        }
    }
}

#[tokio::test]
async fn a_station_is_told_and_asked_for_room_once_all_is_written() {
    let mut world = World::new().await;
    let (connection, mut station) = world.answered().await;

    world.stations.report(connection, b"first ".to_vec());
    world.stations.report(connection, b"second".to_vec());

    let mut heard = [0; 12];
    station.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"first second");
    assert_eq!(world.next().await, BgpEvent::StationReady { connection });
}

#[tokio::test]
async fn a_station_that_does_not_read_is_hung_up_on_and_dialled_again() {
    let mut world = World::new().await;
    let (connection, _deaf) = world.answered().await;

    // What the kernel takes on either side of the loopback is less than half of what may wait.
    for _ in 0..=(2 * WAITING_MAX) >> 20 {
        world.stations.report(connection, vec![0; 1 << 20]);
        tokio::task::yield_now().await;
    }

    while world.next().await != (BgpEvent::StationDown { connection }) {}
    let (anew, mut station) = world.answered().await;
    assert_ne!(anew, connection);
    world.stations.report(connection, b"old".to_vec());
    world.stations.report(anew, b"new".to_vec());
    let mut heard = [0; 3];
    station.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"new", "what was meant for the old connection is dropped");
}

#[tokio::test]
async fn a_station_that_closes_is_dialled_again() {
    let mut world = World::new().await;
    let (connection, station) = world.answered().await;

    drop(station);

    assert_eq!(world.next().await, BgpEvent::StationDown { connection });
    world.answered().await;
}

#[tokio::test]
async fn a_station_that_is_not_wanted_any_more_hears_a_last_word() {
    let mut world = World::new().await;
    let (connection, mut station) = world.answered().await;
    world.stations.report(connection, b"routes".to_vec());
    assert_eq!(world.next().await, BgpEvent::StationReady { connection });

    world.stations.want(&BTreeMap::new());

    let mut heard = Vec::new();
    station.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"routes\x03\0\0\0\x0c\x05\0\x01\0\x02\0\0");
    assert_eq!(world.next().await, BgpEvent::StationDown { connection });
}

#[tokio::test]
async fn whoever_stops_says_goodbye() {
    let mut world = World::new().await;
    let (_, mut station) = world.answered().await;

    world.stations.stop().await;

    let mut heard = Vec::new();
    station.read_to_end(&mut heard).await.unwrap();
    assert!(heard.ends_with(&[5, 0, 1, 0, 2, 0, 0]), "{heard:?}");
}

#[tokio::test]
async fn other_terms_begin_a_new_connection() {
    let mut world = World::new().await;
    let (connection, _station) = world.answered().await;
    let terms = Monitoring { statistics: Some(Duration::from_secs(1)), ..everything() };

    world.stations.want(&[(world.listener.local_addr().unwrap(), terms)].into());

    let (mut is_down, mut is_up) = (false, false);
    while !(is_down && is_up) {
        match world.next().await {
            BgpEvent::StationDown { connection: old } => is_down = old == connection,
            BgpEvent::StationUp { connection: new, .. } => is_up = new != connection,
            other => panic!("{other:?}"),
        }
    }
}
