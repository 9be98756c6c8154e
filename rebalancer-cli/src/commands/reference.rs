//! The commands `completions` and `man`: documents that are generated from the command line.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::print;
use crate::args::{self, Reference};
use crate::error::CliError;
use crate::exit::Exit;

/// Prints or writes the documents.
pub(crate) fn run(reference: &Reference) -> Result<Exit, CliError> {
    match reference {
        Reference::Completions(shell) => {
            let mut command = args::command();
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, name, &mut script);
            print(&String::from_utf8_lossy(&script))?;
        }
        Reference::Man { dir: None } => {
            let page = page(args::command())?;
            print(&String::from_utf8_lossy(&page))?;
        }
        Reference::Man { dir: Some(dir) } => {
            write(args::command(), dir)?;
            let mut program = args::command();
            program.build();
            for command in program.get_subcommands() {
                let name = format!("rebalancer-{}", command.get_name());
                // The options that every command has are in the page of the program.
                let command = command
                    .clone()
                    .name(name)
                    .mut_args(|arg| {
                        let is_global = arg.is_global_set();
                        arg.hide(is_global)
                    })
                    .after_help("The options that every command has are in rebalancer(1).");
                write(command, dir)?;
            }
        }
    }
    Ok(Exit::Fine)
}

fn page(command: Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    let man = Man::new(command)
        // Without any text, the next field would be in the place of the date.
        .date(" ")
        .source(concat!("rebalancer ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page).map_err(CliError::Stdout)?;
    Ok(page)
}

fn write(command: Command, dir: &Path) -> Result<(), CliError> {
    let path = dir.join(format!("{}.1", command.get_name()));
    let page = page(command)?;
    std::fs::write(&path, page).map_err(|source| CliError::ManualPage { path, source })
}
