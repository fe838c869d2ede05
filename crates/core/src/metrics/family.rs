//! One metric with all its series.

use jiff::Timestamp;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::model::{DURATION_BOUNDS, Durations};

const MILLIS_PER_SECOND: f64 = 1_000.0;

/// The labels that all series of one database, or one part, share.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(Vec<LabelPair>);

impl Labels {
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.into());
        self.0.push(pair);
        self
    }
}

/// A metric that is being put together.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    series: Vec<Metric>,
}

impl Family {
    pub(super) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::GAUGE, series: Vec::new() }
    }

    pub(super) fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::COUNTER, series: Vec::new() }
    }

    pub(super) fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: MetricType::HISTOGRAM, series: Vec::new() }
    }

    /// Adds a series of a gauge or a counter.
    pub(super) fn add(&mut self, labels: &Labels, value: f64) {
        let mut metric = Metric::from_label(labels.0.clone());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.series.push(metric);
    }

    /// Adds a series, if its value is known.
    pub(super) fn add_known(&mut self, labels: &Labels, value: Option<f64>) {
        if let Some(value) = value {
            self.add(labels, value);
        }
    }

    /// Adds a histogram's series.
    pub(super) fn add_durations(&mut self, labels: &Labels, durations: &Durations) {
        let mut sum = 0;
        let mut buckets = Vec::with_capacity(DURATION_BOUNDS.len());
        for (bound, count) in DURATION_BOUNDS.iter().zip(&durations.counts) {
            sum += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(f64::from(*bound));
            bucket.set_cumulative_count(sum);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(durations.counts.iter().sum());
        histogram.set_sample_sum(seconds(durations.sum_ms));
        let mut metric = Metric::from_label(labels.0.clone());
        metric.set_histogram(histogram);
        self.series.push(metric);
    }

    /// The finished metric; none without a series, which the text format does not allow.
    pub(super) fn finish(self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.series);
        Some(family)
    }
}

/// A count or a size as a sample's value. Prometheus knows no other numbers: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a sample is a float by its format")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

/// Milliseconds as seconds.
pub(super) fn seconds(millis: u64) -> f64 {
    number(millis) / MILLIS_PER_SECOND
}

/// An instant as seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of any calendar year are below 2^53")]
pub(super) fn instant(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / MILLIS_PER_SECOND
}

/// 1 or 0.
pub(super) fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}
