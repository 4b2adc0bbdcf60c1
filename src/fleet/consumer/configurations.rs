//! Configurations: which ones the node accepts, and which ones the stream lacks.

use super::super::StepError;
use super::super::elapsed::{elapsed, millis};
use super::super::link::{Standing, digest};
use super::super::stream::{Position, StreamError};
use super::place::Why;
use super::{Consumer, Load};
use crate::event::{Configuration, Event};

impl Consumer {
    /// Stops the exchange of configurations, for the given reason.
    pub(super) fn conflict(&mut self, what: String) {
        self.place.is_in_conflict = true;
        self.link.conflict(what);
    }

    pub(super) fn is_in_conflict(&self) -> bool {
        matches!(self.link.state().standing, Standing::Conflict(_))
    }

    /// Returns the number of configurations, including those in `load`.
    pub(super) fn generation(&self, load: &Load) -> u64 {
        self.service.plan().generation() + load.configurations
    }

    /// Returns the digest of one of the node's own configurations, or 0 if there is none with this sequence.
    pub(super) fn digest(&self, sequence: u64) -> Result<u64, StepError> {
        Ok(self.fleet_state.configuration(sequence)?.as_ref().map_or(0, digest))
    }

    /// Accepts a configuration if it follows the last accepted one. All nodes read the same order, so all accept the
    /// same configurations. A configuration that was ordered after a message which the stream has since lost follows
    /// nothing, and each node skips it.
    pub(super) fn take_configuration(
        &mut self,
        configuration: &Configuration,
        parent: u64,
        position: Position,
        load: &mut Load,
    ) -> Result<(), StepError> {
        if self.is_in_conflict() {
            return Ok(());
        }
        if let Some(lost) = self.passed_configuration(position) {
            let bounds = self.link.stream.bounds()?;
            self.begin_again(&bounds, Why::Lost)?;
            return Err(StepError::Lost(lost));
        }
        let sequence = configuration.sequence;
        let known = self.generation(load);
        let of_stream = self.place.sequence..=self.place.sequence + 1;
        if self.is_whole && !of_stream.contains(&sequence) {
            return self.pass_over(position);
        }
        if sequence > known + 1 {
            return Err(StepError::Missing { sequence: known + 1 });
        }
        // Commit the pending configurations first: the comparison below reads the store.
        if load.configurations > 0 {
            self.hand_in(std::mem::take(load))?;
        }
        let follows = parent == self.digest(sequence - 1)?;
        let held = if sequence > known { None } else { self.fleet_state.configuration(sequence)? };
        match held {
            // It may be the node's own: on its way into the store, or published with an unknown outcome.
            None if follows => {
                if !self.is_whole {
                    // The messages before may name agents and numbers of this configuration, and were ignored then.
                    self.place.gap = self.place.gap.max(position);
                }
                load.configurations += 1;
                load.others += 1;
                load.events.push(Event::Configuration(configuration.clone()));
            }
            Some(held) if digest(&held) == digest(configuration) => {}
            held if self.is_whole && (held.is_none() || sequence == self.place.sequence || !follows) => {
                return self.pass_over(position);
            }
            _ => {
                self.conflict(format!("configuration {sequence} of the stream differs from this node's"));
                return Ok(());
            }
        }
        self.is_whole = true;
        (self.place.configuration, self.place.accepted, self.place.sequence) = (position, position, sequence);
        self.link.state().note(position, configuration, parent);
        Ok(())
    }

    /// Skips a configuration. Its message is the last one of its subject all the same.
    ///
    /// # Errors
    /// Begins again and returns [`StepError::Lost`] if the stream no longer holds the last configuration that this node
    /// accepted. Nodes that never had it cannot follow it: they publish their configurations again, from the first one
    /// on. A node that passed over them would go on with configurations that no other node accepts. It begins again,
    /// reads what all nodes read, and then publishes the configurations that they lack.
    fn pass_over(&mut self, position: Position) -> Result<(), StepError> {
        let accepted = self.place.accepted;
        let bounds = self.link.stream.bounds()?;
        // A node that has accepted nothing since it began again at the stream's present beginning reads what all nodes
        // read there.
        let reads_all = accepted == Position::START && self.began_at == bounds.first;
        if accepted < bounds.first && !reads_all {
            self.begin_again(&bounds, Why::Lost)?;
            return Err(StepError::Lost(accepted));
        }
        self.link.metrics.count_refused(1);
        self.take_place(position);
        Ok(())
    }

    /// Notes a message among the configurations that changes nothing. The next configuration has to follow it.
    pub(super) fn take_place(&mut self, position: Position) {
        self.place.configuration = position;
        self.link.state().take_place(position);
    }

    /// Permits publications and changes, once the node has consumed what the stream held when it became reachable.
    ///
    /// First publishes the configurations that the stream lost or never had. Then permits calls to be published. After
    /// the `settle` time, permits changes of the configuration.
    pub(super) fn settle(&mut self) -> Result<(), StepError> {
        if self.is_in_conflict() || self.place.position < self.target || !self.has_joined {
            return Ok(());
        }
        let standing = self.link.state().standing.clone();
        if standing == Standing::Unsettled {
            if self.is_still_blind() {
                return Ok(());
            }
            let generation = self.service.plan().generation();
            let sequence = self.link.state().sequence;
            for sequence in sequence + 1..=generation {
                let configuration = self.fleet_state.configuration(sequence)?.ok_or(StepError::Missing { sequence })?;
                match self.link.publish_next(&configuration) {
                    Ok(()) => self.link.metrics.count_republished(1),
                    // Another node is publishing them: consume its messages first.
                    Err(StreamError::Superseded) => {
                        self.target = self.link.stream.bounds()?.last;
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.link.stand(Standing::Settling, self.losses);
        }
        let settle = millis(self.link.settings.settle);
        if standing == Standing::Settling && elapsed(self.link.now(), &mut self.back_at) >= settle {
            self.link.stand(Standing::Settled, self.losses);
        }
        Ok(())
    }

    /// Returns the position of a configuration that the stream acknowledged to this node, if the stream does not deliver it
    /// before the one at `position`. It was lost, and calls that this node has published since may be in its place: the other
    /// nodes have ignored those of the lost configuration's agents.
    fn passed_configuration(&self, position: Position) -> Option<Position> {
        let acknowledged = self.link.state().configuration;
        (self.place.configuration < acknowledged && acknowledged < position).then_some(acknowledged)
    }

    /// Returns the position of a configuration that the stream acknowledged to this node and has lost since. The node
    /// has then read past the position and found another configuration there, or none that it accepts.
    pub(super) fn lost_configuration(&self) -> Option<Position> {
        let state = self.link.state();
        let is_known = (state.configuration, state.sequence) == (self.place.configuration, self.place.sequence);
        let is_lost = !is_known && state.configuration <= self.place.position;
        (is_lost && !matches!(state.standing, Standing::Conflict(_))).then_some(state.configuration)
    }
}
