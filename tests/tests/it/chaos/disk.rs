//! The disk under the tables of PostgreSQL.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::preloaded::Preloaded;

pub(super) struct Disk {
    library: Preloaded,
    /// Names the folder whose files can't get longer, while it is there.
    full: PathBuf,
}

impl Disk {
    pub(super) fn new() -> Self {
        let library = Preloaded::compile("full_disk");
        let full = library.file("full");
        Self { library, full }
    }

    /// The environment of a server that uses it.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let environment = self.library.environment("FULL_DISK", &self.full);
        environment.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// No table of this server gets longer. Its log is elsewhere, or it could not go on at all.
    pub(super) fn fill(&self, data: &Path) {
        let new = self.full.with_extension("new");
        fs::write(&new, data.join("base").canonicalize().unwrap().display().to_string()).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, &self.full).unwrap();
    }

    pub(super) fn give_room(&self) {
        fs::remove_file(&self.full).unwrap();
    }
}
