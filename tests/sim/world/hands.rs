//! The hands of a node in a world: orders to its kernel, one after the other, and what is read of it.

use super::*;

impl World {
    pub(super) fn order(&mut self, host: HostId, order: Order) {
        let one = &mut self.hosts[host];
        one.orders.push_back(order);
        if one.orders.len() == 1 {
            self.work_soon(host);
        }
    }

    pub(super) fn work_soon(&mut self, host: HostId) {
        let (delay, life) = (self.slow(), self.hosts[host].life);
        self.queue_up(host, life, self.now + delay, Happening::Work);
    }

    pub(super) fn work(&mut self, host: HostId) {
        match self.hosts[host].orders.pop_front() {
            Some(Order::Read) => self.read_kernel(host),
            Some(Order::Apply(steps)) => {
                let outcome = self.carry_out(host, &steps);
                let is_failed = outcome.is_err();
                self.send(host, Source::Kernel, Event::StepsDone(outcome));
                if is_failed {
                    self.read_kernel(host);
                }
                // The kernel tells of links that come, and their numbers are known by that alone.
                let has_come = steps.iter().any(|step| matches!(step, Step::SetTunnel(_)));
                if self.chance.one_in(8) || has_come {
                    self.notice(host); // our own changes may be taken for another hand's
                }
            }
            None => {}
        }
        if !self.hosts[host].orders.is_empty() {
            self.work_soon(host);
        }
    }

    pub(super) fn carry_out(&mut self, host: HostId, steps: &[Step]) -> Result<(), StepFailure> {
        for step in steps {
            let fails = self.hosts[host].step_fails_one_in.max(self.unkind.step_fails_one_in);
            if self.is_unlucky(fails) {
                let kind = match step {
                    Step::ChangeRules(_) => StepFailureKind::RulesOutOfStep,
                    _ => StepFailureKind::Other,
                };
                return Err(StepFailure { step: step.clone(), kind, reason: "made so".to_owned() });
            }
            self.hosts[host].kernel.carry_out(step)?;
            self.hosts[host].done.push(step.clone());
        }
        laws::batch(self, host);
        Ok(())
    }

    pub(super) fn read_kernel(&mut self, host: HostId) {
        let one = &mut self.hosts[host];
        one.readings.push_back(one.kernel.drifts);
        let event = Event::KernelRead(one.kernel.state.clone());
        self.send(host, Source::Kernel, event);
    }
}
