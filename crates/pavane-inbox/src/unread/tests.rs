use super::*;

const HOUR: i64 = 3_600_000_000;

fn kept(read_to: u64) -> Kept {
    Kept { stream: 1, read_to, expired: 0, expired_at: 0 }
}

fn noticed(gone: u64, read_to: u64, done_to: u64) -> Noticed {
    Noticed { stream: 1, gone, read_to, done_to }
}

#[test]
fn what_the_stream_no_longer_has_and_nobody_read_is_lost() {
    let (now, lost) = kept(105).judge(&noticed(149, 105, 105), HOUR);
    assert_eq!((lost, &now), (44, &Kept { stream: 1, read_to: 149, expired: 44, expired_at: HOUR }));
    let (again, lost) = now.judge(&noticed(149, 105, 200), 2 * HOUR);
    assert_eq!((lost, again.expired, again.read_to), (0, 44, 200), "it is counted once");
}

#[test]
fn that_the_server_moved_the_consumer_past_it_hides_nothing() {
    let (_, lost) = kept(100).judge(&noticed(149, 200, 200), HOUR);
    assert_eq!(lost, 49);
}

#[test]
fn a_reaction_that_rarely_gets_an_event_has_missed_none() {
    // Its consumer stands where its last event was, and the stream has long forgotten that.
    let (now, lost) = kept(9_000).judge(&noticed(8_000, 100, 9_500), HOUR);
    assert_eq!((lost, now.read_to), (0, 9_500));
    // An event that is not settled does not change that.
    let (now, lost) = now.judge(&noticed(9_400, 100, 100), HOUR);
    assert_eq!((lost, now.read_to), (0, 9_500));
}

#[test]
fn another_stream_begins_anew() {
    let (now, lost) = kept(9_000).judge(&Noticed { stream: 2, ..noticed(0, 0, 5) }, HOUR);
    assert_eq!((lost, now.stream, now.read_to), (0, 2, 5));
}

#[test]
fn after_a_week_it_is_told_no_more() {
    let lost = Kept { expired: 44, expired_at: HOUR, ..kept(100) };
    let quiet = noticed(0, 100, 100);
    assert_eq!(lost.judge(&quiet, 24 * 7 * HOUR).0.expired, 44);
    assert_eq!(lost.judge(&quiet, (24 * 7 + 1) * HOUR).0.expired, 0);
}
