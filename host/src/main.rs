//! The program: `bootstrap` on Lambda, `crunchbox` anywhere else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let environment = std::env::vars_os().collect();
    crunchbox::cli::main(std::env::args_os().collect(), &environment)
}
