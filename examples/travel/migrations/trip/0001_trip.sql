create table trip (
    id uuid not null primary key,
    traveller text not null,
    -- The traveller's own number for it.
    reference uuid unique,
    wishes jsonb not null,
    answer_seconds bigint not null,
    status text not null default 'requested' check (status in ('requested', 'asking', 'paying', 'confirmed', 'cancelled')),
    cancel_reason text check ((cancel_reason is not null) = (status = 'cancelled')),
    has_car boolean,
    total_cents bigint,
    -- What followed: `[{"event": "hotel.room-released", "at": "2026-01-01T00:00:00Z"}]`.
    notes jsonb not null default '[]',
    requested_at timestamptz not null,
    ended_at timestamptz check ((ended_at is not null) = (status in ('confirmed', 'cancelled')))
);
