// What happened in a saga, in the stream's order, and why.
import { html, useState } from "./lib.js";
import { Failure, Service } from "./parts.js";
import { Stored } from "./reveal.js";
import { useApi } from "./api.js";
import { between, duration, time } from "./format.js";
import { hued } from "./palette.js";

const ROLES = { start: "starts", step: "step", undo: "undo", completes: "completes", aborts: "aborts", other: "" };

export function Timeline({ report, access }) {
  const [open, setOpen] = useState(null);
  const [marked, setMarked] = useState(null);
  const byId = new Map(report.timeline.map((event) => [event.id, event]));
  const start = report.timeline[0]?.stored_at;
  const related = (event) => marked && (event.id === marked.id || event.caused_by === marked.id || event.id === marked.caused_by);
  return html`<ol class="timeline">
    ${report.timeline.map((event) => {
      const isOpen = open === event.sequence;
      const cause = byId.get(event.caused_by);
      return html`<li key=${event.sequence} class="${event.role} ${related(event) ? "marked" : ""}" style=${hued(event.source)}
        onMouseEnter=${() => setMarked(event)} onMouseLeave=${() => setMarked(null)}>
        <span class="at" title=${time(event.stored_at)}>+${duration(between(start, event.stored_at))}</span>
        <span class="dot" aria-hidden="true"></span>
        <div class="what">
          <button class="event" aria-expanded=${isOpen} onClick=${() => setOpen(isOpen ? null : event.sequence)}>${event.event}</button>
          ${ROLES[event.role] && html`<span class="chip ${event.role}">${ROLES[event.role]}</span>`}
          ${event.copies > 0 && html`<span class="chip" title="stored again: published twice, or redriven">×${event.copies + 1}</span>`}
          ${event.redriven_to.map((to) => html`<span class="chip redriven" key=${to}>redriven to ${to}</span>`)}
          <p class="quiet"><${Service} name=${event.source} />${event.emitted_by && html` ${event.emitted_by.split("/").at(-1)}`}
            ${cause && html` because of <span class="event">${cause.event}</span>`}${event.took_ms !== null && html`, ${duration(event.took_ms)} later`}
            ${event.caused_by && !cause && html` because of an event that is not kept`}</p>
          ${isOpen && html`<${Body} event=${event} access=${access} />`}
        </div>
      </li>`;
    })}
  </ol>`;
}

function Body({ event, access }) {
  const path = `/api/events/${event.sequence}`;
  const { data, error } = useApi(path);
  return html`<div class="opened"><p class="quiet">sequence ${event.sequence} · id ${event.id} · version ${event.version} · emitted ${time(event.emitted_at)} by its clock</p>
    <${Failure} error=${error} />${data && html`<${Stored} path=${path} message=${data} access=${access} />`}</div>`;
}
