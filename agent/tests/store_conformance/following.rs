//! What must be true of a follower, whatever the store.

use crate::words::{Belief, Subject, delete, heard, put};
use poplin_agent::store::{Followed, follow};

pub(crate) async fn a_follower_hears_all_that_happens(store: Subject) {
    put(&store, "/f/old", "").await;
    let mut followed = follow(store.clone(), "/f/".into());
    assert!(matches!(heard(&mut followed).await, Followed::Snapshot(snapshot) if snapshot.entries.len() == 1));

    put(&store, "/g/elsewhere", "").await;
    let first = put(&store, "/f/new", "").await;
    let second = delete(&store, "/f/old").await;

    assert!(matches!(heard(&mut followed).await, Followed::Changes(batch) if batch.revision == first));
    assert!(matches!(heard(&mut followed).await, Followed::Changes(batch) if batch.revision == second));
}

/// The follower's channel fills, the watch stands still, and the store forgets what it has not told yet.
pub(crate) async fn a_follower_that_slept_through_a_compaction_wakes_to_the_truth(store: Subject) {
    let mut followed = follow(store.clone(), "/f/".into());
    let mut belief = Belief::default();
    belief.hear(heard(&mut followed).await);
    let large = "x".repeat(20_000);
    for turn in 0..400 {
        put(&store, &format!("/f/{}", turn % 7), &large).await;
        delete(&store, &format!("/f/{}", turn % 5)).await;
    }
    let now = put(&store, "/f/last", "").await;
    store.compact(now).await.unwrap();

    let mut losses = Vec::new();
    while belief.revision < now {
        let followed = heard(&mut followed).await;
        losses.extend(reason(&followed));
        belief.hear(followed);
    }

    assert_eq!(belief, Belief::of(store.snapshot("/f/").await.unwrap()));
    assert!(losses.len() == 1 && losses[0].contains("compacted"), "{losses:?}");
}

fn reason(followed: &Followed) -> Option<String> {
    match followed {
        Followed::Lost { reason } => Some(reason.clone()),
        Followed::Snapshot(_) | Followed::Changes(_) => None,
    }
}
