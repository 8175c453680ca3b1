//! The results as CI servers read them: the XML that JUnit made common.

use super::show;
use super::verdict::Verdict;
use crate::error::{Code, Failure};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Writes the results of one function's tests to a file.
///
/// # Errors
/// [`Code::OutputFailed`], naming the file.
pub(super) fn write(path: &Path, function: &str, verdicts: &[Verdict]) -> Result<(), Failure> {
    std::fs::write(path, document(function, verdicts)).map_err(|error| {
        let message = format!("cannot write `{}`: {error}", path.display());
        Failure::new(Code::OutputFailed, message)
    })
}

fn document(function: &str, verdicts: &[Verdict]) -> String {
    let function = escaped(function);
    let failed = verdicts.iter().filter(|verdict| verdict.judgement.is_bad());
    let failed = failed.count();
    let time = seconds(verdicts.iter().map(|verdict| verdict.time).sum());
    let tests = verdicts.len();
    let totals = format!("tests=\"{tests}\" failures=\"{failed}\" errors=\"0\" time=\"{time}\"");
    let cases: String = verdicts
        .iter()
        .map(|verdict| case(&function, verdict))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites {totals}>\n\
         <testsuite name=\"{function}\" {totals}>\n\
         {cases}\
         </testsuite>\n\
         </testsuites>\n"
    )
}

fn case(function: &str, verdict: &Verdict) -> String {
    let name = escaped(&verdict.case.name);
    let file = escaped(&verdict.case.event.to_string_lossy());
    let time = seconds(verdict.time);
    let mut xml = format!(
        "<testcase name=\"{name}\" classname=\"{function}\" file=\"{file}\" time=\"{time}\">"
    );
    if let Some(problem) = verdict.judgement.problem() {
        let kind = verdict.judgement.name();
        let (problem, text) = (escaped(&problem), escaped(&show::plain(&verdict.judgement)));
        xml.push_str(&format!(
            "\n<failure message=\"{problem}\" type=\"{kind}\">{text}</failure>\n"
        ));
        if !verdict.lines.is_empty() {
            let lines = escaped(&verdict.lines);
            xml.push_str(&format!("<system-err>{lines}</system-err>\n"));
        }
    }
    xml.push_str("</testcase>\n");
    xml
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// Text that may stand between tags and in attributes. What XML has no way to say becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            // In an attribute they would be read as spaces.
            '\t' | '\n' | '\r' => {
                let _ = write!(xml, "&#{};", u32::from(c));
            }
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                xml.push(char::REPLACEMENT_CHARACTER);
            }
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::super::case::Case;
    use super::super::verdict::Judgement;
    use super::*;

    fn verdict(name: &str, judgement: Judgement) -> Verdict {
        let case = Case {
            name: name.to_owned(),
            event: format!("events/{name}.json").into(),
            expected: format!("events/{name}.expected.json").into(),
            config: None,
        };
        Verdict {
            case,
            time: Duration::from_millis(2),
            judgement,
            lines: "   WARN <hot>\n".to_owned(),
        }
    }

    #[test]
    fn results_are_counted_and_each_event_is_a_case() {
        let verdicts = [
            verdict("oslo", Judgement::Right),
            verdict("a&b", Judgement::Unusable("bad \"x\"".to_owned())),
        ];
        let xml = document("crunch", &verdicts);
        for part in [
            "<testsuite name=\"crunch\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.004000\">",
            "<testcase name=\"oslo\" classname=\"crunch\" file=\"events/oslo.json\" time=\"0.002000\"></testcase>",
            "<testcase name=\"a&amp;b\"",
            "<failure message=\"bad &quot;x&quot;\" type=\"unusable\">bad &quot;x&quot;</failure>",
            "<system-err>   WARN &lt;hot&gt;&#10;</system-err>",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
        assert_eq!(xml.matches("<system-err>").count(), 1, "{xml}");
    }

    #[test]
    fn nothing_that_a_guest_says_ends_a_tag_or_is_no_xml() {
        for (text, xml) in [
            ("]]></failure>", "]]&gt;&lt;/failure&gt;"),
            ("a\"b&c", "a&quot;b&amp;c"),
            ("\u{1b}[31m\0", "\u{fffd}[31m\u{fffd}"),
            ("\r\n\t", "&#13;&#10;&#9;"),
            ("é🌡\u{ffff}\u{85}", "é🌡\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(escaped(text), xml);
        }
    }
}
