//! What an author is told: where it is in the source as it was written, what it is, and what to do about it.

use crate::rig::started::Started;

/// What somebody writes, and what has to be said about it.
struct Case<'a> {
    what: &'a str,
    source: &'a str,
    /// The failure's code, and what else has to be there.
    code: &'a str,
    words: &'a [&'a str],
}

const EVENT: &str = r#"{"station": "oslo"}"#;

/// Builds and runs each of them, with the tools that the first one installs.
fn told(project: &Started, cases: &[Case<'_>]) {
    for Case {
        what,
        source,
        code,
        words,
    } in cases
    {
        project.write(project.source(), source);
        let said = project.refused(&["run", ".", "--data", EVENT]).1;
        assert!(said.contains(code), "{what}: expected {code}, got {said}");
        for word in *words {
            assert!(said.contains(word), "{what}: expected `{word}`, got {said}");
        }
    }
}

#[test]
fn mistakes_in_python_are_told_with_their_place_in_the_source() {
    let cases = [
        Case {
            what: "a syntax error",
            source: "def lambda_handler(event, context):\n    return {\"a\": 1\n",
            code: "Crunchbox.BuildFailed",
            words: &["lambda_function.py:2:12: SyntaxError", "return {\"a\": 1"],
        },
        Case {
            what: "an unknown import",
            source: "import pandass\n\ndef lambda_handler(event, context):\n    return 1\n",
            code: "Crunchbox.BuildFailed",
            words: &[
                "lambda_function.py:1:1: no module named `pandass`",
                "requirements.txt",
            ],
        },
        Case {
            what: "the environment at module level",
            source: "import os\nHOST = os.environ[\"DB_HOST\"]\n\ndef lambda_handler(event, context):\n    return HOST\n",
            code: "Crunchbox.BuildFailed",
            words: &[
                "lambda_function.py:2",
                "DB_HOST",
                "read it inside the handler",
            ],
        },
        Case {
            what: "no handler",
            source: "def handle(event, context):\n    return 1\n",
            code: "Crunchbox.BuildFailed",
            words: &["no function `lambda_handler`", "handle"],
        },
        Case {
            what: "an exception with a stack",
            source: "def inner(x):\n    return 1 / x\n\ndef lambda_handler(event, context):\n    return inner(0)\n",
            code: "GuestFailure ZeroDivisionError",
            words: &[
                "division by zero",
                "at inner (lambda_function.py:2)",
                "at lambda_handler (lambda_function.py:5)",
            ],
        },
        Case {
            what: "a coroutine that nobody waits for",
            source: "async def lambda_handler(event, context):\n    return 1\n",
            code: "Crunchbox.BuildFailed",
            words: &["lambda_function.py:1", "`lambda_handler` is async"],
        },
        Case {
            what: "a wrong return type",
            source: "import datetime\n\ndef lambda_handler(event, context):\n    return {\"a\": [1, {\"at\": datetime.datetime(2020, 1, 1)}]}\n",
            code: "GuestFailure ResponseNotJson",
            words: &["$.a[1].at", "datetime"],
        },
        Case {
            what: "the end of the process",
            source: "import sys\n\ndef lambda_handler(event, context):\n    sys.exit(3)\n",
            code: "GuestFailure SystemExit",
            words: &["lambda_function.py:4"],
        },
        Case {
            what: "recursion without end",
            source: "def lambda_handler(event, context):\n    return lambda_handler(event, context)\n",
            code: "GuestFailure RecursionError",
            words: &["lambda_function.py:2"],
        },
    ];
    told(&Started::new("python"), &cases);
}

#[test]
fn mistakes_in_javascript_are_told_with_their_place_in_the_source() {
    let cases = [
        Case {
            what: "a syntax error",
            source: "export const handler = (event) => {\n  return { a: 1\n};\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.js:4:1", "Unexpected end of file"],
        },
        Case {
            what: "an unknown import",
            source: "import { x } from \"no-such-package\";\nexport const handler = () => x;\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.js:1", "no-such-package", "npm install"],
        },
        Case {
            what: "a part of Node",
            source: "import { readFileSync } from \"node:fs\";\nexport const handler = () => readFileSync(\"x\");\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.js:1", "node:fs"],
        },
        Case {
            what: "the environment at module level",
            source: "const host = process.env.DB_HOST;\nexport const handler = () => host;\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.js:1", "DB_HOST", "read it inside the handler"],
        },
        Case {
            what: "no handler",
            source: "export const other = () => 1;\n",
            code: "Crunchbox.BuildFailed",
            words: &["handler", "other"],
        },
        Case {
            what: "an exception with a stack",
            source: "class NoGood extends Error {}\nconst inner = () => {\n  throw new NoGood(\"no good\");\n};\nexport const handler = async () => inner();\n",
            code: "GuestFailure NoGood",
            words: &["no good", "src/handler.js:3", "src/handler.js:5"],
        },
        Case {
            what: "a promise that never settles",
            source: "export const handler = async () => {\n  await new Promise(() => {});\n};\n",
            code: "Crunchbox.GuestFailure",
            words: &["NeverSettled"],
        },
        Case {
            what: "a wrong return type",
            source: "export const handler = () => ({ a: [1, { b: 10n }] });\n",
            code: "GuestFailure ResponseNotJson",
            words: &["response.a[1].b", "BigInt"],
        },
    ];
    told(&Started::new("javascript"), &cases);
}

