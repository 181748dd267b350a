-- A seat for each passenger of a trip. `number` is its place in the passengers' list.
create table seat (
    trip uuid not null,
    number bigint not null,
    passenger text not null,
    hold uuid not null unique,
    cents bigint not null,
    status text not null default 'held' check (status in ('held', 'booked', 'released')),
    held_at timestamptz not null,
    primary key (trip, number)
);
