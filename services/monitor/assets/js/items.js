// A saga's items: what differs by the item only is one row.

/** Events, each with its row's others: those of one kind that came of one kind, by one reaction, about several items. */
export function rows(timeline) {
  const byId = new Map(timeline.map((event) => [event.id, event]));
  const known = new Map();
  const rows = [];
  for (const event of timeline) {
    const key = event.item && [event.event, event.emitted_by, byId.get(event.caused_by)?.event].join(" ");
    if (known.has(key)) {
      known.get(key).push(event);
      continue;
    }
    const events = [event];
    if (key) known.set(key, events);
    rows.push({ event, events });
  }
  return rows;
}

/** `item 2 of 5`, `3 of 5 items`; nothing for what is about the saga as a whole. */
export function itemsOf({ event: { item }, events }) {
  if (!item) return "";
  return events.length === 1 ? `item ${item.number} of ${item.of}` : `${events.length} of ${item.of} items`;
}
