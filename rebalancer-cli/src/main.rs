//! The `rebalancer` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rebalancer_cli::main()
}
