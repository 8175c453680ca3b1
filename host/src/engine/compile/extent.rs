//! How large an instance of a component is beside its memories and tables: what no limit of a guest counts is bounded before
//! there is native code, since native code is all that a host loads.

use wasmparser::{ElementItems, Parser, Payload};

/// Globals of one module, 16 bytes each in every instance. Compilers use some tens; CPython's shared libraries, which have one
/// for each address that they share, some thousands.
const GLOBALS_MAX: u64 = 20_000;

/// Functions of one module that are called by pointer or from outside, 40 bytes each in every instance. CPython has 12,000.
const SHARED_FUNCTIONS_MAX: u64 = 50_000;

/// Refuses a component with a module whose instances would be larger than any toolchain makes them. What does not parse is left
/// to the compiler, which says why.
///
/// # Errors
/// What was expected.
pub(super) fn check(component: &[u8]) -> Result<(), String> {
    let (mut globals, mut shared) = (0, 0);
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else {
            return Ok(());
        };
        match payload {
            Payload::ModuleSection { .. } => (globals, shared) = (0, 0),
            Payload::GlobalSection(section) => globals += u64::from(section.count()),
            Payload::ExportSection(section) => shared += u64::from(section.count()),
            Payload::ElementSection(section) => {
                let items = section.into_iter().flatten();
                shared += items.map(|element| items_of(&element.items)).sum::<u64>();
            }
            _ => {}
        }
        within("globals", globals, GLOBALS_MAX)?;
        within("functions called by pointer", shared, SHARED_FUNCTIONS_MAX)?;
    }
    Ok(())
}

fn items_of(items: &ElementItems<'_>) -> u64 {
    u64::from(match items {
        ElementItems::Functions(section) => section.count(),
        ElementItems::Expressions(_, section) => section.count(),
    })
}

fn within(what: &str, count: u64, most: u64) -> Result<(), String> {
    if count <= most {
        return Ok(());
    }
    Err(format!(
        "a module of it has {count} {what}: expected at most {most}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(parts: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (core module {parts}) (core module))")).unwrap()
    }

    #[test]
    fn a_module_with_more_globals_than_any_toolchain_makes_is_refused() {
        let globals = |count| "(global i32 (i32.const 0))".repeat(count);
        assert_eq!(check(&module(&globals(20_000))), Ok(()));
        let problem = check(&module(&globals(20_001))).unwrap_err();
        assert!(problem.contains("20001 globals"), "{problem}");
    }

    #[test]
    fn a_module_with_more_shared_functions_than_any_toolchain_makes_is_refused() {
        let elements = |count| format!("(func) (elem func {})", "0 ".repeat(count));
        assert_eq!(check(&module(&elements(50_000))), Ok(()));
        assert!(check(&module(&elements(50_001))).is_err());
    }

    #[test]
    fn what_does_not_parse_is_left_to_the_compiler() {
        for bytes in [&b""[..], b"\0asm", b"words"] {
            assert_eq!(check(bytes), Ok(()));
        }
    }
}
