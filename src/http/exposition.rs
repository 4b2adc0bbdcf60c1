//! `GET /metrics`: everything that is counted, as Prometheus reads it. Takes no token, so it names no tenant, no agent
//! and no number: labels are words of this program only.

use super::Api;
use super::requests::Requests;
use crate::decision::{Reason, Route};
use crate::history::Stats;
use crate::id::AgentId;
use crate::metrics::{Fleet, FleetState, Histogram, SIP_METHODS, SIP_STATUSES, SipCounts, SipEvent, UpkeepCounts};
use crate::store::Durability;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Everything that is counted.
///
/// In the format that is asked for: OpenMetrics where it is named, else the older one, which everybody reads.
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "Prometheus' text", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    ))),
)]
pub(super) async fn show(State(api): State<Api>, headers: HeaderMap) -> Response {
    let mut registry = Registry::with_prefix("dialback");
    registry.register_collector(Box::new(Everything(api)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a string takes everything");
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    if accepts.into_iter().any(|accept| accept.contains("application/openmetrics-text")) {
        return ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response();
    }
    ([(CONTENT_TYPE, TEXT)], plain(&text)).into_response()
}

/// OpenMetrics as the older text format: there a counter's family has the name of its samples, and there are no units and
/// no end mark.
fn plain(text: &str) -> String {
    let counters: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "EOF"] | ["#", "UNIT", ..] => continue,
            ["#", what, name, rest] if counters.contains(&name) => {
                plain.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

#[derive(Debug)]
struct Everything(Api);

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let Self(api) = self;
        let mut page = Page(encoder);
        page.process(api)?;
        page.decisions(api)?;
        page.requests(&api.requests)?;
        page.commits(api)?;
        page.history(&api.service.history().stats())?;
        api.upkeep.as_ref().map_or(Ok(()), |counts| page.upkeep(counts))?;
        api.sip.as_ref().map_or(Ok(()), |counts| page.sip(counts))?;
        api.service.fleet().map_or(Ok(()), |fleet| page.fleet(fleet))
    }
}

/// What is written to.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn process(&mut self, api: &Api) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let help = "The version that is running; always 1";
        gauge(&mut self.family("build_info", help, None, MetricType::Gauge)?.encode_family(&version)?, 1)?;
        let generation = api.service.plan().generation();
        self.gauge("plan_generation", "Which configuration decisions read: how many there were", None, generation)
    }

    fn decisions(&mut self, api: &Api) -> fmt::Result {
        let metrics = api.service.metrics();
        let help = "Decisions by what was decided and why";
        let mut family = self.family("decisions", help, None, MetricType::Counter)?;
        for (route, reason) in outcomes() {
            let labels = [("decision", route.name()), ("reason", reason.name())];
            counter(&mut family.encode_family(&labels)?, metrics.decisions(route, reason))?;
        }
        let help = "How long a decision took, without the request around it";
        let family = self.family("decision_duration", help, Some(&Unit::Seconds), MetricType::Histogram);
        histogram(&mut family?, &api.requests.decisions, seconds)
    }

    fn requests(&mut self, requests: &Requests) -> fmt::Result {
        let all = requests.all();
        let help = "Requests by method, route template and status";
        let mut family = self.family("http_requests", help, None, MetricType::Counter)?;
        for ((method, route), counts) in &all {
            for (status, count) in counts.statuses() {
                let status = status.to_string();
                let labels = [("method", *method), ("route", &**route), ("status", &*status)];
                counter(&mut family.encode_family(&labels)?, count)?;
            }
        }
        let help = "How long a request took, from its head to the head of the answer";
        let mut family = self.family("http_request_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for ((method, route), counts) in &all {
            let labels = [("method", *method), ("route", &**route)];
            histogram(&mut family.encode_family(&labels)?, &counts.latency, seconds)?;
        }
        Ok(())
    }

    fn commits(&mut self, api: &Api) -> fmt::Result {
        let commits = api.service.commits();
        let help = "How long the store took to make a group durable";
        let family = self.family("commit_duration", help, Some(&Unit::Seconds), MetricType::Histogram);
        histogram(&mut family?, commits.latency(), seconds)?;
        let help = "How long it was from the handing in to the acknowledgement";
        let family = self.family("acknowledgement_duration", help, Some(&Unit::Seconds), MetricType::Histogram);
        histogram(&mut family?, commits.waits(), seconds)?;
        let help = "How many events and changes of configuration shared a sync";
        histogram(&mut self.family("commit_group_size", help, None, MetricType::Histogram)?, commits.group(), whole)?;
        let help = "Events and changes of configuration that were handed in and are not durable yet";
        self.gauge("journal_lag", help, None, commits.pending())?;
        let help = "Events and changes of configuration that were refused because the store cannot be written";
        self.counter("not_durable", help, commits.refused())?;
        let help = "1 when the store has failed: nothing is taken any more, routes are answered from memory";
        self.gauge("store_failed", help, None, u64::from(api.service.failure().is_some()))?;
        let help = "For how long the store has not answered what it was asked; 0 where nothing was";
        let waits = u64::try_from(commits.store_waits().as_nanos()).unwrap_or(u64::MAX);
        self.seconds("store_waiting", help, waits)?;
        let help = "What an acknowledgement means: 1 for the setting in force";
        let mut family = self.family("durability", help, None, MetricType::Gauge)?;
        for durability in Durability::ALL {
            let labels = [("durability", durability.name())];
            gauge(&mut family.encode_family(&labels)?, u64::from(durability == api.service.durability()))?;
        }
        Ok(())
    }

    fn history(&mut self, stats: &Stats) -> fmt::Result {
        let help =
            "Pairs of number and contact in memory, expired and erased ones that were not reclaimed yet included";
        self.gauge("pairs", help, None, stats.pairs as u64)?;
        let help = "Resident memory of the history";
        self.gauge("history", help, Some(&Unit::Bytes), stats.bytes as u64)?;
        let help = "Segments of the history that are being rewritten";
        self.gauge("history_growing", help, None, stats.growing as u64)?;
        let help = "Segments of the history that were rewritten, to grow or to reclaim";
        self.counter("history_growths", help, stats.growths)?;
        let help = "Pairs that were left behind, being expired or of a number that is gone";
        self.counter("pairs_reclaimed", help, stats.reclaimed)?;
        self.counter("pairs_rejected", "Pairs that were refused because the history was full", stats.rejected)
    }

    /// Only of a daemon that purges.
    fn upkeep(&mut self, counts: &UpkeepCounts) -> fmt::Result {
        let help = "When a purge last succeeded, in seconds since 1970; 0 where none did";
        self.seconds("upkeep_last_success_timestamp", help, counts.last_success_millis().saturating_mul(1_000_000))?;
        self.seconds("upkeep_last_duration", "How long the last purge took", counts.last_duration_nanos())?;
        self.counter("upkeep_failures", "Purges that failed", counts.failures())?;
        let help = "Purges that failed since the last one that succeeded";
        self.gauge("upkeep_consecutive_failures", help, None, counts.failures_in_row())?;
        let help = "What the data directory occupied after the last purge; 0 before the first";
        self.gauge("upkeep", help, Some(&Unit::Bytes), counts.bytes())?;
        self.counter("upkeep_clock_jumps", "How often the wall clock jumped", counts.clock_jumps())
    }

    fn sip(&mut self, counts: &SipCounts) -> fmt::Result {
        let help = "SIP requests by method and the status that they were answered with";
        let mut family = self.family("sip_requests", help, None, MetricType::Counter)?;
        for method in SIP_METHODS {
            for status in SIP_STATUSES {
                let count = counts.answered(method, status);
                if count > 0 {
                    let status = status.to_string();
                    let labels = [("method", method), ("status", &*status)];
                    counter(&mut family.encode_family(&labels)?, count)?;
                }
            }
        }
        let help = "What else happened at the SIP door";
        let mut family = self.family("sip_events", help, None, MetricType::Counter)?;
        for event in SipEvent::ALL {
            counter(&mut family.encode_family(&[("event", event.name())])?, counts.happened(event))?;
        }
        self.gauge("sip_connections", "SIP connections that are open", None, counts.connections())
    }

    /// Only of a node of a fleet.
    fn fleet(&mut self, fleet: &Fleet) -> fmt::Result {
        let help = "Where the node stands in its fleet's stream, in messages";
        self.gauge("fleet_position", help, None, fleet.position())?;
        self.gauge("fleet_stream_end", "Where that ended when it was last asked", None, fleet.last())?;
        let help = "About how many events the node is behind: messages by the events that those before had each";
        self.gauge("fleet_lag_events", help, None, fleet.lag_events())?;
        let help = "How old what the node took last is, where there is more to take; else 0";
        self.seconds("fleet_lag", help, fleet.lag_millis().saturating_mul(1_000_000))?;
        self.gauge("fleet_peers", "Other nodes that were heard lately", None, fleet.peers())?;
        let help = "Events of this node that the stream has acknowledged";
        self.counter("fleet_published", help, fleet.published())?;
        self.counter("fleet_consumed", "Events of other nodes that were taken", fleet.consumed())?;
        let help = "Events and configurations that were published again, since the stream had lost them or might have";
        self.counter("fleet_republished", help, fleet.republished())?;
        let help = "Messages that could not be read or count for nothing, and events that could not be applied";
        self.counter("fleet_refused", help, fleet.refused())?;
        let help = "Calls of agents or numbers that this node has no configuration of";
        self.counter("fleet_unknown", help, fleet.unknown())?;
        let help = "What the node is doing: 1 for what it is";
        let mut family = self.family("fleet_state", help, None, MetricType::Gauge)?;
        let state = fleet.state().name();
        for name in FleetState::NAMES {
            gauge(&mut family.encode_family(&[("state", name)])?, u64::from(name == state))?;
        }
        Ok(())
    }

    fn family<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
        unit: Option<&'a Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        // The registry ends every help with a stop; a collector's it takes as it is.
        self.0.encode_descriptor(name, &format!("{help}."), unit, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        gauge(&mut self.family(name, help, unit, MetricType::Gauge)?, value)
    }

    /// A gauge in seconds.
    fn seconds(&mut self, name: &str, help: &str, nanos: u64) -> fmt::Result {
        self.family(name, help, Some(&Unit::Seconds), MetricType::Gauge)?.encode_gauge(&seconds(nanos))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        counter(&mut self.family(name, help, None, MetricType::Counter)?, value)
    }
}

