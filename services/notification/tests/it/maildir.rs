//! Mail as files.

use std::{fs, os::unix::fs::MetadataExt as _};

use anyhow::{Context as _, Result};
use contracts::order::CancelReason;
use pavane_testkit::until;

use crate::{
    order::{EMAIL, Order},
    world::World,
};

#[tokio::test]
async fn each_outcome_becomes_one_mail() -> Result<()> {
    let world = World::start(None).await?;
    let (confirmed, cancelled) = (Order::new(), Order::new());
    world.handle([confirmed.confirmed(), cancelled.cancelled(CancelReason::OutOfStock)]).await;
    for (order, kind, subject, sentence) in [
        (&confirmed, "confirmation", "Your order is on its way", "Charged: 42.00 EUR"),
        (&cancelled, "cancellation", "We are sorry: your order is cancelled", "sold out"),
    ] {
        let mails = world.mails()?;
        let (_, mail) = mails.iter().find(|(_, mail)| mail.contains(&order.id.to_string())).context(kind)?;
        for line in [
            "From: \"Pavane shop\" <shop@example.com>".to_owned(),
            format!("To: {EMAIL}"),
            format!("Subject: {subject}"),
            format!("Message-ID: <notification_send-{kind}-"),
            // The event's, so that a retry has the same.
            "Date: Fri, 02 Jan 2026 03:04:05 +0000".to_owned(),
            sentence.to_owned(),
        ] {
            assert!(mail.contains(&line), "{line:?} in\n{mail}");
        }
        assert_eq!(world.remembered(order.id).await?, [kind]);
    }
    assert_eq!((world.mails()?.len(), world.dead_letters()), (2, 0));
    assert_eq!(fs::read_dir(world.maildir().join("tmp"))?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_duplicate_writes_no_second_mail() -> Result<()> {
    let world = World::start(None).await?;
    let order = Order::new();
    let event = order.confirmed();
    world.handle([event.clone(), event.clone()]).await;
    let mails = world.mails()?;
    fs::remove_file(&mails[0].0)?;
    world.handle([event]).await;
    assert_eq!((mails.len(), world.mails()?), (1, vec![]));
    assert_eq!(world.remembered(order.id).await?, ["confirmation"]);
    Ok(())
}

/// The mail is written and the record fails, as after a crash between the two.
#[tokio::test]
async fn a_retry_is_the_same_mail() -> Result<()> {
    let world = World::start(None).await?;
    let order = Order::new();
    sqlx::query("alter table sent_mail rename to aside").execute(world.notification.db().writers()).await?;
    world.publish([order.confirmed()]);
    until("a record that failed", async || (world.attempts().await > 0).then_some(())).await;
    let first = world.mails()?;
    let first_file = fs::metadata(&first[0].0)?.ino();
    sqlx::query("alter table aside rename to sent_mail").execute(world.notification.db().writers()).await?;
    world.notification.settle().await;
    assert_eq!((first.len(), world.mails()?), (1, first.clone()), "same name, same bytes");
    assert_ne!(fs::metadata(&first[0].0)?.ino(), first_file, "it was written again");
    assert_eq!(world.remembered(order.id).await?, ["confirmation"]);
    Ok(())
}

#[tokio::test]
async fn mail_waits_for_the_disk() -> Result<()> {
    let world = World::start(None).await?;
    let (tmp, new) = (world.maildir().join("tmp"), world.maildir().join("new"));
    fs::remove_dir(&new)?;
    let before = fs::metadata(&tmp)?.modified()?;
    let order = Order::new();
    world.publish([order.confirmed()]);
    // A file came and went; as there is no `new`, it can't have gone there.
    let failed = async || {
        let touched = fs::metadata(&tmp).ok()?.modified().ok()? > before;
        (touched && fs::read_dir(&tmp).ok()?.next().is_none()).then_some(())
    };
    until("an attempt that failed", failed).await;
    fs::create_dir(&new)?;
    world.notification.settle().await;
    assert_eq!((world.mails()?.len(), world.dead_letters()), (1, 0));
    Ok(())
}
