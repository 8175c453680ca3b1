//! What is embedded in the program is read by a macro, of which cargo does not know that it looks into folders.

fn main() {
    for folder in [
        "guest/javascript",
        "guest/python",
        "guest/sdk",
        "guest/templates",
        "wit",
    ] {
        println!("cargo::rerun-if-changed=../{folder}");
    }
}
