-- What happened to the money of one order, in minor units. Each fact has a column of its own, so that the order in which
-- they are recorded doesn't matter; the checks are the books' own rules.
create table payment (
    order_id text primary key,
    -- The provider's id; null when it made none.
    intent_id text,
    currency text not null,
    amount bigint not null,
    authorized bigint not null check (authorized in (0, amount)),
    captured bigint not null default 0 check (captured >= 0),
    voided bigint not null default 0 check (voided >= 0),
    refunded bigint not null default 0 check (refunded between 0 and captured),
    -- The provider's words, when it declined the card or the capture.
    refusal text,
    check (captured + voided <= authorized)
);

-- When each of it was recorded: microseconds since the Unix epoch. Each happens once an order.
create table payment_history (
    order_id text not null references payment (order_id),
    status text not null,
    recorded_at bigint not null,
    primary key (order_id, status)
);
