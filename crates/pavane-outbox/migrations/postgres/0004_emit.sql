-- Emitting from SQL: what `pavane_emit` needs to know and to do.

-- The service's entry points, and what holds for what enters there. Written by the service when it starts. Times are microseconds.
create table pavane_entry (
    name text primary key,
    service text not null,
    -- How long a saga is remembered; how old one may be that is decided; how old one may be when what it scheduled happens.
    memory bigint not null,
    askable bigint not null,
    schedulable bigint not null,
    -- So much may wait in the outbox before nothing more is taken in.
    outbox_rows bigint not null,
    outbox_age bigint not null,
    -- Names of the events that the service schedules, wherever it does so; and of those among them that an outcome cancels.
    scheduled text[] not null,
    cancelled_by_outcome text[] not null,
    -- The question that is answered there, if one is.
    answers text
);

-- What may be emitted there, and how.
create table pavane_entry_event (
    entry text not null references pavane_entry (name) on delete cascade,
    event text not null,
    version integer not null,
    -- Its subjects up to the key's token, and the name of its body's schema.
    subject text not null,
    schema text not null,
    emits boolean not null,
    schedules boolean not null,
    decides boolean not null,
    -- The entry point that answers the event, where it is a question.
    answer_entry text,
    -- Whether it is kept for an undo.
    keeps boolean not null,
    primary key (entry, event, version)
);

-- What is called for each event is in PL/pgSQL, which keeps its plans: those of SQL functions are made anew each time.

-- A key as one token of a subject: `subject::encode`.
create function pavane_token(key text) returns text language plpgsql immutable as $$
begin
    if key ~ '^[A-Za-z0-9_-]+$' collate "C" then
        return key;
    elsif key = '' then
        return '=';
    end if;
    return (
        select string_agg(
            case when byte between 48 and 57 or byte between 65 and 90 or byte between 97 and 122 or byte in (45, 95)
                 then chr(byte) else '=' || upper(lpad(to_hex(byte), 2, '0')) end, '' order by i)
        from (select i, get_byte(bytes, i) as byte
              from convert_to(key, 'UTF8') as bytes, generate_series(0, length(bytes) - 1) as i) as byte
    );
end
$$;

-- A text as the value of a CloudEvents header: all but printable ASCII without space, `"` and `%` is escaped.
create function pavane_percent(value text) returns text language plpgsql immutable as $$
begin
    if value ~ '^[!#$&-~]*$' collate "C" then
        return value;
    end if;
    return (
        select string_agg(
            case when byte between 33 and 126 and byte not in (34, 37) then chr(byte)
                 else '%' || upper(lpad(to_hex(byte), 2, '0')) end, '' order by i)
        from (select i, get_byte(bytes, i) as byte
              from convert_to(value, 'UTF8') as bytes, generate_series(0, length(bytes) - 1) as i) as byte
    );
end
$$;

-- A time, in microseconds since the Unix epoch, as RFC 3339 has it, with as many digits as it needs.
create function pavane_rfc3339(micros bigint) returns text language plpgsql immutable as $$
declare
    at constant timestamp := timestamp 'epoch' + micros * interval '1 microsecond';
begin
    return to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS') || rtrim(rtrim(to_char(at, '.US'), '0'), '.') || 'Z';
end
$$;

