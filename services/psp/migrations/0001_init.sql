create table intent (
    id text primary key,
    amount integer not null check (amount > 0),
    currency text not null,
    payment_method text not null,
    order_id text not null,
    status text not null check (status in ('requires_payment_method', 'requires_capture', 'canceled', 'succeeded')),
    amount_captured integer not null check (amount_captured between 0 and amount),
    amount_refunded integer not null check (amount_refunded between 0 and amount_captured),
    created integer not null
) strict;

create index intent_by_order on intent (order_id);

create table refund (
    id text primary key,
    intent_id text not null references intent (id),
    amount integer not null check (amount > 0),
    created integer not null
) strict;

-- What was answered under an idempotency key: written in the transaction of the effect that it answers for.
create table saved_answer (
    key text primary key,
    fingerprint text not null,
    status integer not null,
    body text not null,
    saved_at integer not null
) strict;

create index saved_answer_by_age on saved_answer (saved_at);

-- The idempotency keys that pm_card_error_once has already failed.
create table failed_once (
    key text primary key,
    failed_at integer not null
) strict;

create index failed_once_by_age on failed_once (failed_at);
