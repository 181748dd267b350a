-- Events that are emitted in a transaction which isn't ours to commit: its own commit moves them to the outbox.
-- No row of it outlives its transaction, so nothing can be lost with it, and it needs no log.
create unlogged table pavane_staged (
    id bigint generated always as identity primary key,
    event_id uuid not null,
    saga uuid not null,
    event text not null,
    subject text not null,
    headers text not null,
    payload bytea not null,
    -- Null: at the commit.
    due_at bigint
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
-- What a saga cancels is found by it. Others' rows are dead, and not worth reading.
create index pavane_staged_timer on pavane_staged (saga, event) where due_at is not null;

-- Moves one event. At the commit, so that its sequence is given out under the locks of the state change: two transactions that
-- changed the same row are published in the order in which they commit. In the order in which they were emitted, as triggers run
-- in the order of what caused them.
create function pavane_move_staged() returns trigger language plpgsql security definer as $$
begin
    delete from pavane_staged where id = new.id;
    -- Deleted by its transaction, which wants it no longer.
    if not found then
        return null;
    end if;
    if new.due_at is null then
        with event as (
            insert into pavane_outbox (event_id, subject, headers, payload, emitted_at)
            values (new.event_id, new.subject, new.headers, new.payload, pavane_now()) returning seq
        )
        insert into pavane_unsent (seq) select seq from event;
    else
        insert into pavane_timer (event_id, saga, event, subject, headers, payload, due_at)
        values (new.event_id, new.saga, new.event, new.subject, new.headers, new.payload, new.due_at);
    end if;
    return null;
end
$$;

create constraint trigger pavane_staged_moves after insert on pavane_staged
    deferrable initially deferred for each row execute function pavane_move_staged();
-- Even where session_replication_role turns triggers off: an event that stays behind would be lost.
alter table pavane_staged enable always trigger pavane_staged_moves;

-- It runs with the rights of the tables' owner and finds its tables by itself: whoever may emit needs no right to touch the
-- outbox, and a table of the same name in front of it is not taken for it.
do $$ begin
    execute format('alter function pavane_move_staged() set search_path = %I, pg_temp', current_schema());
end $$;
-- On a table of their own, others could have it move what they like.
revoke execute on function pavane_move_staged() from public;
