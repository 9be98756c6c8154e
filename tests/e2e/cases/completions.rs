//! Completions, by the shells themselves.

use std::{fs, path::Path};

use ::harness::{Rebalancer, Result, Run};
use rstest::rstest;
use tempfile::TempDir;

use crate::support::tools;

/// Writes the script of a shell to a folder. Returns its path.
async fn script(shell: &str, folder: &Path) -> Result<String> {
    let run: Run = Rebalancer::new().args(["completions", shell]).run().await?;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run}");
    let path = folder.join(format!("rebalancer.{shell}"));
    fs::write(&path, &run.stdout).unwrap();
    Ok(path.to_str().unwrap().to_owned())
}

/// The words that bash offers for the last word of a command line.
const BASH: &str = r#"
source "$1"
read -ra COMP_WORDS <<<"$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_rebalancer rebalancer "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"#;

/// The words that fish offers, without their descriptions.
const FISH: &str = "source $argv[1]; complete -C $argv[2] | string replace -r '\\t.*' ''";

/// An interactive zsh, to which a command line and the tab key are typed. Ctrl-X prints the line
/// that zsh made of it: see [`ZSHRC`].
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -d -i
zpty -w -n shell "$2"$'\t\x18'
while zpty -r shell; do :; done >&2
cat $ZDOTDIR/line
"#;

/// The start-up file of the interactive zsh.
const ZSHRC: &str = r#"
autoload -Uz compinit && compinit -u -D
source $ZDOTDIR/rebalancer.zsh
write-line() { print -r -- $BUFFER >$ZDOTDIR/line; exit }
zle -N write-line
bindkey '^X' write-line
"#;

#[rstest]
#[case::bash("bash", "--norc", BASH, "forecast", "--dry-run")]
#[case::fish("fish", "--no-config", FISH, "forecast", "--dry-run")]
// zsh completes the whole line, and the flag as far as its value.
#[case::zsh("zsh", "-f", ZSH, "rebalancer forecast", "rebalancer plan --dry-run=")]
#[tokio::test]
async fn shell_completes_commands_and_flags(
    #[case] shell: &str,
    #[case] option: &str,
    #[case] program: &str,
    #[case] command: &str,
    #[case] flag: &str,
) -> Result<()> {
    let dir = TempDir::new().unwrap();
    let script = script(shell, dir.path()).await?;
    let checked = tools::shell(shell, dir.path())
        .args(["-n", &script])
        .output()
        .await
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");

    fs::write(dir.path().join(".zshrc"), ZSHRC).unwrap();
    for (line, completed) in [
        ("rebalancer fore", command),
        ("rebalancer plan --dry-r", flag),
    ] {
        let file = dir.path().join("complete");
        fs::write(&file, program).unwrap();
        let output = tools::shell(shell, dir.path())
            .arg(option)
            .arg(&file)
            .args([&script, line])
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim(), completed, "{line}: {output:?}");
    }
    Ok(())
}
