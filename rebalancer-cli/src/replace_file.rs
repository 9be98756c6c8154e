//! Replaces a file as a whole.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes a file beside and renames it, so that no reader sees a part of it. All users may read it:
/// the reader is usually another one.
pub(crate) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    // A reader of a directory, such as the textfile collector, chooses files by the end of their
    // names.
    let mut beside = name.to_owned();
    beside.push(".tmp");
    let beside = path.with_file_name(beside);
    let write = || {
        std::fs::write(&beside, text)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // The error to report is the first one.
        let _ = std::fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_and_readable_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rebalancer.prom");
        for text in ["a 1\n", "b 2\n"] {
            replace_file(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn failed_write_leaves_the_file_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rebalancer.prom");
        // A directory cannot be replaced by a file.
        std::fs::create_dir(&path).unwrap();
        assert!(replace_file(&path, "a 1\n").is_err());
        assert!(path.is_dir());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace_file(Path::new("/"), "a 1\n").is_err());
    }
}
