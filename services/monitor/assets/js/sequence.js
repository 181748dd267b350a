// Who told whom: a sequence diagram of a saga, drawn from its timeline.
import { html } from "./lib.js";
import { hued } from "./palette.js";
import { itemsOf, rows as rowsOf } from "./items.js";

const COLUMN = 172;
const ROW = 34;
const TOP = 44;
const LEFT = 70;
/** How wide a letter is. */
const LETTER = 7.3;

export function Sequence({ report }) {
  const { timeline, outstanding } = report;
  const waits = outstanding.filter((wait) => wait.service);
  const services = [...new Set([...timeline.map((event) => event.source), ...waits.map((wait) => wait.service)])];
  const x = (service) => LEFT + services.indexOf(service) * COLUMN;
  const y = (row) => TOP + 26 + row * ROW;
  const told = rowsOf(timeline);
  const rows = told.length + waits.length;
  const lasts = [...told.map(toldText).map((text, at) => [told[at].event.source, text]), ...waits.map((wait) => [wait.service, awaitedText(wait)])];
  const width = Math.max(LEFT + (services.length - 1) * COLUMN + 150, ...lasts.map(([service, text]) => x(service) + 20 + text.length * LETTER));
  const height = y(rows) + 4;
  const owner = new Map(timeline.map((event) => [event.event, event.source]));
  return html`<div class="scroll"><svg class="sequence" width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="img"
    aria-label="Sequence diagram of ${timeline.length} events between ${services.join(", ")}">
    <defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0.6 L7.6 4 L0 7.4 z" /></marker></defs>
    ${services.map((service) => html`<g key=${service} class="lifeline" style=${hued(service)}>
      <line x1=${x(service)} x2=${x(service)} y1=${TOP} y2=${height} />
      <rect x=${x(service) - 62} y="8" width="124" height="30" rx="8" /><text x=${x(service)} y="28">${service}</text></g>`)}
    ${told.map((row, at) => html`<${Told} key=${row.event.sequence} row=${row} targets=${targets(timeline, row.events)} x=${x} y=${y(at)} />`)}
    ${waits.map((wait, index) => html`<${Awaited} key=${index} wait=${wait} from=${x(owner.get(wait.on) ?? wait.service)} to=${x(wait.service)} y=${y(told.length + index)} />`)}
  </svg></div>`;
}

/** The services that answered one of these events. */
function targets(timeline, events) {
  const ids = new Set(events.map((event) => event.id));
  return [...new Set(timeline.filter((answer) => ids.has(answer.caused_by)).map((answer) => answer.source))];
}

function Told({ row, targets, x, y }) {
  const { event } = row;
  const text = toldText(row);
  const from = x(event.source);
  const others = targets.map(x).filter((to) => to !== from);
  const span = [Math.min(from, ...others), Math.max(from, ...others)];
  const label = others.length ? { at: nearest(from, others), anchor: "middle" } : { at: from + 12, anchor: "start" };
  return html`<g class="told ${event.role}" style=${hued(event.source)}>
    <title>${text} by ${event.source}</title>
    ${others.length > 0 && html`<line x1=${span[0]} x2=${span[1]} y1=${y} y2=${y} class="wire" />`}
    ${others.map((to) => html`<line key=${to} x1=${to > from ? to - 14 : to + 14} x2=${to > from ? to - 2 : to + 2} y1=${y} y2=${y} marker-end="url(#arrow)" class="wire" />`)}
    <circle cx=${from} cy=${y} r="4.5" />
    <text x=${label.at} y=${others.length ? y - 6 : y + 4} text-anchor=${label.anchor}>${text}</text>
  </g>`;
}

const toldText = (row) => (itemsOf(row) ? `${row.event.event} (${itemsOf(row)})` : row.event.event);

/** The middle of the way to the neighbour, where a label is not crossed by a lifeline. */
const nearest = (from, others) => {
  const to = others.reduce((best, other) => (Math.abs(other - from) < Math.abs(best - from) ? other : best));
  return from + (Math.sign(to - from) * COLUMN) / 2;
};

function Awaited({ wait, from, to, y }) {
  const self = from === to;
  // Above the line, where it comes from the right.
  const beside = from > to ? y - 8 : y + 4;
  return html`<g class="awaited ${wait.overdue ? "overdue" : ""}"><title>${wait.sentence}</title>
    ${!self && html`<line x1=${from} x2=${to > from ? to - 2 : to + 2} y1=${y} y2=${y} marker-end="url(#arrow)" class="wire" />`}
    <circle cx=${to} cy=${y} r="6" /><text x=${to + 12} y=${beside} text-anchor="start">${awaitedText(wait)}</text></g>`;
}

const awaitedText = (wait) => `waits for ${wait.awaits.length ? wait.awaits.join(" or ") : wait.reaction}`;
