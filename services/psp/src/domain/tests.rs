use super::Status::{Canceled, RequiresCapture, RequiresPaymentMethod, Succeeded};
use super::*;

fn intent(card: Card, status: Status) -> Intent {
    let amount_captured = if status == Succeeded { 1000 } else { 0 };
    Intent {
        id: "pi_1".into(),
        amount: 1000,
        currency: "eur".into(),
        card,
        order_id: "1".into(),
        status,
        amount_captured,
        amount_refunded: 0,
        created: 0,
    }
}

#[test]
fn only_the_declined_card_is_not_authorised() {
    for card in Card::ALL {
        let new = NewIntent { amount: 1000, currency: "eur".into(), card, order_id: "1".into() };
        let it = Intent::authorize(new, "pi_1".into(), 0);
        let expected = if card == Card::Declined { (RequiresPaymentMethod, 0) } else { (RequiresCapture, 1000) };
        assert_eq!((it.status, it.amount_capturable()), expected, "{card:?}");
    }
}

#[test]
fn every_state_takes_or_refuses_capture_and_cancel() {
    let refused = |action, status| Err(Refusal::UnexpectedState { action, status });
    for (status, captured, cancelled) in [
        (RequiresPaymentMethod, refused("capture", RequiresPaymentMethod), Ok(())),
        (RequiresCapture, Ok(()), Ok(())),
        (Canceled, refused("capture", Canceled), refused("cancel", Canceled)),
        (Succeeded, refused("capture", Succeeded), refused("cancel", Succeeded)),
    ] {
        let mut it = intent(Card::Visa, status);
        assert_eq!(it.capture(), captured, "capture of {status:?}");
        let after =
            if captured.is_ok() { (Succeeded, 1000) } else { (status, intent(Card::Visa, status).amount_captured) };
        assert_eq!((it.status, it.amount_captured), after);

        let mut it = intent(Card::Visa, status);
        assert_eq!(it.cancel(), cancelled, "cancel of {status:?}");
        assert_eq!(it.status, if cancelled.is_ok() { Canceled } else { status });
    }
}

#[test]
fn a_capture_that_fails_leaves_the_authorisation_open() {
    let mut it = intent(Card::CaptureFails, RequiresCapture);
    assert_eq!(it.capture(), Err(Refusal::CaptureFailed));
    assert_eq!(it, intent(Card::CaptureFails, RequiresCapture));
    assert_eq!(it.cancel(), Ok(()));
}

#[test]
fn refunds_never_exceed_what_was_captured() {
    type Refund = (Option<i64>, Result<i64, Refusal>);
    let too_large = |left| Err(Refusal::RefundTooLarge { left });
    let cases: [&[Refund]; 4] = [
        &[(None, Ok(1000)), (None, Err(Refusal::AlreadyRefunded)), (Some(1), Err(Refusal::AlreadyRefunded))],
        &[(Some(400), Ok(400)), (Some(601), too_large(600)), (Some(600), Ok(600))],
        &[(Some(400), Ok(400)), (None, Ok(600)), (None, Err(Refusal::AlreadyRefunded))],
        &[(Some(1001), too_large(1000)), (Some(1000), Ok(1000))],
    ];
    for refunds in cases {
        let mut it = intent(Card::Visa, Succeeded);
        for (amount, expected) in refunds {
            assert_eq!(it.refund(*amount), *expected, "{refunds:?}");
        }
        assert_eq!(it.amount_refunded, 1000);
    }
}

#[test]
fn nothing_is_refunded_that_was_not_captured() {
    for status in [RequiresPaymentMethod, RequiresCapture, Canceled] {
        let refused = Err(Refusal::UnexpectedState { action: "refund", status });
        assert_eq!(intent(Card::Visa, status).refund(None), refused);
    }
}

#[test]
fn words_are_read_back() {
    assert!(Status::ALL.into_iter().all(|it| Status::of(it.name()) == Some(it)));
    assert!(Card::ALL.into_iter().all(|it| Card::of(it.id()) == Some(it)));
    assert_eq!((Status::of("paid"), Card::of("pm_card_gold")), (None, None));
}
