//! The program: `bootstrap` on Lambda, `crunchbox` anywhere else.

use std::process::ExitCode;

fn main() -> ExitCode {
    crunchbox::cli::main(std::env::args_os().collect(), &|name| {
        std::env::var_os(name)
    })
}