/// What the rule can end in. The agent that a route names plays no part.
fn outcomes() -> impl Iterator<Item = (Route, Reason)> {
    let nobody = AgentId::from_u128(0);
    Reason::ALL.into_iter().flat_map(move |reason| match reason {
        Reason::UnknownNumber => vec![(Route::Unrouted, reason)],
        Reason::Matched => vec![(Route::Callback(nobody), reason)],
        _ => vec![(Route::Default(nobody), reason), (Route::Unrouted, reason)],
    })
}

fn gauge(to: &mut MetricEncoder, value: u64) -> fmt::Result {
    to.encode_gauge(&value)
}

fn counter(to: &mut MetricEncoder, value: u64) -> fmt::Result {
    to.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn histogram(to: &mut MetricEncoder, histogram: &Histogram, unit: fn(u64) -> f64) -> fmt::Result {
    let snapshot = histogram.snapshot();
    let bounds = snapshot.buckets.iter().map(|(bound, count)| (bound.map_or(f64::INFINITY, unit), *count));
    to.encode_histogram::<NoLabelSet>(unit(snapshot.sum), snapshot.count(), &bounds.collect::<Vec<_>>(), None)
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds to six digits and more")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[allow(clippy::cast_precision_loss, reason = "sums of sizes of groups")]
fn whole(value: u64) -> f64 {
    value as f64
}