-- A new UUID of version 7, of this time: 48 bits of milliseconds, then random ones.
create function pavane_uuid(micros bigint) returns uuid language sql volatile as $$
    select encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid()) placing substring(int8send(micros / 1000) from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- When a UUID of version 7 was made; null of another.
create function pavane_uuid_time(id uuid) returns bigint language sql immutable as $$
    select millis * 1000
    from (select ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint as millis) as it
    -- The last millisecond of the year 9999, less what time zones need.
    where substr(id::text, 15, 1) = '7' and millis <= 253402207200999
$$;

-- A time as people say it.
create function pavane_days(micros bigint) returns text language sql immutable as $$
    select case when hours >= 48 then hours / 24 || ' days' when hours >= 1 then hours || ' h' else micros / 1000000 || 's' end
    from (select micros / 3600000000 as hours) as it
$$;

-- Headers as they are stored: pairs of name and value, without those that have no value.
create function pavane_headers(pairs text[]) returns text language plpgsql immutable as $$
declare
    headers text := '';
    pair text[];
begin
    foreach pair slice 1 in array pairs loop
        if pair[2] is not null then
            headers := headers || ',[' || to_json(pair[1]) || ',' || to_json(pair[2]) || ']';
        end if;
    end loop;
    return '[' || substr(headers, 2) || ']';
end
$$;

-- Fails with a text that says what is wrong, and what would be right.
create function pavane_refuse(code text, what text, hint text) returns void language plpgsql as $$
begin
    raise exception using errcode = code, message = what, hint = hint;
end
$$;

-- Fails unless a document has the fields that it must have, no others, and each of the right type. A null is none.
create function pavane_check_document(document jsonb) returns void language plpgsql as $$
declare
    form constant jsonb := '{
        "entry": "string", "type": "string", "version": "number", "key": "string", "data": "object", "saga": "string",
        "started": "string", "caused_by": "string", "after": "number or string", "decides": "boolean",
        "traceparent": "string", "tracestate": "string"}';
    -- Fields that are more than any text or number.
    shape constant jsonb := '{
        "version": "^[0-9]{1,5}$", "tracestate": "^[ -~]*$",
        "traceparent": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?$",
        "started": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
        "saga": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
        "caused_by": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"}';
    wrong text;
begin
    if jsonb_typeof(document) is distinct from 'object' then
        perform pavane_refuse('22023', 'pavane_emit takes one JSON object',
            'for example: {"entry":"pay","type":"billing.paid","key":"7","data":{}}');
    end if;
    select min(field) into wrong from jsonb_object_keys(document) as field where not form ? field;
    if wrong is not null then
        perform pavane_refuse('22023', format('pavane_emit knows no field "%s"', wrong),
            'known are ' || (select string_agg(field, ', ' order by field) from jsonb_object_keys(form) as field));
    end if;
    wrong := case when document ->> 'entry' is null then 'entry' when document ->> 'type' is null then 'type'
                  when document ->> 'key' is null then 'key' when document ->> 'data' is null then 'data' end;
    if wrong is not null then
        perform pavane_refuse('22023', format('pavane_emit needs the field "%s"', wrong), 'it needs entry, type, key and data');
    end if;
    select min(format('"%s" has the type %s, not %s', field, jsonb_typeof(value), form ->> field)) into wrong
    from jsonb_each(document) as it (field, value)
    where jsonb_typeof(value) <> 'null' and strpos(form ->> field, jsonb_typeof(value)) = 0;
    if wrong is not null then
        perform pavane_refuse('22023', 'pavane_emit: ' || wrong, 'docs/from-sql.md has the fields and their types');
    end if;
    select min(format('"%s" can''t be %s', field, document -> field)) into wrong
    from jsonb_each_text(shape) as it (field, pattern) where document ->> field !~ pattern collate "C";
    if wrong is not null then
        perform pavane_refuse('22023', 'pavane_emit: ' || wrong,
            'saga and caused_by are UUIDs, started is an RFC 3339 time, version an integer, traceparent one of W3C Trace Context');
    end if;
    if document -> 'decides' = 'true' and document ->> 'after' is not null then
        perform pavane_refuse('22023', 'pavane_emit: an event that decides can''t come later',
            'leave out "after", or let a scheduled event''s reaction decide');
    end if;
end
$$;

-- The entry point of this name; fails when there is none.
create function pavane_entry_named(wanted text) returns pavane_entry language plpgsql stable as $$
declare
    entry pavane_entry;
begin
    select * into entry from pavane_entry where name = wanted;
    if not found then
        perform pavane_refuse('22023', format('there is no entry point "%s"', wanted),
            coalesce('there are: ' || (select string_agg(name, ', ' order by name) from pavane_entry),
                     'a service writes its entry points here when it starts'));
    end if;
    return entry;
