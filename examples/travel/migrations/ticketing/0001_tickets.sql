-- What a trip's tickets cost, and what was given back for them.
create table tickets (
    trip uuid not null primary key,
    seats uuid[] not null,
    charged_cents bigint not null,
    refunded_cents bigint not null default 0,
    fee_cents bigint not null default 0,
    issued_at timestamptz not null,
    check (refunded_cents + fee_cents in (0, charged_cents))
);
