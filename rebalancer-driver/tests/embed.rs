//! The example that embeds a rebalance.

use std::process::Command;

#[test]
fn example_evicts_the_outliers_of_seven_pods() {
    // `cargo test` builds the example beside the executable of this test.
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let output = Command::new(profile.join("examples/embed"))
        .output()
        .expect("the example is built: cargo build -p rebalancer-driver --example embed");
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout, "4 of 4 pods evicted\n");
}

#[test]
fn example_has_under_60_lines_of_code() {
    let text = include_str!("../examples/embed.rs");
    let code = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(code.count() < 60);
}