#[test]
fn mistakes_in_clojure_are_told_with_their_place_in_the_source() {
    let cases = [
        Case {
            what: "a syntax error",
            source: "(ns handler (:require [crunchbox.core :refer [defhandler]]))\n\n(defhandler rain [event _]\n  {:a 1]\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.cljs:4"],
        },
        Case {
            what: "an unknown namespace",
            source: "(ns handler (:require [crunchbox.core :refer [defhandler]]\n                      [no.such.place :as p]))\n\n(defhandler rain [event _] (p/x))\n",
            code: "Crunchbox.BuildFailed",
            words: &["no.such.place", "src/handler.cljs"],
        },
        Case {
            what: "an unknown symbol",
            source: "(ns handler (:require [crunchbox.core :refer [defhandler]]))\n\n(defhandler rain [event _]\n  (no-such-function event))\n",
            code: "Crunchbox.BuildFailed",
            words: &["no-such-function", "src/handler.cljs:4"],
        },
        Case {
            what: "an exception with a stack",
            source: "(ns handler (:require [crunchbox.core :refer [defhandler]]))\n\n(defn inner [_]\n  (throw (ex-info \"no good\" {:kind \"NoGood\" :tried 3})))\n\n(defhandler rain [event _]\n  (inner event))\n",
            code: "GuestFailure NoGood",
            words: &["no good", "src/handler.cljs:", "\"tried\":3"],
        },
        Case {
            what: "a promise that never settles",
            source: "(ns handler (:require [crunchbox.core :refer [defhandler]]))\n\n(defhandler rain [_ _]\n  (js/Promise. (fn [_ _])))\n",
            code: "Crunchbox.GuestFailure",
            words: &["NeverSettled"],
        },
        Case {
            what: "a wrong return type",
            source: "(ns handler (:require [crunchbox.core :refer [defhandler]]))\n\n(defhandler rain [_ _]\n  {:a [1 {:b (js/BigInt 10)}]})\n",
            code: "GuestFailure ResponseNotJson",
            words: &["BigInt"],
        },
    ];
    told(&Started::new("clojure"), &cases);
}

#[test]
fn mistakes_in_typescript_are_told_with_their_place_in_the_source() {
    let cases = [
        Case {
            what: "a syntax error",
            source: "export const handler = (event: {a: number) => 1;\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.ts:1"],
        },
        Case {
            what: "an exception with a stack",
            source: "interface A {\n  a: number;\n}\n\nexport const handler = (event: A): number => {\n  throw new TypeError(`no ${event.a}`);\n};\n",
            code: "GuestFailure TypeError",
            words: &["no undefined", "src/handler.ts:6"],
        },
        Case {
            what: "an unknown import",
            source: "import { x } from \"no-such-package\";\nexport const handler = (): number => x;\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.ts:1", "no-such-package", "npm install"],
        },
        Case {
            what: "a promise that never settles",
            source: "export const handler = (): Promise<number> => new Promise<number>(() => {});\n",
            code: "Crunchbox.GuestFailure",
            words: &["NeverSettled"],
        },
        Case {
            what: "a wrong return type",
            source: "import type { Handler } from \"crunchbox\";\n\nexport const handler: Handler<unknown, { a: number }> = () => ({ a: \"one\" });\n",
            code: "Crunchbox.BuildFailed",
            words: &["src/handler.ts:3", "TS2322"],
        },
    ];
    told(&Started::new("typescript"), &cases);
}

#[test]
fn mistakes_in_rust_are_told_with_their_place_in_the_source() {
    let handler = |body: &str| {
        format!(
            "use crunchbox_sdk::{{Failure, handler}};\n\n#[handler]\npub fn rain(_: serde_json::Value) -> Result<u32, Failure> {{\n    {body}\n}}\n"
        )
    };
    let cases: [(&str, &str, &str, &[&str]); 4] = [
        (
            "a syntax error",
            "Ok((1]",
            "Crunchbox.BuildFailed",
            &["src/lib.rs:5:", "mismatched closing delimiter"],
        ),
        (
            "an unknown import",
            "Ok(no_such_crate::one())",
            "Crunchbox.BuildFailed",
            &["src/lib.rs:5:", "no_such_crate"],
        ),
        (
            "a wrong return type",
            "Ok(\"one\")",
            "Crunchbox.BuildFailed",
            &["src/lib.rs:5:", "mismatched types"],
        ),
        (
            "a panic",
            "Ok([1][std::env::args().count() + 7])",
            "Crunchbox.GuestPanic",
            &["index out of bounds", "src/lib.rs:5"],
        ),
    ];
    let project = Started::new("rust");
    for (what, body, code, words) in cases {
        let source = handler(body);
        told(
            &project,
            &[Case {
                what,
                source: &source,
                code,
                words,
            }],
        );
    }
}
