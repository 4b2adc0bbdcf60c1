//! `GET /metrics`: all metrics in the text formats of Prometheus. The endpoint needs no token, so no metric names a tenant,
//! an agent or a number: all labels are fixed words of this program.

use crate::decision::{Reason, Route};
use crate::history::Stats;
use crate::http::Api;
use crate::http::middleware::body_budget::BodyBudget;
use crate::http::middleware::requests::Requests;
use crate::http::webhooks::registry::Webhooks;
use crate::id::AgentId;
use crate::metrics::{
    Fleet, FleetState, Histogram, RecordCounts, SIP_METHODS, SIP_STATUSES, SipCounts, SipEvent, Skipped, UpkeepCounts,
};
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

/// Returns all metrics.
///
/// The format is OpenMetrics if `Accept` names it, else the older text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "The metrics as text", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    ))),
)]
pub(in crate::http) async fn show(State(api): State<Api>, headers: HeaderMap) -> Response {
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

/// Converts OpenMetrics text to the older text format. In the older format the name of a counter family ends in `_total`,
/// like its samples, and there are no units and no end marker.
///
/// `prometheus_client::encoding::prometheus_text` is not used. It writes `le="1"` where the page has `le="1.0"`, and with
/// another label Prometheus begins a new series.
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
        page.bodies(&api.body_budget)?;
        page.known_calls(api)?;
        page.commits(api)?;
        page.records(api.service().record_counts())?;
        api.webhooks.as_ref().map_or(Ok(()), |webhooks| page.webhooks(webhooks))?;
        page.history(&api.service().history().stats())?;
        api.upkeep.as_ref().map_or(Ok(()), |counts| page.upkeep(counts))?;
        api.sip.as_ref().map_or(Ok(()), |counts| page.sip(counts))?;
        api.service().fleet().map_or(Ok(()), |fleet| page.fleet(fleet))
    }
}

