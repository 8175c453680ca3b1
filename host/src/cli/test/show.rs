//! What a person and a script read of tests: one line for each event, and below it what is wrong.

use super::verdict::{Judgement, Verdict};
use crate::cli::printer::Printer;
use crate::cli::report;
use crate::cli::shelf::done;
use crate::expect::Difference;
use crate::quantity::Time;
use crate::telemetry::{Format, printable};
use serde_json::json;
use std::time::Duration;

/// The most differences, characters of a value and lines of a log that are shown; JSON has all of them.
const DIFFERENCES_SHOWN: usize = 10;
const CHARACTERS_SHOWN: usize = 200;
const LINES_SHOWN: usize = 50;

/// How many characters stand before the first one that differs, where a value is too long.
const CHARACTERS_BEFORE: usize = 40;

/// How a line of a diff is coloured; `true` for what was got.
type Paint<'a> = &'a dyn Fn(&str, bool) -> String;

/// Tells of one event.
pub(super) fn verdict(printer: &Printer, verdict: &Verdict) {
    let lines = verdict.lines.trim_end_matches('\n');
    let is_json = printer.log().format() == Format::Json;
    if is_json && !lines.is_empty() {
        printer.log().raw(lines.to_owned());
    }
    printer.json(|| json(verdict));
    printer.text(|| text(printer, verdict));
    if !is_json && verdict.judgement.is_bad() && !lines.is_empty() {
        printer.log().raw(last_lines(lines));
    }
}

fn text(printer: &Printer, verdict: &Verdict) -> String {
    let name = printable(&verdict.case.name);
    let time = Time(verdict.time);
    let good = printer.mark("✓", true);
    let bad = printer.mark("✗", false);
    match &verdict.judgement {
        Judgement::Right => format!("  {good} {name}  {time}"),
        Judgement::Unchecked => format!("  {good} {name}  {time}   no {name}.expected.json"),
        Judgement::Written => format!("  {good} {name}  {time}   wrote {name}.expected.json"),
        Judgement::Differs { .. } => {
            let paint = |text: &str, good: bool| printer.mark(text, good);
            let lines = diff(&verdict.judgement, &paint);
            format!("  {bad} {name}  {time}\n{}", lines.join("\n"))
        }
        Judgement::Failed(failure) => report::failure_text(printer, &name, failure),
        Judgement::Unusable(problem) => format!("  {bad} {name}: {}", printable(problem)),
    }
}

/// What is wrong with a judgement, without colours.
pub(super) fn plain(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Failed(failure) => {
            let places = failure.trace.iter();
            let places: String = places.map(|place| format!("\n    at {place}")).collect();
            format!("{failure}{places}")
        }
        judgement => diff(judgement, &|text: &str, _| text.to_owned()).join("\n"),
    }
}

/// The lines of all differences; where there is no comparison, the problem.
fn diff(judgement: &Judgement, paint: Paint<'_>) -> Vec<String> {
    let Judgement::Differs {
        differences,
        failure,
    } = judgement
    else {
        return judgement.problem().into_iter().collect();
    };
    let shown = differences.iter().take(DIFFERENCES_SHOWN);
    let mut lines: Vec<String> = shown.flat_map(|one| difference(one, paint)).collect();
    if differences.len() > DIFFERENCES_SHOWN {
        let more = differences.len() - DIFFERENCES_SHOWN;
        lines.push(format!("      … {more} more"));
    }
    for place in failure.iter().flat_map(|failure| &failure.trace) {
        lines.push(format!("      at {}", printable(place)));
    }
    lines
}

fn difference(difference: &Difference, paint: Paint<'_>) -> Vec<String> {
    let (expected, got) = (difference.expected.as_deref(), difference.got.as_deref());
    let same = match (expected, got) {
        (Some(expected), Some(got)) => {
            let pairs = expected.chars().zip(got.chars());
            pairs.take_while(|(one, other)| one == other).count()
        }
        _ => 0,
    };
    let mut lines = vec![format!("      {}", excerpt(&difference.path, 0))];
    if let Some(expected) = expected {
        let line = format!("- {}", excerpt(expected, same));
        lines.push(format!("        {}", paint(&line, false)));
    }
    if let Some(got) = got {
        let line = format!("+ {}", excerpt(got, same));
        lines.push(format!("        {}", paint(&line, true)));
    }
    lines
}

