//! The kernels natively: `kernels NAME ROUNDS` prints what it came to and how many nanoseconds it took.

use kernels::Kernel;

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = match words.as_slice() {
        [name, rounds] => Kernel::named(name).zip(rounds.parse().ok()),
        _ => None,
    };
    let (kernel, rounds) = asked.ok_or("expected the name of a kernel and a number of rounds")?;
    let ran = kernel.run(rounds);
    let written = std::io::Write::write_fmt(
        &mut std::io::stdout(),
        format_args!("{} {}\n", ran.sum, ran.time.as_nanos()),
    );
    written.map_err(|error| error.to_string())
}
