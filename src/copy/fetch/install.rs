//! Moves what has arrived into its place.

use super::local::{HostDirectory, LocalError};
use super::remote::{LocalState, RemoteEntry, RemoteKind};

/// Makes missing directories, and moves files and links over those that are there.
///
/// # Errors
/// Something cannot be replaced. What was replaced before stays.
pub(in crate::copy) fn install(
    directory: &mut HostDirectory,
    entries: &[RemoteEntry],
) -> Result<(), LocalError> {
    for (number, entry) in entries.iter().enumerate() {
        let name = &entry.name;
        match (&entry.kind, entry.state) {
            (_, LocalState::Same | LocalState::Unknown) => {}
            (RemoteKind::Directory, _) => directory.make_directory(name)?,
            (RemoteKind::File, LocalState::Differs) => directory.install(number, name)?,
            (RemoteKind::File, LocalState::Attributes) => {
                directory.set_attributes(name, &entry.attributes)?;
            }
            // Through the temporary directory, because symlink(2) does not replace what is there.
            (RemoteKind::Link(content), _) => {
                directory.create_link(number, name, content)?;
                directory.install(number, name)?;
            }
            // After the files that have their first names.
            (RemoteKind::HardLink(_), _) => {}
        }
    }
    for (number, entry) in entries.iter().enumerate() {
        if let (RemoteKind::HardLink(first), LocalState::Differs) = (&entry.kind, entry.state) {
            directory.create_hard_link(number, &entry.name, &entries[*first].name)?;
            directory.install(number, &entry.name)?;
        }
    }
    // The content of a directory comes before its mode, which may forbid to change it.
    let new = entries
        .iter()
        .rev()
        .filter(|entry| entry.kind == RemoteKind::Directory && entry.state == LocalState::Differs);
    for entry in new {
        let mut attributes = entry.attributes;
        // The time of a directory is that of its last change here.
        attributes.mtime = None;
        directory.set_attributes(&entry.name, &attributes)?;
    }
    Ok(())
}
