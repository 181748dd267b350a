//! Mail to a server, over real TCP.

use anyhow::{Context as _, Result};
use contracts::order::CancelReason;
use tokio::net::TcpListener;

use crate::{
    order::{EMAIL, Order},
    smtp_server::{
        Behaviour::{Recipient, Sender, Silent, SilentlyTakes},
        SmtpServer,
    },
    world::World,
};

#[tokio::test]
async fn a_mail_is_sent_once() -> Result<()> {
    let server = SmtpServer::start([]).await?;
    let world = World::start(Some(server.url())).await?;
    let order = Order::new();
    let event = order.cancelled(CancelReason::CustomerRequest);
    world.handle([event.clone(), event]).await;
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len()), (1, 1));
    let (recipient, mail) = &seen.mails[0];
    assert_eq!(recipient, EMAIL);
    assert!(mail.contains("as you asked") && mail.contains(&order.id.to_string()), "{mail}");
    assert_eq!(world.remembered(order.id).await?, ["cancellation"]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_busy_or_does_not_let_us_in_is_waited_for() -> Result<()> {
    let script = [
        Sender("451 4.3.0 local error"),
        Recipient("450 4.2.1 mailbox busy"),
        Sender("530 5.7.0 authentication required"),
        Sender("421 4.3.2 shutting down"),
    ];
    let server = SmtpServer::start(script).await?;
    let world = World::start(Some(server.url())).await?;
    let order = Order::new();
    world.handle([order.confirmed()]).await;
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len()), (script.len() + 1, 1));
    assert_eq!(world.remembered(order.id).await?, ["confirmation"]);
    assert_eq!((world.attempts().await, world.dead_letters()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn an_address_that_nobody_has_is_given_up_at_once_and_the_others_go_on() -> Result<()> {
    let server = SmtpServer::start([Recipient("550 5.1.1 no such user")]).await?;
    let world = World::start(Some(server.url())).await?;
    let (unknown, unusable, fine) = (Order::new(), Order::new(), Order::new());
    world.handle([unknown.confirmed()]).await;
    assert_eq!((server.seen().connections, world.dead_letters()), (1, 1));
    let injected = "ada@example.org>\r\nRCPT TO:<eve@example.org";
    world.handle([unusable.confirmed_to(injected), fine.confirmed()]).await;
    assert_eq!(world.dead_letters(), 2);
    let seen = server.seen();
    assert_eq!((seen.connections, seen.mails.len()), (2, 1));
    assert!(seen.mails[0].1.contains(&fine.id.to_string()));
    for order in [unknown, unusable] {
        assert_eq!(world.remembered(order.id).await?, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn a_mail_whose_answer_is_lost_is_sent_again_under_the_same_name() -> Result<()> {
    let server = SmtpServer::start([SilentlyTakes]).await?;
    let world = World::start(Some(server.url())).await?;
    let order = Order::new();
    world.handle([order.confirmed()]).await;
    let mails = server.seen().mails;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0], mails[1]);
    assert_eq!(world.attempts().await, 0);
    let message_id = mails[0].1.lines().find(|line| line.starts_with("Message-ID: <notification_send-confirmation-"));
    message_id.context("a name made from the event")?;
    assert_eq!(world.remembered(order.id).await?, ["confirmation"]);
    Ok(())
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() -> Result<()> {
    let server = SmtpServer::start([Silent]).await?;
    let world = World::start(Some(server.url())).await?;
    world.handle([Order::new().confirmed()]).await;
    assert_eq!((server.seen().connections, server.seen().mails.len(), world.dead_letters()), (2, 1, 0));
    Ok(())
}

#[tokio::test]
async fn mail_waits_for_a_server_that_is_down() -> Result<()> {
    // Only this test listens there, and it hangs up on every caller.
    let down = TcpListener::bind("127.0.0.1:0").await?;
    let address = down.local_addr()?;
    let world = World::start(Some(format!("smtp://{address}"))).await?;
    let orders = [Order::new(), Order::new()];
    world.publish(orders.iter().map(Order::confirmed));
    for _ in 0..2 * orders.len() {
        drop(down.accept().await?);
    }
    drop(down);
    let server = SmtpServer::start_on(TcpListener::bind(address).await?, [])?;
    world.notification.settle().await;
    let mails = server.seen().mails;
    for order in &orders {
        let told = mails.iter().filter(|(_, mail)| mail.contains(&order.id.to_string()));
        assert_eq!(told.count(), 1);
    }
    assert_eq!((mails.len(), world.attempts().await, world.dead_letters()), (orders.len(), 0, 0));
    Ok(())
}
