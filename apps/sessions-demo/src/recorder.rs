//! Records counters and histograms, and renders them in the text format of Prometheus.
//!
//! The recorder for Prometheus that exists brings 16 more crates, and keeps each measured value
//! until somebody asks. This one keeps a number for each counter and bucket.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, HistogramFn, Key, KeyName, Label, Metadata, SharedString, Unit};

/// The upper bounds of a histogram's buckets, in seconds.
const BOUNDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0,
];

/// The counters and histograms of this process since it began.
pub(crate) struct Recorder(Mutex<Recorded>);

struct Recorded {
    counters: Families<AtomicU64>,
    histograms: Families<Histogram>,
}

/// By name.
type Families<T> = BTreeMap<String, Family<T>>;

struct Family<T> {
    help: SharedString,
    /// By the labels, as they are rendered.
    series: BTreeMap<String, Arc<T>>,
}

#[derive(Default)]
struct Histogram(Mutex<Buckets>);

#[derive(Default)]
struct Buckets {
    /// The number of values in each bucket alone; the last bucket has no bound.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Recorder {
    const fn new() -> Self {
        Self(Mutex::new(Recorded {
            counters: BTreeMap::new(),
            histograms: BTreeMap::new(),
        }))
    }

    /// Returns the recorder of this process, of which the facade allows one. The first call
    /// installs it and calls `describe`.
    pub(crate) fn installed(describe: impl FnOnce()) -> &'static Self {
        static RECORDER: Recorder = Recorder::new();
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            if metrics::set_global_recorder(&RECORDER).is_err() {
                tracing::warn!(
                    "this process has another recorder of metrics, so /metrics shows none"
                );
            }
            describe();
        });
        &RECORDER
    }

    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.with(|recorded| recorded.write(&mut text));
        text
    }

    fn with<R>(&self, work: impl FnOnce(&mut Recorded) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.with(|recorded| family(&mut recorded.counters, name.as_str()).help = help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.with(|recorded| family(&mut recorded.histograms, name.as_str()).help = help);
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.with(|recorded| series(&mut recorded.counters, key)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::from_arc(self.with(|recorded| series(&mut recorded.histograms, key)))
    }

    /// No metric here is a gauge.
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
}

fn family<'a, T>(families: &'a mut Families<T>, name: &str) -> &'a mut Family<T> {
    families.entry(name.to_owned()).or_insert_with(|| Family {
        help: SharedString::default(),
        series: BTreeMap::new(),
    })
}

fn series<T: Default>(families: &mut Families<T>, key: &Key) -> Arc<T> {
    let labels: Vec<_> = key.labels().map(label).collect();
    let series = &mut family(families, key.name()).series;
    Arc::clone(series.entry(labels.join(",")).or_default())
}

fn label(label: &Label) -> String {
    let value = label.value().replace('\\', r"\\").replace('"', "\\\"");
    format!("{}=\"{}\"", label.key(), value.replace('\n', r"\n"))
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.counts[BOUNDS.partition_point(|bound| *bound < value)] += 1;
        buckets.sum += value;
    }
}

impl Recorded {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        for (name, family) in &self.counters {
            family.write_head(text, name, "counter")?;
            for (labels, count) in &family.series {
                let labels = braced(labels);
                writeln!(text, "{name}{labels} {}", count.load(Ordering::Relaxed))?;
            }
        }
        for (name, family) in &self.histograms {
            family.write_head(text, name, "histogram")?;
            for (labels, histogram) in &family.series {
                histogram.write(text, name, labels)?;
            }
        }
        Ok(())
    }
}

impl<T> Family<T> {
    fn write_head(&self, text: &mut String, name: &str, kind: &str) -> std::fmt::Result {
        writeln!(text, "# HELP {name} {}", self.help)?;
        writeln!(text, "# TYPE {name} {kind}")
    }
}

impl Histogram {
    fn write(&self, text: &mut String, name: &str, labels: &str) -> std::fmt::Result {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (bucket, bound) in buckets.counts.iter().zip(BOUNDS) {
            count += bucket;
            writeln!(
                text,
                "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}"
            )?;
        }
        count += buckets.counts[BOUNDS.len()];
        writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
        let labels = braced(labels);
        writeln!(text, "{name}_sum{labels} {}", buckets.sum)?;
        writeln!(text, "{name}_count{labels} {count}")
    }
}

fn braced(labels: &str) -> String {
    if labels.is_empty() {
        return String::new();
    }
    format!("{{{labels}}}")
}

#[cfg(test)]
mod tests {
    use metrics::{counter, describe_counter, histogram, with_local_recorder};

    use super::*;

    #[test]
    fn counters_are_rendered_with_escaped_labels() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            describe_counter!("plain", "What it is.");
            counter!("plain").increment(2);
            counter!("labelled", "a" => "x\"y\\z\n", "b" => "1").increment(1);
            counter!("labelled", "a" => "w", "b" => "1").increment(0);
        });
        let expected = "\
            # HELP labelled \n\
            # TYPE labelled counter\n\
            labelled{a=\"w\",b=\"1\"} 0\n\
            labelled{a=\"x\\\"y\\\\z\\n\",b=\"1\"} 1\n\
            # HELP plain What it is.\n\
            # TYPE plain counter\n\
            plain 2\n";
        assert_eq!(recorder.render(), expected);
    }

    #[test]
    fn buckets_are_rendered_as_sums() {
        let recorder = Recorder::new();
        with_local_recorder(&recorder, || {
            for seconds in [0.001, 0.002, 60.0] {
                histogram!("seconds", "route" => "/a").record(seconds);
                histogram!("bare").record(seconds);
            }
        });
        let text = recorder.render();
        for line in [
            "seconds_bucket{route=\"/a\",le=\"0.0005\"} 0",
            "seconds_bucket{route=\"/a\",le=\"0.001\"} 1",
            "seconds_bucket{route=\"/a\",le=\"0.0025\"} 2",
            "seconds_bucket{route=\"/a\",le=\"10\"} 2",
            "seconds_bucket{route=\"/a\",le=\"+Inf\"} 3",
            "seconds_sum{route=\"/a\"} 60.003",
            "seconds_count{route=\"/a\"} 3",
            "bare_bucket{le=\"+Inf\"} 3",
            "bare_count 3",
        ] {
            assert!(
                text.lines().any(|rendered| rendered == line),
                "{line}\n{text}"
            );
        }
    }
}
