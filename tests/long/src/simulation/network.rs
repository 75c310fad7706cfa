//! The network between controllers and agents: messages of the wire, in no order that it promises.
//!
//! It is worse than TCP: within a session it loses, doubles and overtakes, and what was once said to an agent may come again
//! at any later time, in another session too. Only a controller that has crashed is never reached again.

use parallax_wire::pb::link::session_request::Message as Said;
use parallax_wire::pb::link::session_response::Message as Told;

/// Messages to one agent that may come again.
const REMEMBERED_MAX: usize = 60;

#[derive(Clone, Debug)]
pub(super) enum Body {
    ToAgent(Told),
    ToController { epoch: i64, process: u32, said: Said },
}

/// A message under way between the controller and one agent.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub agent: usize,
    pub body: Body,
}

/// One agent's connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    pub up_is_cut: bool,
    pub down_is_cut: bool,
}

pub(super) struct Network {
    pub links: Vec<Link>,
    pub in_flight: Vec<InFlight>,
    remembered: Vec<InFlight>,
}

impl Network {
    pub(super) fn new(agents: usize) -> Self {
        let links = vec![Link::default(); agents];
        Self { links, in_flight: Vec::new(), remembered: Vec::new() }
    }

    pub(super) fn send(&mut self, message: InFlight) {
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.remove(0);
        }
        self.remembered.push(message.clone());
        self.in_flight.push(message);
    }

    /// What may be delivered now, oldest first.
    pub(super) fn deliverable(&self) -> Vec<usize> {
        let is_open = |it: &InFlight| match it.body {
            Body::ToAgent(_) => !self.links[it.agent].down_is_cut,
            Body::ToController { .. } => !self.links[it.agent].up_is_cut,
        };
        (0..self.in_flight.len()).filter(|index| is_open(&self.in_flight[*index])).collect()
    }

    /// What was said and may be said again.
    pub(super) fn remembered(&self) -> &[InFlight] {
        &self.remembered
    }

    /// The last offer of an attempt, as it was recorded.
    pub(super) fn offer_of(&self, attempt: &str) -> Option<InFlight> {
        let is_offer = |it: &&InFlight| match &it.body {
            Body::ToAgent(Told::Offer(offer)) => {
                offer.logon.as_ref().is_some_and(|it| it.attempt == attempt)
            }
            Body::ToAgent(_) | Body::ToController { .. } => false,
        };
        self.remembered.iter().rev().find(is_offer).cloned()
    }

    /// The go of an attempt, as it was recorded.
    pub(super) fn go_of(&self, attempt: &str) -> Option<InFlight> {
        let is_go = |it: &&InFlight| matches!(&it.body, Body::ToAgent(Told::Go(go)) if go.attempt == attempt);
        self.remembered.iter().rev().find(is_go).cloned()
    }

    /// A process of the controller is gone: nothing reaches it, nothing more of it was sent.
    pub(super) fn forget_process(&mut self) {
        let is_to_agent = |it: &InFlight| matches!(it.body, Body::ToAgent(_));
        self.in_flight.retain(is_to_agent);
        self.remembered.retain(is_to_agent);
    }
}

/// The words of a trace.
pub(super) fn describe(body: &Body) -> (&'static str, Option<&str>, &str) {
    match body {
        Body::ToAgent(told) => match told {
            Told::Offer(it) => ("offer", it.logon.as_ref().map(|it| it.attempt.as_str()), &it.task),
            Told::Go(it) => ("go", Some(&it.attempt), ""),
            Told::Deny(it) => ("deny", Some(&it.attempt), &it.reason),
            Told::Acknowledge(it) => ("acknowledge", None, &it.task),
            Told::Cancel(it) => ("cancel", None, &it.task),
            Told::GoAway(it) => ("go away", None, &it.reason),
            Told::Welcome(_) => ("welcome", None, ""),
            Told::Heartbeat(_) => ("heartbeat", None, ""),
        },
        Body::ToController { said, .. } => match said {
            Said::Hello(_) => ("hello", None, ""),
            Said::Accept(it) => ("accept", None, &it.task),
            Said::Refuse(it) => ("refuse", None, &it.task),
            Said::Progress(it) => ("progress", None, &it.task),
            Said::Begin(it) => ("begin", Some(&it.attempt), &it.task),
            Said::Result(it) => ("result", None, &it.task),
            Said::Heartbeat(_) => ("heartbeat", None, ""),
        },
    }
}