/// The page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn process(&mut self, api: &Api) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let help = "The running version; always 1";
        gauge(&mut self.family("build_info", help, None, MetricType::Gauge)?.encode_family(&version)?, 1)?;
        let generation = api.service().plan().generation();
        self.gauge("plan_generation", "The number of configurations in the plan that decisions read", None, generation)
    }

    fn decisions(&mut self, api: &Api) -> fmt::Result {
        let metrics = api.service().metrics();
        let help = "Decisions by result and reason";
        let mut family = self.family("decisions", help, None, MetricType::Counter)?;
        for (route, reason) in outcomes() {
            let labels = [("decision", route.name()), ("reason", reason.name())];
            counter(&mut family.encode_family(&labels)?, metrics.decisions(route, reason))?;
        }
        let help = "Duration of a decision, without the request around it";
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
        let help = "Duration of a request, from its head to the head of the response";
        let mut family = self.family("http_request_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for ((method, route), counts) in &all {
            let labels = [("method", *method), ("route", &**route)];
            histogram(&mut family.encode_family(&labels)?, &counts.latency, seconds)?;
        }
        Ok(())
    }

    fn bodies(&mut self, budget: &BodyBudget) -> fmt::Result {
        let help = "Memory that is reserved for request bodies of more than 16 KiB that have not been parsed yet";
        self.gauge("request_bodies", help, Some(&Unit::Bytes), budget.held_bytes())?;
        let help = "Request bodies that were refused because all the memory that they may use was in use";
        self.counter("request_bodies_refused", help, budget.refused())
    }

    fn known_calls(&mut self, api: &Api) -> fmt::Result {
        let reads = api.inbound.call_reads();
        let help = "Decisions that were answered without the id and the context of the call behind them, because these \
                    could not be read in time";
        self.counter("route_contexts_missed", help, reads.missed())?;
        let help =
            "Fields of contexts, and ids, left out of SIP responses and AGI variables, because they were too large";
        self.counter("route_context_fields_left_out", help, reads.left_out())?;
        let help = "Reads of calls with ids and contexts that failed: a record is damaged, or the disk has errors";
        self.counter("call_reads_failed", help, api.stored_reads.failed() + reads.failed())
    }

    fn commits(&mut self, api: &Api) -> fmt::Result {
        let commits = api.service().commits();
        let help = "Time in which the store made a group durable";
        let family = self.family("commit_duration", help, Some(&Unit::Seconds), MetricType::Histogram);
        histogram(&mut family?, commits.latency(), seconds)?;
        let help = "Time from the submission of an event or a change to its acknowledgement";
        let family = self.family("acknowledgement_duration", help, Some(&Unit::Seconds), MetricType::Histogram);
        histogram(&mut family?, commits.waits(), seconds)?;
        let help = "Number of events and configuration changes that shared a sync";
        histogram(&mut self.family("commit_group_size", help, None, MetricType::Histogram)?, commits.group(), whole)?;
        let help = "Events and configuration changes that were submitted and are not durable yet";
        self.gauge("journal_lag", help, None, commits.pending())?;
        let help = "Events and configuration changes that were rejected because the store cannot be written";
        self.counter("not_durable", help, commits.refused())?;
        let help = "1 if the store has failed: changes are rejected, routes are answered from memory";
        self.gauge("store_failed", help, None, u64::from(api.service().failure().is_some()))?;
        let help = "Time for which the store has not completed its current operation; 0 if it has none";
        let waits = u64::try_from(commits.store_waits().as_nanos()).unwrap_or(u64::MAX);
        self.seconds("store_waiting", help, waits)?;
        let help = "The durability of an acknowledgement: 1 for the current setting";
        let mut family = self.family("durability", help, None, MetricType::Gauge)?;
        for durability in Durability::ALL {
            let labels = [("durability", durability.name())];
            gauge(&mut family.encode_family(&labels)?, u64::from(durability == api.service().durability()))?;
        }
        Ok(())
    }

    fn records(&mut self, counts: &RecordCounts) -> fmt::Result {
        let help = "Decision records by what became of them";
        let mut family = self.family("records", help, None, MetricType::Counter)?;
        for (result, count) in [
            ("written", counts.written()),
            ("dropped", counts.dropped()),
            ("lost", counts.lost()),
            ("removed", counts.removed()),
            ("damaged", counts.damaged()),
        ] {
            counter(&mut family.encode_family(&[("result", result)])?, count)?;
        }
        Ok(())
    }

    fn webhooks(&mut self, webhooks: &Webhooks) -> fmt::Result {
        let help = "Attempts to send messages of webhooks, by the answers of their receivers";
        let mut family = self.family("webhook_attempts", help, None, MetricType::Counter)?;
        for (result, count) in webhooks.counts().all() {
            counter(&mut family.encode_family(&[("result", result)])?, count)?;
        }
        let mut family = self.family("webhooks", "Webhooks by status", None, MetricType::Gauge)?;
        for (status, count) in webhooks.statuses() {
            gauge(&mut family.encode_family(&[("status", status)])?, count)?;
        }
        Ok(())
    }

    fn history(&mut self, stats: &Stats) -> fmt::Result {
        let help =
            "Pairs of number and contact in memory, including expired and erased ones that are not reclaimed yet";
        self.gauge("pairs", help, None, stats.pairs as u64)?;
        let help = "Resident memory of the history";
        self.gauge("history", help, Some(&Unit::Bytes), stats.bytes as u64)?;
        let help = "Segments of the history that are being rewritten";
        self.gauge("history_growing", help, None, stats.growing as u64)?;
        let help = "Completed rewrites of history segments, to grow or to reclaim memory";
        self.counter("history_growths", help, stats.growths)?;
        let help = "Pairs removed because they expired or their number was deleted";
        self.counter("pairs_reclaimed", help, stats.reclaimed)?;
        self.counter(
            "pairs_rejected",
            "Pairs rejected because the history was full, or the share of their environment",
            stats.rejected,
        )
    }

    /// Writes the metrics of a daemon that purges.
    fn upkeep(&mut self, counts: &UpkeepCounts) -> fmt::Result {
        let help = "Unix time of the last successful purge; 0 if there was none";
        self.seconds("upkeep_last_success_timestamp", help, counts.last_success_millis().saturating_mul(1_000_000))?;
        self.seconds("upkeep_last_duration", "Duration of the last purge", counts.last_duration_nanos())?;
        self.counter("upkeep_failures", "Purges that failed", counts.failures())?;
        let help = "Failed purges since the last successful one";
        self.gauge("upkeep_consecutive_failures", help, None, counts.failures_in_row())?;
        let help = "Size of the data directory after the last purge; 0 before the first";
        self.gauge("upkeep", help, Some(&Unit::Bytes), counts.bytes())?;
        self.counter("upkeep_clock_jumps", "How often the wall clock jumped", counts.clock_jumps())
    }

    fn sip(&mut self, counts: &SipCounts) -> fmt::Result {
        let help = "SIP requests by method and response status";
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
        let help = "Other events at the SIP listener";
        let mut family = self.family("sip_events", help, None, MetricType::Counter)?;
        for event in SipEvent::ALL {
            counter(&mut family.encode_family(&[("event", event.name())])?, counts.happened(event))?;
        }
        self.gauge("sip_connections", "Open SIP connections", None, counts.connections())
    }

    /// Writes the metrics of a node of a fleet.
    fn fleet(&mut self, fleet: &Fleet) -> fmt::Result {
        let help = "The node's place in the fleet's stream, in messages";
        self.gauge("fleet_position", help, None, fleet.position())?;
        self.gauge("fleet_stream_end", "The end of the stream when the node last read it", None, fleet.last())?;
        if fleet.is_lag_known() {
            let help = "Estimated number of events that the node lags behind the stream";
            self.gauge("fleet_lag_events", help, None, fleet.lag_events())?;
        }
        let help = "Age of the last message that the node consumed, if the stream has more or is unreachable; else 0";
        self.seconds("fleet_lag", help, fleet.lag_millis().saturating_mul(1_000_000))?;
        let help = "Entries that wait in the outbox for the other nodes";
        self.gauge("fleet_outbox_entries", help, None, fleet.outbox())?;
        self.gauge("fleet_peers", "Other nodes that this node has heard from recently", None, fleet.peers())?;
        let help = "Events of this node that the stream has acknowledged";
        self.counter("fleet_published", help, fleet.published())?;
        self.counter("fleet_consumed", "Events of other nodes that this node consumed", fleet.consumed())?;
        let help = "Events and configurations published again because the stream had lost them or might have";
        self.counter("fleet_republished", help, fleet.republished())?;
        let help = "Configurations that are void, and events that could not be applied";
        self.counter("fleet_refused", help, fleet.refused())?;
        let help = "Calls with an agent or number that this node's configuration does not have";
        self.counter("fleet_unknown", help, fleet.unknown())?;
        let help = "Failed attempts of this node to write a snapshot of the fleet";
        self.counter("fleet_snapshot_failures", help, fleet.snapshot_failures())?;
        let help = "Messages of the stream that are none of the fleet's, or that the node may skip";
        let mut family = self.family("fleet_skipped", help, None, MetricType::Counter)?;
        for why in Skipped::ALL {
            counter(&mut family.encode_family(&[("reason", why.name())])?, fleet.skipped(why))?;
        }
        let help = "The state of the node: 1 for the current one";
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
        // The registry appends a full stop to each help text, but not to those of a collector.
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

/// Returns all results that the rule can have. The agent in a route does not matter here.
fn outcomes() -> impl Iterator<Item = (Route, Reason)> {
    let agent = AgentId::from_u128(0);
    Reason::ALL.into_iter().flat_map(move |reason| match reason {
        Reason::UnknownNumber => vec![(Route::Unrouted, reason)],
        Reason::Matched => vec![(Route::Callback(agent), reason)],
        _ => vec![(Route::Default(agent), reason), (Route::Unrouted, reason)],
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