end
$$;

-- The line of the wiring table that lets an event be emitted so; fails when there is none.
create function pavane_declared(document jsonb, entry pavane_entry, decides boolean, later boolean) returns pavane_entry_event
language plpgsql stable as $$
declare
    wanted constant text := document ->> 'type';
    who constant text := entry.service || '/' || (document ->> 'entry');
    found_one pavane_entry_event;
    versions integer[];
    method constant text := case when decides then 'decides' when later then 'schedules' else 'emits' end;
begin
    if split_part(wanted, '.', 1) <> entry.service then
        perform pavane_refuse('22023', format('%s emits %s, which belongs to "%s": a service emits only its own events',
            who, wanted, split_part(wanted, '.', 1)), format('let it emit an event %s.… of its own', entry.service));
    end if;
    select array_agg(it.version order by it.version) into versions from pavane_entry_event as it
    where it.entry = document ->> 'entry' and it.event = wanted
        and case method when 'decides' then it.decides when 'schedules' then it.schedules else it.emits end
        and coalesce((document ->> 'version')::integer, it.version) = it.version;
    if versions is null then
        perform pavane_refuse('22023', format('%s does not declare that it emits %s: add .%s::<…>() to its line in the wiring table',
            who, wanted || coalesce(' v' || (document ->> 'version'), ''), method),
            coalesce('it declares: ' || (select string_agg(format('%s v%s', it.event, it.version), ', ' order by it.event, it.version)
                from pavane_entry_event as it where it.entry = document ->> 'entry'), 'it declares nothing'));
    elsif cardinality(versions) > 1 then
        perform pavane_refuse('22023', format('%s emits several versions of %s', who, wanted),
            'say which with "version": ' || array_to_string(versions, ' or '));
    end if;
    select * into strict found_one from pavane_entry_event as it
    where it.entry = document ->> 'entry' and it.event = wanted and it.version = versions[1];
    return found_one;
end
$$;

-- Fails when the outbox is full. A sequence is given to each row that waits, and to some that don't, so rows are counted
-- only where sequences say that there may be too many.
create function pavane_check_room(entry pavane_entry, now bigint) returns void language plpgsql as $$
declare
    first bigint;
    last bigint;
    waits bigint;
begin
    select min(seq), max(seq) into first, last from pavane_unsent;
    if last - first >= entry.outbox_rows - 1
        and (select count(*) from (select 1 from pavane_unsent limit entry.outbox_rows) as counted) >= entry.outbox_rows then
        perform pavane_refuse('53400', format('the outbox is full: %s events or more wait to be published, the limit of outbox_rows',
            entry.outbox_rows), 'nothing was done: try again when the broker is back');
    end if;
    select now - emitted_at into waits from pavane_outbox where seq = first;
    if waits >= entry.outbox_age then
        perform pavane_refuse('53400', format('the outbox is full: an event has waited %ss to be published; outbox_age allows %ss',
            waits / 1000000, entry.outbox_age / 1000000), 'nothing was done: try again when the broker is back');
    end if;
end
$$;

-- Fails when a saga is too old for what is asked: to be decided, or for an event so much later.
create function pavane_check_memory(entry pavane_entry, event text, saga uuid, age bigint, due_in bigint) returns void
language plpgsql as $$
begin
    if due_in is null and age > entry.askable then
        perform pavane_refuse('55000', format('the saga %s started %s ago, and what it did is remembered for %s',
            saga, pavane_days(age), pavane_days(entry.memory)),
            'decide by hand what has to be done, or raise inbox_retention and relay.outcome_retention for the sagas to come');
    elsif age + due_in > entry.schedulable then
        perform pavane_refuse('55000', format('%s can''t be scheduled in %s: the saga is %s old, and what it did is remembered for %s',
            event, pavane_days(due_in), pavane_days(age), pavane_days(entry.memory)),
            format('use %s at most, or raise inbox_retention and relay.outcome_retention',
                pavane_days(greatest(entry.schedulable - age, 0))));
    end if;
