//! A provider over TLS: the service's process trusts it by its certificate.

use anyhow::Result;
use pavane_bus::{Bus as _, JetStream, jetstream};
use pavane_testkit::{
    outgoing,
    servers::{Authority, Nats, Process, ProcessOptions, TlsFront, Tools},
    until,
};
use payment::NAME;
use serde_json::Value;

use crate::{
    order::Order,
    provider::{INSTANT, Provider},
};

/// The service, asked to authorise an order.
struct Asked {
    order: Order,
    service: Process,
    provider: Provider,
    _ends: (Nats, TlsFront),
}

/// Asks a service that trusts one authority, of a provider that another one, or the same, has signed for.
async fn ask(trusted: &Authority, signer: &Authority) -> Result<Asked> {
    let nats = Nats::start(&Tools::from_env()).await?;
    let provider = Provider::start(INSTANT).await?;
    let front = TlsFront::start(provider.network.address(), &signer.sign("127.0.0.1")?).await?;
    let environment = vec![
        ("NATS_URL".to_owned(), nats.url()),
        ("PSP_URL".to_owned(), format!("https://{}", front.address())),
        ("SSL_CERT_FILE".to_owned(), trusted.file().display().to_string()),
    ];
    let service = Process::start(NAME, ProcessOptions { environment, ..ProcessOptions::default() }).await?;
    let bus = JetStream::connect(jetstream::Config::new(nats.url(), "order")).await?;
    let order = Order::new();
    for receipt in bus.publish(vec![outgoing(&order.placed("pm_card_visa"))]).await {
        receipt?;
    }
    Ok(Asked { order, service, provider, _ends: (nats, front) })
}

#[tokio::test]
async fn a_provider_with_a_certificate_of_a_trusted_authority_authorises() -> Result<()> {
    let authority = Authority::new()?;
    let Asked { order, service, provider, _ends } = ask(&authority, &authority).await?;
    let url = format!("{}/payments/{}", service.url(), order.id);
    until("the authorisation", async || {
        let payment: Value = reqwest::get(&url).await.ok()?.json().await.ok()?;
        (payment["status"] == "authorized").then_some(())
    })
    .await;
    assert_eq!(provider.intents_of(order.id).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_provider_with_a_certificate_of_a_stranger_is_told_nothing_and_the_log_says_why() -> Result<()> {
    let Asked { order, service, provider, _ends } = ask(&Authority::new()?, &Authority::new()?).await?;
    let line = until("a line about the certificate", async || {
        service.log().lines().find(|line| line.contains("invalid peer certificate")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("it can't be reached") && line.contains("unavailable; trying again"), "{line}");
    assert_eq!((provider.commands(), provider.intents_of(order.id).await?.len()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_service_with_no_certificates_to_trust_the_provider_by_does_not_start() -> Result<()> {
    let nats = Nats::start(&Tools::from_env()).await?;
    let environment = vec![
        ("NATS_URL".to_owned(), nats.url()),
        ("PSP_URL".to_owned(), "https://provider.example".to_owned()),
        ("SSL_CERT_FILE".to_owned(), "/no/such/file.pem".to_owned()),
        // The machine may have set it.
        ("SSL_CERT_DIR".to_owned(), String::new()),
    ];
    let started = Process::start(NAME, ProcessOptions { environment, ..ProcessOptions::default() }).await;
    let refused = started.map(drop).unwrap_err().to_string();
    let expected = "PSP_URL = \"https://provider.example/\" can't be used: install ca-certificates, or name a PEM file in \
                    SSL_CERT_FILE";
    assert!(refused.contains(expected) && refused.contains("/no/such/file.pem"), "{refused}");
    Ok(())
}
