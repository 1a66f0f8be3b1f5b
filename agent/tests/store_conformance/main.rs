//! The laws of a store, held against the embedded one and against a real etcd.
//!
//! Needs Debian's `etcd-server` (any etcd from 3.4 on the path will do).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod differential;
mod etcd_only;
mod following;
mod laws;
mod leases;
mod races;
mod secured;
mod server;
mod words;

/// Runs each law once for each kind of store.
macro_rules! hold {
    ($($module:ident::$law:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let file = crate::words::Directory::new();
                let store = crate::words::embedded(&file.path().join("store")).await;
                crate::words::in_time(crate::$module::$law(store)).await;
            })*
        }
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let server = crate::server::Server::start().await;
                crate::words::in_time(crate::$module::$law(server.store().await)).await;
            })*
        }
    };
}

hold! {
    laws::a_new_store_is_empty_at_revision_one,
    laws::a_snapshot_holds_the_prefix_in_order,
    laws::a_selection_holds_its_parts_once_and_in_order,
    races::a_watch_after_a_snapshot_misses_nothing,
    laws::each_compare_holds_when_it_says_so,
    laws::a_refused_transaction_shows_what_stands,
    laws::one_transaction_is_one_batch,
    laws::deleting_the_absent_changes_nothing,
    laws::what_is_compacted_cannot_be_watched,
    laws::what_is_to_come_cannot_be_watched,
    leases::an_ended_lease_takes_its_keys_along,
    leases::a_lease_kept_alive_holds_its_keys,
    leases::a_lease_lets_go_of_a_key_put_without_it,
    races::of_racing_claimants_one_wins,
    races::no_increment_is_lost,
    races::a_long_snapshot_is_true_at_one_revision,
    laws::bounds_are_told_before_they_hurt,
    following::a_follower_hears_all_that_happens,
    following::a_follower_that_slept_through_a_compaction_wakes_to_the_truth,
}
