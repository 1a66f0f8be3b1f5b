//! When the head is due next. To tell the runtime is work, so that is done only when it is another time than before, and most events change nothing.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

/// Until when nobody waits: a year is longer than anything is due in, and within what timers of tokio can hold.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Rings at one time.
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    never: tokio::time::Instant,
}

impl Default for Alarm {
    /// It rings never.
    fn default() -> Self {
        let never = tokio::time::Instant::now() + NEVER;
        Self { sleep: Box::pin(sleep_until(never)), never }
    }
}

impl Alarm {
    /// It rings at this time, or never.
    pub fn set(&mut self, deadline: Option<Instant>) {
        let deadline = deadline.map_or(self.never, tokio::time::Instant::from_std);
        if deadline != self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Waits until it rings; once it has, it rings at once until it is set anew.
    pub async fn ring(&mut self) {
        self.sleep.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_when_it_was_last_set_to_and_not_before() {
        let far = Some(Instant::now() + Duration::from_secs(3600));
        let mut alarm = Alarm::default();

        for _ in 0..2 {
            let near = Instant::now() + Duration::from_millis(20);
            alarm.set(far);
            alarm.set(None);
            alarm.set(Some(near));
            alarm.set(Some(near));
            alarm.ring().await;
            assert!(Instant::now() >= near);
        }
    }
}
