//! Tells the service manager that started us how we are (sd_notify(3)). Without one, all of this says nothing to nobody.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What systemd hears of us.
pub(crate) struct Manager {
    /// When it wants to hear that we live; absent = it does not ask.
    alive: Option<Interval>,
}

impl Manager {
    /// Half of the time it waits, as sd_watchdog_enabled(3) advises.
    pub(crate) fn found() -> Self {
        let alive = sd_notify::watchdog_enabled().map(|patience| {
            let mut alive = interval((patience / 2).max(Duration::from_millis(1)));
            alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
            alive
        });
        Self { alive }
    }

    /// The doors are open. A store that is away is no reason to be taken for not started: what was in force is.
    pub(crate) fn serving(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// Comes when it is time to say that we live; asked by the loop, so that a loop that is stuck says nothing.
    pub(crate) async fn asks(&mut self) {
        match &mut self.alive {
            Some(alive) => drop(alive.tick().await),
            None => std::future::pending().await,
        }
    }

    pub(crate) fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told how we are: {error}");
    }
}