end
$$;

-- How many microseconds later an event is due: from seconds, or an interval.
create function pavane_due_in(after jsonb) returns bigint language sql stable as $$
    select case jsonb_typeof(after)
        when 'number' then ((after #>> '{}')::numeric * 1000000)::bigint
        when 'string' then (extract(epoch from (after #>> '{}')::interval) * 1000000)::bigint
    end
$$;

-- Deletes a saga's timers for some events, and those of this transaction that its commit would make timers. Returns how many.
-- A relay that moves one of them to the outbox at the same time is waited for: if it commits, there is nothing to delete.
create function pavane_cancel_timers(of_saga uuid, events text[]) returns bigint language plpgsql as $$
declare
    staged bigint;
    waiting bigint;
begin
    delete from pavane_staged as it where it.saga = of_saga and it.event = any (events) and it.due_at is not null;
    get diagnostics staged = row_count;
    delete from pavane_timer as it where it.saga = of_saga and it.event = any (events);
    get diagnostics waiting = row_count;
    return staged + waiting;
end
$$;

-- Emits an event in the transaction that calls it: docs/from-sql.md. Returns its id and its saga.
create function pavane_emit(document jsonb) returns jsonb language plpgsql security definer as $$
declare
    now constant bigint := pavane_now();
    entry pavane_entry;
    declared pavane_entry_event;
    event text;
    decides boolean;
    due_in bigint;
    id uuid;
    saga uuid;
    started bigint;
    headers text;
    payload bytea;
begin
    perform pavane_check_document(document);
    decides := coalesce((document ->> 'decides')::boolean, false);
    due_in := pavane_due_in(document -> 'after');
    if due_in < 0 then
        perform pavane_refuse('22023', format('pavane_emit: "after" can''t be %s', document -> 'after'),
            'use zero or more seconds, or an interval that is not negative');
    end if;
    entry := pavane_entry_named(document ->> 'entry');
    if entry.answers is not null then
        perform pavane_refuse('22023', format('%s/%s answers %s, and an answer names who gives it', entry.service,
            document ->> 'entry', entry.answers), 'let the service answer: docs/questions.md');
    end if;
    declared := pavane_declared(document, entry, decides, due_in is not null);
    event := format('%s v%s', declared.event, declared.version);
    if octet_length(convert_to(document ->> 'key', 'UTF8')) > 256 then
        perform pavane_refuse('22023', format('the key of %s has %s bytes, over the limit of 256',
            event, octet_length(convert_to(document ->> 'key', 'UTF8'))), 'the key becomes a token of a NATS subject');
    end if;
    perform pavane_check_room(entry, now);
    id := pavane_uuid(now);
    saga := coalesce((document ->> 'saga')::uuid, pavane_uuid(now));
    started := coalesce((extract(epoch from (document ->> 'started')::timestamptz) * 1000000)::bigint,
        case when document ->> 'saga' is null then now else pavane_uuid_time(saga) end);
    if started is null then
        perform pavane_refuse('22023', format('the id %s does not tell when the saga started, as it is no UUIDv7', saga),
            'say it with "started": an RFC 3339 time');
    end if;
    if decides or due_in is not null then
        perform pavane_check_memory(entry, event, saga, greatest(now - started, 0), due_in);
    end if;
    if decides then
        -- Of two transactions that decide at once the second waits here, and loses if the first commits.
        insert into pavane_outcome (saga, event, decided_at) values (saga, declared.event, now)
            on conflict do nothing;
        if not found then
            return jsonb_build_object('id', null, 'saga', saga, 'emitted', false);
        end if;
        if cardinality(entry.cancelled_by_outcome) > 0 then
            perform pavane_cancel_timers(saga, entry.cancelled_by_outcome);
        end if;
    end if;
    headers := pavane_headers(array[
        ['ce-specversion', '1.0'], ['ce-id', id::text], ['ce-type', pavane_percent(declared.event)],
        ['ce-source', pavane_percent(entry.service)], ['ce-subject', pavane_percent(document ->> 'key')],
        ['ce-time', pavane_rfc3339(now)], ['ce-datacontenttype', 'application/json'],
        ['ce-dataschema', pavane_percent(declared.schema)], ['ce-eventversion', declared.version::text],
        ['ce-correlationid', saga::text], ['ce-sagatime', pavane_rfc3339(started)],
        ['ce-causationid', (document ->> 'caused_by')::uuid::text], ['traceparent', document ->> 'traceparent'],
        ['tracestate', case when document ->> 'traceparent' is not null then document ->> 'tracestate' end]]);
    payload := convert_to(document ->> 'data', 'UTF8');
    if declared.answer_entry is not null and not decides and due_in is null then
        insert into pavane_question (saga, entry, event_id, headers, payload, asked_at)
        values (saga, declared.answer_entry, id, headers, payload, now) on conflict do nothing;
        if not found then
            perform pavane_refuse('23505', format('the saga %s asked %s before, and a question is asked once', saga, declared.event),
                'for another question, let it emit another event that an entry point of its own answers');
        end if;
    end if;
    if declared.keeps and due_in is null then
        perform pavane_check_memory(entry, event, saga, greatest(now - started, 0), null);
        insert into pavane_ledger (saga, step, state, kept, changed_at) values (saga, document ->> 'entry', 'done', convert_to(
            json_build_object('specversion', '1.0', 'id', id, 'type', declared.event, 'source', entry.service,
                'subject', document ->> 'key', 'time', pavane_rfc3339(now), 'datacontenttype', 'application/json',
                'dataschema', declared.schema, 'eventversion', declared.version, 'correlationid', saga,
                'sagatime', pavane_rfc3339(started), 'causationid', (document ->> 'caused_by')::uuid,
                'traceparent', document ->> 'traceparent', 'tracestate', document ->> 'tracestate',
                'data', document -> 'data')::text, 'UTF8'), now) on conflict do nothing;
        if not found then
            perform pavane_refuse('55000', format('the saga %s did %s before, or is being undone', saga, declared.event),
                'what is undone happens once in a saga, and not after its undo');
        end if;
    end if;
    insert into pavane_staged (event_id, saga, event, subject, headers, payload, due_at) values (
        id, saga, declared.event, declared.subject || pavane_token(document ->> 'key'), headers, payload, now + due_in);
    return jsonb_build_object('id', id, 'saga', saga, 'emitted', true);
end
$$;

-- Cancels a saga's timers for an event, in the transaction that calls it: docs/from-sql.md. False: there was none, or its time had
-- come and it was moved to the outbox.
create function pavane_cancel(entry text, event text, saga uuid) returns boolean language plpgsql security definer as $$
declare
    declared pavane_entry;
begin
    if entry is null or event is null or saga is null then
        perform pavane_refuse('22023', 'pavane_cancel needs an entry point, an event and a saga',
            'for example: pavane_cancel(''pay'', ''billing.reminder-due'', ''0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000'')');
    end if;
    declared := pavane_entry_named(entry);
    if event <> all (declared.scheduled) then
        perform pavane_refuse('22023', format('%s/%s cancels %s, which its service never schedules', declared.service, entry, event),
            coalesce('it schedules: ' || nullif(array_to_string(declared.scheduled, ', '), ''), 'it schedules nothing'));
    end if;
    return pavane_cancel_timers(saga, array[event]) > 0;
end
$$;

-- As the trigger, these run with the rights of the tables' owner and find their tables by themselves. So they are the only rights
-- that another role needs, and ones that it must be given: grant execute on function pavane_emit(jsonb) to …
do $$ begin
    execute format('alter function pavane_emit(jsonb) set search_path = %I, pg_temp', current_schema());
    execute format('alter function pavane_cancel(text, text, uuid) set search_path = %I, pg_temp', current_schema());
end $$;
revoke execute on function pavane_emit(jsonb), pavane_cancel(text, text, uuid) from public;
