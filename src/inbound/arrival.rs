//! A call that arrives: the dialed number, as one plan knows it.

use super::Destination;
use crate::decision::Decision;
use crate::id::EnvironmentId;
use crate::number::{Attestation, Caller, DialPlan, E164, NumberError};
use crate::plan::{NumberView, Plan};

/// An inbound call on one plan.
///
/// # Cost
/// One lookup of the dialed number in the plan.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    plan: &'a Plan,
    dialed: E164,
    environment: Option<EnvironmentId>,
}

impl<'a> Arrival<'a> {
    /// Returns the arrival of a call to `dialed`.
    pub fn at(plan: &'a Plan, dialed: E164) -> Self {
        Self::known(plan, dialed, plan.dialed(dialed).map(NumberView::environment))
    }

    /// Returns the arrival of a call to `dialed`, whose environment is known from an earlier look at the same plan.
    pub fn known(plan: &'a Plan, dialed: E164, environment: Option<EnvironmentId>) -> Self {
        Self { plan, dialed, environment }
    }

    /// Reads the dialed number, which must be in international form, from a number or a SIP or `tel:` URI.
    ///
    /// # Errors
    /// The text is not a number.
    pub fn read(plan: &'a Plan, dialed: &str) -> Result<Self, NumberError> {
        Ok(Self::at(plan, E164::parse(dialed, &DialPlan::NONE)?))
    }

    /// Hides the dialed number from an asker that may not see its environment: it is then a number in no plan.
    #[must_use]
    pub fn seen_by(self, may_see: impl FnOnce(EnvironmentId) -> bool) -> Self {
        Self { environment: self.environment.filter(|environment| may_see(*environment)), ..self }
    }

    /// Returns the dialed number.
    pub fn dialed(&self) -> E164 {
        self.dialed
    }

    /// Returns the plan that this call is decided on.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// Returns the environment that has the dialed number.
    pub fn environment(&self) -> Option<EnvironmentId> {
        self.environment
    }

    /// Returns the dial plan by which the caller's number is read: that of the environment that has the dialed number.
    pub fn dial_plan(&self) -> DialPlan {
        let environment = self.environment.and_then(|environment| self.plan.environment(environment));
        environment.map_or(DialPlan::NONE, |environment| *environment.dial_plan())
    }

    /// Reads what a trunk sent as the caller. Never fails: a text without a number is a withheld caller. So is a number
    /// whose attestation in the text ([`Attestation::of`]) is below what the environment requires.
    pub fn caller(&self, text: &str) -> Caller {
        self.attested(Caller::parse(text, &self.dial_plan()), || Attestation::of(text))
    }

    /// Returns the caller, or a withheld one if the environment requires a higher attestation than the caller's.
    /// `attestation` is called only if the environment requires one.
    pub fn attested(&self, caller: Caller, attestation: impl FnOnce() -> Option<Attestation>) -> Caller {
        match self.required_attestation() {
            Some(required) if attestation() < Some(required) => Caller::Withheld,
            _ => caller,
        }
    }

    fn required_attestation(&self) -> Option<Attestation> {
        let environment = self.environment.filter(|_| self.plan.requires_attestation())?;
        self.plan.environment(environment)?.required_attestation()
    }

    /// Returns the agent that takes the call, and what its address depends on; `None` if the call is unrouted.
    pub fn destination(&self, decision: &Decision) -> Option<Destination> {
        let (environment, agent) = self.environment.zip(decision.route.agent())?;
        Some(Destination { environment, agent, dialed: self.dialed })
    }
}
