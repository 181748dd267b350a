//! The service's part of the choreography. Names of reactions are names of durable consumers, so a change here is a
//! change of what runs in production.

use anyhow::Result;
use notification::{Mailer, Notification, Settings, service};
use tempfile::TempDir;

#[test]
fn the_choreography_is_as_agreed() -> Result<()> {
    let folder = TempDir::new()?;
    let mut settings = Settings::default();
    settings.maildir = folder.path().into();
    insta::assert_json_snapshot!(service(Notification::new(Mailer::new(&settings)?)).manifest());
    Ok(())
}
