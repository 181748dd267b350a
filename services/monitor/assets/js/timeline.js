// What happened in a saga, in the stream's order, and why.
import { html, useState } from "./lib.js";
import { Failure, Service } from "./parts.js";
import { Stored } from "./reveal.js";
import { useApi } from "./api.js";
import { between, duration, time } from "./format.js";
import { hued } from "./palette.js";
import { itemsOf, rows } from "./items.js";

const ROLES = { start: "starts", step: "step", undo: "undo", completes: "completes", aborts: "aborts", other: "" };

export function Timeline({ report, access }) {
  const [open, setOpen] = useState(null);
  const [unfolded, setUnfolded] = useState([]);
  const [marked, setMarked] = useState(null);
  const byId = new Map(report.timeline.map((event) => [event.id, event]));
  const start = report.timeline[0]?.stored_at;
  const related = (event) => marked && (event.id === marked.id || event.caused_by === marked.id || event.id === marked.caused_by);
  const one = (event) => html`<${One} key=${event.sequence} event=${event} items=${itemsOf({ event, events: [event] })} start=${start} cause=${byId.get(event.caused_by)}
    access=${access} marked=${related(event)} onMark=${setMarked} isOpen=${open === event.sequence} onOpen=${() => setOpen(open === event.sequence ? null : event.sequence)} />`;
  return html`<ol class="timeline">
    ${rows(report.timeline).map(({ event, events }) => {
      if (events.length === 1) return one(event);
      const isOpen = unfolded.includes(event.sequence);
      const toggle = () => setUnfolded(isOpen ? unfolded.filter((other) => other !== event.sequence) : [...unfolded, event.sequence]);
      return html`<${One} key=${event.sequence} event=${event} items=${itemsOf({ event, events })} start=${start} cause=${byId.get(event.caused_by)}
        marked=${events.some(related)} onMark=${setMarked} isOpen=${isOpen} onOpen=${toggle}>
        <ol class="items">${events.map(one)}</ol></${One}>`;
    })}
  </ol>`;
}

/** An event; opened, it shows its body, or the events of which it is the first. */
function One({ event, items, start, cause, access, marked, onMark, isOpen, onOpen, children }) {
  return html`<li class="${event.role} ${marked ? "marked" : ""}" style=${hued(event.source)}
    onMouseEnter=${() => onMark(event)} onMouseLeave=${() => onMark(null)}>
    <span class="at" title=${time(event.stored_at)}>+${duration(between(start, event.stored_at))}</span>
    <span class="dot" aria-hidden="true"></span>
    <div class="what">
      <button class="event" aria-expanded=${isOpen} onClick=${onOpen}>${event.event}</button>
      ${items && html`<span class="chip item">${items}</span>`}
      ${ROLES[event.role] && html`<span class="chip ${event.role}">${ROLES[event.role]}</span>`}
      ${event.copies > 0 && html`<span class="chip" title="stored again: published twice, or redriven">×${event.copies + 1}</span>`}
      ${event.redriven_to.map((to) => html`<span class="chip redriven" key=${to}>redriven to ${to}</span>`)}
      <p class="quiet"><${Service} name=${event.source} />${event.emitted_by && html` ${event.emitted_by.split("/").at(-1)}`}
        ${cause && html` because of <span class="event">${cause.event}</span>`}${event.took_ms !== null && html`, ${duration(event.took_ms)} later`}
        ${event.caused_by && !cause && html` because of an event that is not kept`}</p>
      ${isOpen && (children ?? html`<${Body} event=${event} access=${access} />`)}
    </div>
  </li>`;
}

function Body({ event, access }) {
  const path = `/api/events/${event.sequence}`;
  const { data, error } = useApi(path);
  return html`<div class="opened"><p class="quiet">sequence ${event.sequence} · id ${event.id} · version ${event.version} · emitted ${time(event.emitted_at)} by its clock</p>
    <${Failure} error=${error} />${data && html`<${Stored} path=${path} message=${data} access=${access} />`}</div>`;
}
