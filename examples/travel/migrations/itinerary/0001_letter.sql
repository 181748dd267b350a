-- What was written to a traveller: an itinerary, or why there is none.
create table letter (
    trip uuid not null primary key,
    kind text not null check (kind in ('itinerary', 'apology')),
    content jsonb not null,
    sent_at timestamptz not null
);
