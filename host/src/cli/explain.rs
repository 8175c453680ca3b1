//! `crunchbox explain`: what a code means and what to do about it.

use super::printer;
use crate::error::{Code, Failure};
use serde_json::{Value, json};

/// Explain a failure's code, or list all of them.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The code, such as `Crunchbox.MemoryLimit`; the prefix may be left out.
    code: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl Explain {
    pub(super) fn execute(&self) -> Result<(), Failure> {
        printer::result(self.text()?.as_bytes())
    }

    fn text(&self) -> Result<String, Failure> {
        let codes = match self.code.as_deref() {
            None => Code::ALL.to_vec(),
            Some(name) => vec![Code::parse(name).ok_or_else(|| unknown(name))?],
        };
        Ok(match (self.json, self.code.is_some()) {
            (true, true) => format!("{}\n", row_json(codes[0])),
            (true, false) => format!("{}\n", Value::from_iter(codes.into_iter().map(row_json))),
            (false, true) => one_text(codes[0]),
            (false, false) => table(),
        })
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        crate::error::Code::SettingInvalid,
        format!("expected a code of this host, got `{name}`"),
    )
    .with_hint(
        "`crunchbox explain` lists all codes; other errorTypes are the function author's own",
    )
}

fn row_json(code: Code) -> Value {
    let meaning = code.meaning();
    json!({
        "code": meaning.name,
        "blame": meaning.blame.to_string(),
        "exit": meaning.exit,
        "level": meaning.level.as_str(),
        "summary": meaning.summary,
        "remedy": meaning.remedy,
    })
}

fn one_text(code: Code) -> String {
    let meaning = code.meaning();
    format!(
        "{}\n  {}\n  {}\n  blame {}, exit status {}, log level {}\n",
        meaning.name,
        meaning.summary,
        meaning.remedy,
        meaning.blame,
        meaning.exit,
        meaning.level.as_str()
    )
}

/// The table as the README prints it.
pub(super) fn table() -> String {
    let mut text =
        String::from("| code | blame | exit | what happened |\n| --- | --- | --- | --- |\n");
    for code in Code::ALL {
        let meaning = code.meaning();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            meaning.name, meaning.blame, meaning.exit, meaning.summary
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_prints_this_table() {
        let readme = include_str!("../../../README.md");
        assert!(
            readme.contains(&super::table()),
            "put the output of `crunchbox explain` into README.md"
        );
    }
}
