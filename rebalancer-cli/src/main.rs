//! The `rebalancer` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    rebalancer_cli::main()
}
