//! What benchmarks say of many times: their order, and a row of a table in Markdown.

use std::time::Duration;

/// Times in order.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The one that so many hundredths of them do not exceed, in milliseconds.
    pub fn at(&self, hundredth: usize) -> f64 {
        let index = (self.0.len() - 1) * hundredth / 100;
        self.0[index].as_secs_f64() * 1e3
    }

    /// How much that is of another's.
    pub fn ratio(&self, base: &Self, hundredth: usize) -> f64 {
        self.at(hundredth) / base.at(hundredth)
    }
}

/// A row with how often, p50 and p99, and what they are of `base`'s.
pub fn row(what: &str, times: &Times, base: Option<&Times>) -> String {
    let ratio = |hundredth| match base {
        Some(base) => format!("{:.2} ×", times.ratio(base, hundredth)),
        None => String::new(),
    };
    format!(
        "| {what} | {} | {:.3} | {:.3} | {} | {} |",
        times.len(),
        times.at(50),
        times.at(99),
        ratio(50),
        ratio(99)
    )
}

/// What stands above such rows.
pub const HEAD: &str = "| what | n | p50 ms | p99 ms | p50 ratio | p99 ratio |\n| --- | ---: | ---: | ---: | ---: | ---: |";
