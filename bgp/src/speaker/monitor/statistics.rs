//! How many of what, told to each station at its own pace.
//!
//! Rules: RFC 7854 §4.8, RFC 9069 §4.7.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    bmp::{Message, Statistic, View},
    session::{Established, Session},
    wire::Family,
};

use super::{super::Speaker, Station, about, table};

impl Speaker {
    /// When the next station is due.
    pub(crate) fn statistics_due(&self) -> Option<Instant> {
        self.monitor.stations.values().filter_map(|station| station.statistics_at).min()
    }

    /// Time passed.
    pub(crate) fn tick_stations(&mut self, now: Instant) {
        let mut stations = std::mem::take(&mut self.monitor.stations);
        let is_due = |station: &&mut Station| station.statistics_at.is_some_and(|at| at <= now);
        for station in stations.values_mut().filter(is_due) {
            station.statistics_at = station.terms.statistics.map(|interval| now + interval);
            self.tell_statistics(now, station);
        }
        self.monitor.stations = stations;
    }

    fn tell_statistics(&self, now: Instant, station: &mut Station) {
        let time = station.clock.read(now);
        let sessions = self.sessions.values().filter(|_| station.sees_neighbours());
        let all: Vec<_> = sessions.filter_map(|session| Some((session, session.established()?))).collect();
        for (session, established) in all {
            let statistics = self.statistics_of(session, &established);
            station.tell(&Message::Statistics(about(View::AdjRibInPre, &established, time), statistics));
        }
        if station.sees(View::LocRib) {
            station.tell(&Message::Statistics(table(self.config, time), self.statistics_of_table()));
        }
    }

    fn statistics_of(&self, session: &Session, established: &Established<'_>) -> Vec<Statistic> {
        let refused = session.record().refused;
        let held = |family| self.table.count(established.source().neighbour, family) as u64;
        let families = established.families().map(|(family, _)| Statistic::AdjRibInOf(family, held(family)));
        let all = Family::ALL.into_iter().map(held).sum();
        let counters = [
            Statistic::RejectedByRules(refused.by_rules),
            Statistic::Looped(refused.looped),
            Statistic::Reflected(refused.reflected),
            Statistic::AdjRibIn(all),
        ];
        counters.into_iter().chain(families).collect()
    }

    fn statistics_of_table(&self) -> Vec<Statistic> {
        let mut counts = BTreeMap::from(Family::ALL.map(|family| (family, 0)));
        self.table.in_use().for_each(|prefix| *counts.entry(Family::of_prefix(&prefix)).or_default() += 1);
        let families = counts.iter().map(|(&family, &count)| Statistic::LocRibOf(family, count));
        [Statistic::LocRib(counts.values().sum())].into_iter().chain(families).collect()
    }
}
