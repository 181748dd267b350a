-- The inbox in partitions, one for each week of event ids, so that forgetting a week is dropping a table. An id is a UUIDv7 and
-- begins with its time: it belongs to one partition for ever, and the primary key holds over all of them. Times are
-- microseconds since the Unix epoch, as everywhere.

alter table pavane_inbox rename to pavane_inbox_before;
alter index pavane_inbox_pkey rename to pavane_inbox_before_pkey;
drop index pavane_inbox_handled;

create table pavane_inbox (
    reaction text not null,
    event_id uuid not null,
    handled_at bigint not null,
    given_up text,
    primary key (reaction, event_id)
) partition by range (event_id);

-- Ids of no week: foreign ones, and those of weeks that are dropped or missing. Forgotten row by row.
create table pavane_inbox_default partition of pavane_inbox default;
create index pavane_inbox_default_handled on pavane_inbox_default (handled_at);

-- The lowest id of the events made at a time or later.
create function pavane_inbox_id(at bigint) returns uuid language sql immutable strict as
    $$ select (lpad(to_hex(at / 1000), 12, '0') || repeat('0', 20))::uuid $$;

-- The partitions with a range, and when it ends.
create view pavane_inbox_weeks as
    with part as (
        select c.oid::regclass as name, pg_get_expr(c.relpartbound, c.oid) as range
        from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'pavane_inbox'::regclass
    )
    select name, ('x' || replace(substring(range from 'TO \(''(.{13})'), '-', ''))::bit(48)::bigint * 1000 as until
    from part where range <> 'DEFAULT';

-- Makes a table the partition of the ids from `since`, or the lowest, to `until`.
create function pavane_inbox_attach(part text, since bigint, until bigint) returns void language plpgsql as $$
begin
    -- What is handled when its week is over, for `pavane_inbox_drop`. It stays nearly empty, and costs other rows nothing.
    execute format('create index on %I (handled_at) where handled_at >= %s', part, until);
    -- Locks the default partition for a moment, to look whether it has such ids, but not the inbox: claims go on.
    execute format('alter table pavane_inbox attach partition %I for values from (%s) to (%L)',
                   part, coalesce(quote_literal(pavane_inbox_id(since)), 'minvalue'), pavane_inbox_id(until));
end $$;

-- Makes the partitions of the four weeks after `now`'s, as far as they are missing: a service that is away for less finds its
-- week when it comes back. A week that has begun without a partition is left to the default one.
create function pavane_inbox_extend(now bigint) returns void language plpgsql set lock_timeout = '500ms' as $$
declare
    week constant bigint := 7 * 24 * 3600 * 1000000::bigint;
    since bigint;
    part text;
begin
    -- Instances take turns.
    lock table only pavane_inbox in share update exclusive mode;
    select greatest(max(until), (now / week + 1) * week) into since from pavane_inbox_weeks;
    while since <= now + 4 * week loop
        part := 'pavane_inbox_' || to_char(to_timestamp(since / 1e6) at time zone 'utc', 'YYYYMMDD');
        execute format('create table %I (like pavane_inbox including all)', part);
        execute format('with moved as (delete from pavane_inbox_default where event_id >= %L and event_id < %L returning *) '
                       'insert into %I select * from moved',
                       pavane_inbox_id(since), pavane_inbox_id(since + week), part);
        perform pavane_inbox_attach(part, since, since + week);
        since := since + week;
    end loop;
end $$;

-- Drops a partition. Rows handled at `before` or later must stay: after an outage, or by a redrive, an old id is handled
-- late. A few of them move to the default partition; because of many nothing happens, and the answer is false.
create function pavane_inbox_drop(part text, before bigint) returns boolean language plpgsql
    -- The index of late rows, whatever is estimated: reading the whole table would keep the claims waiting.
    set enable_seqscan = off
    set enable_bitmapscan = off
    set lock_timeout = '500ms' as $$
declare
    many constant bigint := 1000;
    late pavane_inbox[];
begin
    lock table only pavane_inbox in share update exclusive mode;
    if not exists (select from pavane_inbox_weeks where name = to_regclass(part)) then
        return true;
    end if;
    -- Waits for the claims that are running, as new ones wait for it, but no longer than `lock_timeout`: shorter than
    -- `deadlock_timeout`, so that it is never a claim that fails. To detach concurrently would not make them wait, but is
    -- refused beside a default partition.
    lock table only pavane_inbox in access exclusive mode;
    execute format('lock table %s, pavane_inbox_default in access exclusive mode nowait', part);
    execute format('select array_agg(row(late.*)::pavane_inbox) '
                   'from (select * from %s where handled_at >= $1 limit $2) late', part)
        into late using before, many + 1;
    if cardinality(late) > many then
        return false;
    end if;
    execute format('alter table pavane_inbox detach partition %s', part);
    insert into pavane_inbox select * from unnest(late);
    execute format('drop table %s', part);
    return true;
end $$;

-- Deletes the rows handled before `before` from a partition that can't be dropped.
create function pavane_inbox_trim(part text, before bigint) returns void language plpgsql as $$
begin
    execute format('delete from %s where handled_at < $1', part) using before;
end $$;

-- What there is becomes the first partition, as a whole; but for ids that are ahead of the clock or tell no time.
do $$
declare
    week constant bigint := 7 * 24 * 3600 * 1000000::bigint;
    now constant bigint := extract(epoch from current_timestamp) * 1000000;
    until constant bigint := (now / week + 1) * week;
begin
    perform pavane_inbox_extend(now);
    with ahead as (delete from pavane_inbox_before where event_id >= pavane_inbox_id(until) returning *)
    insert into pavane_inbox select * from ahead;
    perform pavane_inbox_attach('pavane_inbox_before', null, until);
end $$;
