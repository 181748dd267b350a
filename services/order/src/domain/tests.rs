use proptest::prelude::*;

use super::*;
use Fact::*;

fn facts(all: &[Fact]) -> Facts {
    all.iter().fold(Facts::default().with(Placed), |facts, fact| facts.with(*fact))
}

#[test]
fn names_and_bits_never_change() {
    let bits = Fact::ALL.map(|fact| (fact.bit(), fact.name()));
    let expected = [
        (1, "order.placed"),
        (2, "payment.authorized"),
        (4, "payment.declined"),
        (8, "inventory.reserved"),
        (16, "inventory.rejected"),
        (32, "shipping.created"),
        (64, "shipping.rejected"),
        (128, "payment.captured"),
        (256, "payment.capture-failed"),
        (512, "order.confirmed"),
        (1024, "order.cancelled"),
        (2048, "payment.voided"),
        (4096, "payment.refunded"),
        (8192, "inventory.released"),
        (16384, "shipping.cancelled"),
    ];
    assert_eq!(bits, expected);
    for fact in Fact::ALL {
        assert_eq!(Fact::named(fact.name()), Some(fact));
    }
    for status in Status::ALL {
        assert_eq!(Status::named(status.name()), Some(status));
    }
    assert_eq!((Fact::named("order.lost"), Status::named("lost")), (None, None));
}

#[test]
fn facts_amount_to_a_status() {
    for (known, expected) in [
        (&[][..], Status::PaymentPending),
        (&[Authorized], Status::Authorized),
        (&[Authorized, Reserved], Status::StockReserved),
        (&[Authorized, Reserved, ShipmentCreated], Status::ShipmentCreated),
        (&[Authorized, Reserved, ShipmentCreated, Captured, Confirmed], Status::Confirmed),
        // What must have happened before is known by what happened after it.
        (&[Reserved], Status::StockReserved),
        (&[ShipmentCreated], Status::ShipmentCreated),
        (&[Captured, Confirmed], Status::Confirmed),
        // Nothing was done that has to be undone.
        (&[Declined, Cancelled], Status::Cancelled),
        (&[Cancelled], Status::Cancelled),
        (&[Authorized, Cancelled], Status::Cancelling),
        (&[Authorized, Cancelled, Voided], Status::Cancelled),
        (&[OutOfStock, Cancelled], Status::Cancelling),
        (&[NoCarrier, Cancelled, Voided], Status::Cancelling),
        (&[NoCarrier, Cancelled, Voided, Released], Status::Cancelled),
        (&[CaptureFailed, Cancelled, Voided, Released], Status::Cancelling),
        (&[CaptureFailed, Cancelled, Voided, Released, ShipmentCancelled], Status::Cancelled),
        // A charge that lost against the cancellation has to be refunded; the authorisation is used up.
        (&[Captured, Cancelled, Released, ShipmentCancelled], Status::Cancelling),
        (&[Captured, Cancelled, Refunded, Released, ShipmentCancelled], Status::Cancelled),
        // A refund that overtakes the charge tells of it.
        (&[Cancelled, Refunded], Status::Cancelling),
        // Contradictions.
        (&[Captured, Confirmed, Cancelled], Status::NeedsReview),
        (&[Captured, Confirmed, Refunded], Status::NeedsReview),
        (&[Captured, Confirmed, ShipmentCancelled], Status::NeedsReview),
        (&[Authorized, Declined, Cancelled], Status::NeedsReview),
        (&[Captured, Cancelled, Voided, Refunded, Released, ShipmentCancelled], Status::NeedsReview),
        (&[Authorized, Voided], Status::NeedsReview),
    ] {
        assert_eq!(facts(known).status(), expected, "{known:?}");
    }
}

/// What one saga tells, in groups that are recorded together.
type Saga = Vec<Vec<Fact>>;

