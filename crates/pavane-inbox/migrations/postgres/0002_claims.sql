-- Claims on effects outside this database: who is at it, until when, or that it is done, with the answer.
create table pavane_claim (
    key text primary key,
    token text not null,
    state text not null check (state in ('held', 'done')),
    answer text,
    expires_at bigint not null
);
create index pavane_claim_expires on pavane_claim (expires_at);