/// A value, or the part of a long one around the place where it begins to differ.
fn excerpt(text: &str, differs_at: usize) -> String {
    let length = text.chars().count();
    if length <= CHARACTERS_SHOWN {
        return printable(text).into_owned();
    }
    let start = differs_at.saturating_sub(CHARACTERS_BEFORE);
    let part: String = text.chars().skip(start).take(CHARACTERS_SHOWN).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + CHARACTERS_SHOWN < length {
        "…"
    } else {
        ""
    };
    format!("{before}{}{after}", printable(&part))
}

fn last_lines(lines: &str) -> String {
    let lines: Vec<&str> = lines.lines().collect();
    let cut = lines.len().saturating_sub(LINES_SHOWN);
    let shown = lines[cut..].join("\n");
    match cut {
        0 => shown,
        cut => format!("        … {cut} lines before\n{shown}"),
    }
}

fn json(verdict: &Verdict) -> serde_json::Value {
    let mut report = json!({
        "type": "test",
        "event": verdict.case.event.display().to_string(),
        "name": verdict.case.name,
        "outcome": verdict.judgement.name(),
        "ms": report::ms(verdict.time),
    });
    if let Some(problem) = verdict.judgement.problem() {
        report["problem"] = problem.into();
    }
    match &verdict.judgement {
        Judgement::Differs {
            differences,
            failure,
        } => {
            report["differences"] = json!(differences);
            if let Some(failure) = failure {
                report["failure"] = report::failure_json(failure);
            }
        }
        Judgement::Failed(failure) => report["failure"] = report::failure_json(failure),
        Judgement::Unchecked | Judgement::Right | Judgement::Written | Judgement::Unusable(_) => {}
    }
    report
}

/// Tells of all events together.
pub(super) fn summary(printer: &Printer, verdicts: &[Verdict], elapsed: Duration) {
    let count = |is: fn(&Judgement) -> bool| {
        let matching = verdicts.iter().filter(|verdict| is(&verdict.judgement));
        matching.count()
    };
    let compared = count(Judgement::is_compared);
    let failed = count(Judgement::is_bad);
    let written = count(|judgement| matches!(judgement, Judgement::Written));
    let right = count(|judgement| matches!(judgement, Judgement::Right));
    printer.json(|| {
        json!({
            "type": "tested",
            "events": verdicts.len(),
            "compared": compared,
            "written": written,
            "failed": failed,
            "ms": report::ms(elapsed),
        })
    });
    if verdicts.is_empty() {
        done(printer, "Tested", "no events: the project has none");
        return;
    }
    let events = verdicts.len();
    let time = Time(elapsed);
    // The failure that follows counts the others.
    let what = match (written, failed) {
        (0, 0) => format!("{events} events, {compared} compared {time}"),
        (0, _) => return,
        (written, _) => format!("{events} events, {written} written, {right} unchanged {time}"),
    };
    done(printer, "Tested", &what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_value_the_part_that_differs_is_shown() {
        let long = |middle: &str| format!("\"{}{middle}{}\"", "a".repeat(500), "b".repeat(500));
        let (expected, got) = (long("x"), long("y"));
        let kind = crate::expect::How::Different;
        let difference = Difference {
            path: "$".to_owned(),
            kind,
            expected: Some(expected),
            got: Some(got),
        };
        let lines = super::difference(&difference, &|text: &str, _| text.to_owned());
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("        - …a") && lines[1].contains("axb"));
        assert!(lines[2].starts_with("        + …a") && lines[2].contains("ayb"));
        assert!(lines.iter().all(|line| line.chars().count() < 220));
    }

    #[test]
    fn of_a_long_log_the_last_lines_are_shown() {
        let log: String = (0..60).map(|at| format!("{at}\n")).collect();
        let shown = last_lines(&log);
        assert!(shown.starts_with("        … 10 lines before\n10\n") && shown.ends_with("\n59"));
        assert_eq!(last_lines("a\nb\n"), "a\nb");
    }
}
