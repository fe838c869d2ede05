//! Reads the text format 0.0.4 strictly, so that what is wrong with a text is found here and not passed
//! over.

use std::collections::BTreeMap;

/// One metric: its name, type and help, and every sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Its help.
    pub help: String,
    /// Its samples; a histogram's have names of their own.
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name of the series.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// Whether it has all these labels.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|found| found == value))
    }
}

/// Reads a whole text.
///
/// # Panics
/// At a line that the format does not allow.
pub fn parse(text: &str) -> Vec<Metric> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line does not end");
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) =
                help.split_once(' ').unwrap_or_else(|| panic!("a metric without help: {line}"));
            assert!(metrics.iter().all(|metric| metric.name != name), "{name} comes twice");
            let (name, help) = (name.to_owned(), help.to_owned());
            metrics.push(Metric { name, kind: String::new(), help, samples: Vec::new() });
            continue;
        }
        let metric = metrics.last_mut().unwrap_or_else(|| panic!("a sample before any metric: {line}"));
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let kind =
                kind.strip_prefix(&metric.name).unwrap_or_else(|| panic!("{line} after {}", metric.name));
            kind.trim_start().clone_into(&mut metric.kind);
            continue;
        }
        let sample = sample(line);
        let suffix =
            sample.name.strip_prefix(&metric.name).unwrap_or_else(|| panic!("{line} in {}", metric.name));
        let histogram = metric.kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&suffix);
        assert!(suffix.is_empty() || histogram, "{line} in {}", metric.name);
        let twice = metric
            .samples
            .last()
            .is_some_and(|last| last.name == sample.name && last.labels == sample.labels);
        assert!(!twice, "a series twice: {line}");
        metric.samples.push(sample);
    }
    metrics
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest, line),
        None => (BTreeMap::new(), rest),
    };
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok());
    Sample { name: name.to_owned(), labels, value: value.unwrap_or_else(|| panic!("no value: {line}")) }
}

/// The labels after the brace, and what follows the closing one.
fn labels<'a>(mut rest: &'a str, line: &str) -> (BTreeMap<String, String>, &'a str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => value.push(match characters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, escaped @ ('\\' | '"'))) => escaped,
                    other => panic!("escaped {other:?}: {line}"),
                }),
                Some((_, character)) => value.push(character),
                None => panic!("a label that does not end: {line}"),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "the label {name} twice: {line}");
        let after = &after[end + 1..];
        if let Some(done) = after.strip_prefix('}') {
            return (labels, done);
        }
        rest = after.strip_prefix(',').unwrap_or_else(|| panic!("after a label: {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_labels_are_read_back() {
        let text = "# HELP a Help.\n# TYPE a gauge\na{x=\"q\\\"b\\\\n\\nl\",y=\"}\"} 1.5\na 2\n";
        let [metric] = &parse(text)[..] else { panic!("one metric") };
        assert_eq!((metric.kind.as_str(), metric.samples[1].value), ("gauge", 2.0));
        assert!(metric.samples[0].has(&[("x", "q\"b\\n\nl"), ("y", "}")]), "{metric:?}");
    }
}