/// Every way in which an order ends, and its status then.
fn sagas() -> Vec<(Saga, Status)> {
    let done = || vec![vec![Authorized], vec![Reserved], vec![ShipmentCreated]];
    let join = |mut saga: Saga, more: Saga| {
        saga.extend(more);
        saga
    };
    vec![
        (join(done(), vec![vec![Captured, Confirmed]]), Status::Confirmed),
        (vec![vec![Declined, Cancelled]], Status::Cancelled),
        (vec![vec![Authorized], vec![OutOfStock, Cancelled], vec![Voided]], Status::Cancelled),
        (
            vec![vec![Authorized], vec![Reserved], vec![NoCarrier, Cancelled], vec![Voided], vec![Released]],
            Status::Cancelled,
        ),
        (
            join(done(), vec![vec![CaptureFailed, Cancelled], vec![Voided], vec![Released], vec![ShipmentCancelled]]),
            Status::Cancelled,
        ),
        // Cancelled by the customer or the deadline, at each stage.
        (vec![vec![Cancelled]], Status::Cancelled),
        (vec![vec![Cancelled], vec![Declined]], Status::Cancelled),
        (vec![vec![Cancelled], vec![Authorized], vec![Voided]], Status::Cancelled),
        (vec![vec![Cancelled], vec![Authorized], vec![Reserved], vec![Released], vec![Voided]], Status::Cancelled),
        (join(done(), vec![vec![Cancelled], vec![Voided], vec![Released], vec![ShipmentCancelled]]), Status::Cancelled),
        (
            join(
                done(),
                vec![vec![Cancelled], vec![Captured], vec![Refunded], vec![Released], vec![ShipmentCancelled]],
            ),
            Status::Cancelled,
        ),
    ]
}

/// All orders in which a saga's facts can arrive here: any, but that an undo follows the outcome that causes it.
fn arrivals(saga: &Saga, before: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
    if before.len() == saga.len() {
        return visit(before);
    }
    let cancelled = before.iter().any(|at| saga[*at].contains(&Cancelled));
    for at in 0..saga.len() {
        let waits = UNDOS.contains(&saga[at][0]) && !cancelled;
        if !before.contains(&at) && !waits {
            before.push(at);
            arrivals(saga, before, visit);
            before.pop();
        }
    }
}

#[test]
fn whatever_arrives_first_the_end_is_the_same_and_never_a_contradiction() {
    for (saga, end) in sagas() {
        let mut ways = 0;
        arrivals(&saga, &mut Vec::new(), &mut |way| {
            let mut known = facts(&[]);
            for at in way {
                known = saga[*at].iter().fold(known, |known, fact| known.with(*fact));
                assert_ne!(known.status(), Status::NeedsReview, "{saga:?} {way:?}");
            }
            assert_eq!(known.status(), end, "{saga:?} {way:?}");
            ways += 1;
        });
        assert!(ways > 0, "{saga:?}");
    }
}

#[test]
fn an_order_that_could_not_be_fulfilled_is_not_seen_as_cancelled_before_all_is_undone() {
    let refused = [Declined, OutOfStock, NoCarrier, CaptureFailed];
    for (saga, _) in sagas() {
        // Known with the outcome itself: it tells what was done before.
        if !saga.iter().any(|group| group.len() == 2 && refused.contains(&group[0])) {
            continue;
        }
        let undos = saga.iter().flatten().filter(|fact| UNDOS.contains(fact)).count();
        arrivals(&saga, &mut Vec::new(), &mut |way| {
            let (mut known, mut undone) = (facts(&[]), 0);
            for at in way {
                known = saga[*at].iter().fold(known, |known, fact| known.with(*fact));
                undone += saga[*at].iter().filter(|fact| UNDOS.contains(fact)).count();
                assert_eq!(known.status() == Status::Cancelled, known.has(Cancelled) && undone == undos, "{way:?}");
            }
        });
    }
}

proptest! {
    #[test]
    fn any_set_of_facts_has_one_status_in_whatever_order_it_is_learnt(
        (one, other) in proptest::sample::subsequence(Fact::ALL.to_vec(), 0..=Fact::ALL.len())
            .prop_flat_map(|facts| (Just(facts.clone()).prop_shuffle(), Just(facts).prop_shuffle()))
    ) {
        prop_assert_eq!(facts(&one).status(), facts(&other).status());
    }

    #[test]
    fn a_fact_learnt_twice_is_learnt_once(known in proptest::sample::subsequence(Fact::ALL.to_vec(), 1..=Fact::ALL.len())) {
        let twice: Vec<_> = known.iter().chain(&known).copied().collect();
        prop_assert_eq!(facts(&known), facts(&twice));
    }
}
