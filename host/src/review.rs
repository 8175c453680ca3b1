//! What a component asks for, beside what its release is granted and what the operator allows, as somebody reads it who
//! answers for it.

use crate::error::Failure;
use crate::grant::{Ceiling, Grants, KINDS};
use crate::telemetry::printable;
use crate::template::Facts;
use serde::Serialize;

/// What of a component's imports a grant is for.
const USES: [(&str, &str); 6] = [
    ("http", "wasi:http/outgoing-handler"),
    ("tcp", "wasi:sockets/tcp"),
    ("objects", "crunchbox:function/objects"),
    ("secrets", "crunchbox:function/config"),
    ("env", "wasi:cli/environment"),
    ("scratch", "wasi:filesystem/types"),
];

/// The same by another name.
const ALSO_SECRETS: &str = "wasi:config/store";

/// Kinds that every program imports in some way, whether it uses them or not.
const EVERYBODYS: [&str; 3] = ["secrets", "env", "scratch"];

/// One line of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The kind of grant.
    pub kind: &'static str,
    /// The grant; none where the component could use one and has none.
    pub grant: Option<String>,
    /// Whether the component imports what the grant is for.
    pub imported: bool,
    /// What is to be thought of it.
    pub verdict: Verdict,
}

/// What is to be thought of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It works, and the policy says nothing against it.
    Allowed,
    /// It depends on values that are not known here.
    Open(String),
    /// It can't work: beyond the policy, or not to be filled.
    Refused(String),
    /// The component has no use for it.
    Unused,
    /// Nothing is granted: each call is denied.
    Denied,
}

/// What a component reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Review {
    /// A line for each grant, and for each import without one.
    pub rows: Vec<Row>,
    #[serde(skip)]
    refusal: Option<Failure>,
}

impl Review {
    /// Holds imports, grants and the policy against each other, as far as these facts tell.
    pub fn of(imports: &[String], grants: &Grants, facts: &Facts, ceiling: &Ceiling) -> Self {
        let mut review = Self::default();
        let granted = grants.apart();
        for (kind, interface) in USES {
            let asks = |name: &String| {
                let name = name.split('@').next().unwrap_or_default();
                name == interface || (kind == "secrets" && name == ALSO_SECRETS)
            };
            let imported = imports.iter().any(asks);
            let mut has_one = false;
            for (_, text, one) in granted.iter().filter(|(own, _, _)| own == kind) {
                has_one = true;
                let verdict = review.verdict(one, imported, facts, ceiling);
                review.rows.push(Row {
                    kind,
                    grant: Some(text.clone()),
                    imported,
                    verdict,
                });
            }
            if imported && !has_one && !EVERYBODYS.contains(&kind) {
                review.rows.push(Row {
                    kind,
                    grant: None,
                    imported,
                    verdict: Verdict::Denied,
                });
            }
        }
        debug_assert_eq!(USES.map(|(kind, _)| kind), KINDS);
        review
    }

    fn verdict(
        &mut self,
        one: &Grants,
        imported: bool,
        facts: &Facts,
        ceiling: &Ceiling,
    ) -> Verdict {
        let mut open = one.asked().into_iter().filter(|name| !facts.knows(name));
        if let Some(name) = open.next() {
            let whose = match name.as_str() {
                "region" | "channel" => "which is known where it runs",
                _ => "which the channel's configuration says",
            };
            return Verdict::Open(format!("depends on `{name}`, {whose}"));
        }
        match one.fill(facts, ceiling) {
            Err(error) => {
                let problem = error.to_string();
                self.refusal.get_or_insert_with(|| error.into());
                Verdict::Refused(problem)
            }
            Ok(_) if !imported => Verdict::Unused,
            Ok(_) => Verdict::Allowed,
        }
    }

    /// Why it can't work, if it can't.
    pub fn refusal(&self) -> Option<&Failure> {
        self.refusal.as_ref()
    }

    /// Lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.rows.iter().map(|row| {
            let words = match &row.verdict {
                Verdict::Allowed => "granted".to_owned(),
                Verdict::Open(why) => format!("granted; {why}"),
                Verdict::Refused(why) => format!("REFUSED: {why}"),
                Verdict::Unused => {
                    "granted, but the component does not import what it is for".to_owned()
                }
                Verdict::Denied => "imported, not granted: each call is denied".to_owned(),
            };
            let grant = row.grant.as_deref().unwrap_or("—");
            format!("{:<8} {:<44} {words}", row.kind, printable(grant))
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    fn review(imports: &[&str], grants: Value, policy: Value) -> Review {
        let table = |value| serde_json::from_value(value).unwrap();
        let grants = Grants::read(table(grants), Path::new("")).unwrap();
        let ceiling = Ceiling::read(table(policy), Path::new("")).unwrap();
        let imports: Vec<_> = imports.iter().map(|&name| name.to_owned()).collect();
        Review::of(
            &imports,
            &grants,
            &Facts::default().with("region", "eu-west-1"),
            &ceiling,
        )
    }

    #[test]
    fn a_review_tells_what_works_what_is_open_what_is_unused_and_what_is_denied() {
        let review = review(
            &[
                "wasi:http/outgoing-handler@0.2.3",
                "wasi:sockets/tcp@0.2.0",
                "wasi:cli/environment@0.2.0",
            ],
            json!({"http": ["https://sqs.{{region}}.amazonaws.com"], "objects": ["s3://b/in/"], "env": ["STAGE"]}),
            json!({}),
        );
        let verdicts: Vec<_> = review
            .rows
            .iter()
            .map(|row| (row.kind, &row.verdict))
            .collect();
        let expected = [
            ("http", &Verdict::Allowed),
            ("tcp", &Verdict::Denied),
            ("objects", &Verdict::Unused),
            ("env", &Verdict::Allowed),
        ];
        assert_eq!(verdicts, expected);
        assert!(review.refusal().is_none());
    }

    #[test]
    fn what_is_beyond_the_policy_is_a_refusal_and_what_nobody_knows_yet_is_open() {
        let review = review(
            &["wasi:sockets/tcp@0.2.0"],
            json!({"tcp": ["a.example:1", "{{db.host}}:5432"]}),
            json!({"tcp": ["b.example:1"]}),
        );
        assert!(matches!(review.rows[0].verdict, Verdict::Refused(_)));
        assert!(matches!(review.rows[1].verdict, Verdict::Open(_)));
        assert!(
            review
                .refusal()
                .unwrap()
                .message
                .contains("only b.example:1")
        );
        assert!(review.lines()[0].contains("REFUSED"));
    }
}
