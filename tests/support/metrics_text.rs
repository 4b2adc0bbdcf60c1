//! A strict parser of the Prometheus text format (version 0.0.4). It checks the page and returns its samples.
//!
//! Several test programs include this file, and none of them uses all of it.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, by name.
pub type Labels = BTreeMap<String, String>;

/// A parsed page.
#[derive(Debug, Default)]
pub struct Page {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    /// The value of each sample, by name and labels.
    pub samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    /// Parses a page.
    ///
    /// # Errors
    /// The first line that violates the format or its conventions.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let mut helps = BTreeSet::new();
        let mut current = String::new();
        let mut done = BTreeSet::new();
        if !text.ends_with('\n') {
            return Err("the last line does not end".into());
        }
        for line in text.lines() {
            let wrong = |what: &str| Err(format!("{what}: {line}"));
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let Some((name, help)) = rest.split_once(' ') else { return wrong("no help") };
                if help.trim().is_empty() || !helps.insert(name.to_owned()) {
                    return wrong("an empty or second help");
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let Some((name, kind)) = rest.split_once(' ') else { return wrong("no type") };
                if !["counter", "gauge", "histogram"].contains(&kind) || !is_name(name) || !helps.contains(name) {
                    return wrong("a type that is none, or without help before it");
                }
                if page.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return wrong("a second type");
                }
                done.insert(std::mem::replace(&mut current, name.to_owned()));
            } else if line.starts_with('#') || line.is_empty() {
                return wrong("neither help, type nor sample");
            } else {
                let (name, labels, value) = sample(line)?;
                let family = page.family(&name).ok_or(format!("of no family: {line}"))?;
                if family != current || done.contains(&family) {
                    return wrong("not with its family");
                }
                let is_counter = page.types[&family] == "counter";
                if is_counter && (!name.ends_with("_total") || value < 0.0) {
                    return wrong("a counter without _total, or below zero");
                }
                if page.samples.insert((name, labels), value).is_some() {
                    return wrong("a second time");
                }
            }
        }
        page.check_histograms()?;
        page.check_names()?;
        Ok(page)
    }

    /// Returns the value of the sample with this name and exactly these labels (`le` aside).
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// Returns the names of all samples.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|(name, _)| name.as_str()).collect()
    }

    fn family(&self, sample: &str) -> Option<String> {
        let of_histogram = ["_bucket", "_sum", "_count"].into_iter().filter_map(|suffix| sample.strip_suffix(suffix));
        let is = |family: &&str, kind: &str| self.types.get(*family).is_some_and(|known| known == kind);
        let histogram = of_histogram.into_iter().find(|family| is(family, "histogram"));
        let plain = Some(sample).filter(|family| is(family, "counter") || is(family, "gauge"));
        plain.or(histogram).map(str::to_owned)
    }

    /// Checks a histogram: its buckets do not decrease, the last one is `+Inf` and equals the count, and there is a
    /// sum.
    fn check_histograms(&self) -> Result<(), String> {
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((_, labels), value) in self.samples.iter().filter(|((name, _), _)| *name == format!("{family}_bucket"))
            {
                let mut labels = labels.clone();
                let le = labels.remove("le").ok_or(format!("{family}: a bucket without le"))?;
                let le =
                    if le == "+Inf" { f64::INFINITY } else { le.parse().map_err(|_| format!("{family}: le={le}"))? };
                series.entry(labels).or_default().push((le, *value));
            }
            for (labels, mut buckets) in series {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                let rises = buckets.is_sorted_by(|one, next| one.1 <= next.1);
                let count = self.samples.get(&(format!("{family}_count"), labels.clone()));
                let last = buckets.last().map(|(le, count)| (le.is_infinite(), *count));
                let sum = self.samples.get(&(format!("{family}_sum"), labels));
                if !rises || last != count.map(|count| (true, *count)) || sum.is_none_or(|sum| *sum < 0.0) {
                    return Err(format!("{family}: buckets, count and sum do not fit"));
                }
            }
        }
        Ok(())
    }

    /// Checks a name: base units, no colons, one prefix, no abbreviated unit.
    fn check_names(&self) -> Result<(), String> {
        for (family, kind) in &self.types {
            let wrong = !family.starts_with("dialback_")
                || (kind == "counter") != family.ends_with("_total")
                || ["_ms", "_millis", "_nanos", "_ns", "_us", "_kb", "_mb", "_count", "_sum", "_bucket"]
                    .iter()
                    .any(|suffix| family.ends_with(suffix))
                || (family.contains("duration") && !family.ends_with("_seconds"));
            if wrong {
                return Err(format!("a name against the conventions: {family}"));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|rest| rest.is_ascii_lowercase() || rest.is_ascii_digit() || rest == '_')
}

fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let wrong = |what: &str| format!("{what}: {line}");
    let end = line.find(['{', ' ']).ok_or_else(|| wrong("no value"))?;
    let name = &line[..end];
    let mut labels = Labels::new();
    let mut rest = &line[end..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(|| wrong("no label"))?;
            let close = after.find('"').ok_or_else(|| wrong("an open label"))?;
            let value = &after[..close];
            if !is_name(label) || value.contains('\\') || labels.insert(label.into(), value.into()).is_some() {
                return Err(wrong("a label"));
            }
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or_else(|| wrong("labels without end"))?;
    }
    let value = rest.strip_prefix(' ').ok_or_else(|| wrong("no value"))?;
    let value = value.parse().map_err(|_| wrong("no number"))?;
    if !is_name(name) {
        return Err(wrong("no name"));
    }
    Ok((name.into(), labels, value))
}

/// Canary: the parser must be able to reject a page.
#[test]
fn pages_that_violate_the_format_are_rejected() {
    let good = "# HELP dialback_x_total Help.\n# TYPE dialback_x_total counter\ndialback_x_total{a=\"b\"} 1\n";
    assert_eq!(Page::read(good).expect("it is good").value("dialback_x_total", &[("a", "b")]), Some(1.0));
    let histogram = |buckets: &str| format!("# HELP dialback_h Help.\n# TYPE dialback_h histogram\n{buckets}");
    let bucket = |le: &str, count: u64| format!("dialback_h_bucket{{le=\"{le}\"}} {count}\n");
    let rest = |count: u64| format!("dialback_h_sum 1.0\ndialback_h_count {count}\n");
    Page::read(&histogram(&(bucket("1.0", 1) + &bucket("+Inf", 2) + &rest(2)))).expect("it is good");
    for bad in [
        good.trim_end().to_owned(),
        good.replace("_total", ""),
        good.replace("# TYPE dialback_x_total counter\n", ""),
        good.replace("# HELP dialback_x_total Help.\n", ""),
        format!("{good}{}", good.lines().last().unwrap()) + "\n",
        format!("{good}dialback_y_total 1\n"),
        good.replace("{a=\"b\"}", "{a=\"b\""),
        good.replace(" 1\n", " one\n"),
        good.replace("dialback", "other"),
        good.replace("dialback_x", "dialback_X"),
        format!("{good}# EOF\n"),
        histogram(&(bucket("1.0", 3) + &bucket("+Inf", 2) + &rest(2))),
        histogram(&(bucket("1.0", 1) + &bucket("+Inf", 2) + &rest(3))),
        histogram(&(bucket("1.0", 1) + &rest(1))),
        histogram(&(bucket("+Inf", 2) + "dialback_h_count 2\n")),
        good.replace("x_total", "duration_total"),
    ] {
        assert!(Page::read(&bad).is_err(), "{bad}");
    }
}
