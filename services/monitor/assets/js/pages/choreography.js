// Who reacts to what, live: the declared graph with what flows through it.
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { address, useApi } from "../api.js";
import { useBeats } from "../live.js";
import { count, counted, duration, rate, short } from "../format.js";
import { Empty, Failure, Service, State } from "../parts.js";
import { draw } from "../graph.js";

export function Choreography() {
  const beats = useBeats();
  const [chosen, setChosen] = useState(null);
  const [show, setShow] = useState({ undo: true, quiet: true });
  const { data: flow, error } = useApi("/api/flow", beats);
  // Another declaration changes how many there are of something.
  const shape = flow && `${flow.reactions.length}/${flow.events.length}`;
  const { data: graph } = useApi("/api/choreography", shape);
  const visible = useMemo(() => graph && visiblePart(graph, show), [graph, show]);
  return html`
    <h1>Choreography</h1>
    <${Failure} error=${error} />
    <${Legend} graph=${graph} show=${show} onShow=${setShow} />
    <div class="graph-page">
      ${chosen && flow && html`<section class="graph-side"><${Chosen} id=${chosen} graph=${graph} flow=${flow} beats=${beats} onClose=${() => setChosen(null)} /></section>`}
      ${visible && html`<${Canvas} graph=${visible} flow=${flow} chosen=${chosen} onChoose=${setChosen} />`}
    </div>
    ${flow && html`<${Table} flow=${flow} chosen=${chosen} onChoose=${setChosen} />`}
  `;
}

function Legend({ graph, show, onShow }) {
  const services = [...new Set((graph?.nodes ?? []).map((node) => node.service))];
  return html`
    <p class="quiet">Events are round; reactions are boxes in their service's colour, dashed if they undo, stacked if they run once for each item; a line says “each” where a list is emitted, and “every” where all of it is awaited. What flows moves; what waits, fails or is overdue says so. Click on something to see what waits there.</p>
    <p class="legend">${services.map((name) => html`<${Service} key=${name} name=${name} />`)}
      <label class="check"><input type="checkbox" checked=${show.undo} onChange=${(event) => onShow({ ...show, undo: event.target.checked })} /> undoing</label>
      <label class="check"><input type="checkbox" checked=${show.quiet} onChange=${(event) => onShow({ ...show, quiet: event.target.checked })} /> reactions that answer nothing</label></p>
    ${graph?.findings.length > 0 && html`<div class="notice"><h2>Not sound</h2><ul>${graph.findings.map((finding) => html`<li key=${finding}>${finding}</li>`)}</ul></div>`}
  `;
}

/** What is left when undos or reactions that answer nothing are not shown. */
function visiblePart(graph, show) {
  const answers = new Set(graph.links.filter((link) => link.kind !== "triggers").map((link) => link.from));
  const isShown = (node) => {
    if (node.kind === "undo") return show.undo;
    return (node.kind !== "reaction" && node.kind !== "join") || show.quiet || answers.has(node.id);
  };
  const actors = graph.nodes.filter((node) => node.kind !== "event" && isShown(node)).map((node) => node.id);
  const links = graph.links.filter((link) => actors.includes(link.from) || actors.includes(link.to));
  const events = new Set(links.filter((link) => link.kind !== "triggers").map((link) => link.to));
  const nodes = graph.nodes.filter((node) => (node.kind === "event" ? events.has(node.id) : actors.includes(node.id)));
  const ids = new Set(nodes.map((node) => node.id));
  return { nodes, links: links.filter((link) => ids.has(link.from) && ids.has(link.to)) };
}

function Canvas({ graph, flow, chosen, onChoose }) {
  const box = useRef(null);
  const drawn = useRef(null);
  useEffect(() => {
    drawn.current = draw(box.current, graph, onChoose);
    return () => drawn.current.remove();
  }, [graph]);
  useEffect(() => void (flow && drawn.current?.show(flow)), [flow, graph]);
  useEffect(() => void drawn.current?.choose(chosen), [chosen, graph]);
  return html`<div class="graph" ref=${box} role="img" aria-label="The choreography as a graph; the table below says the same"></div>`;
}

function Chosen({ id, graph, flow, beats, onClose }) {
  const reaction = flow.reactions.find((reaction) => `${reaction.service}/${reaction.reaction}` === id);
  const event = flow.events.find((event) => event.event === id);
  const name = graph?.nodes.find((node) => node.id === id)?.name ?? id;
  return html`<div class="panel chosen" key=${id}>
    <button class="close" aria-label="close" onClick=${onClose}>✕</button>
    <h2 class=${event ? "event" : ""}>${name}</h2>
    ${reaction && html`<${Reaction} reaction=${reaction} id=${id} beats=${beats} />`}
    ${event && html`<dl><dt>now</dt><dd>${rate(event.per_second)}</dd><dt>since the start</dt><dd>${count(event.total)}</dd></dl>
      <p><a href=${address("/sagas", { event: event.event })}>Sagas with it</a></p>`}
    ${!reaction && !event && html`<p class="quiet">Requests come in here.</p>`}
  </div>`;
}

function Reaction({ reaction, id, beats }) {
  const { data } = useApi(address("/api/sagas", { reaction: id, limit: 8 }), beats);
  const { consumer } = reaction;
  return html`<p class="chips"><${Service} name=${reaction.service} />${reaction.undo && html`<span class="chip undo">undo</span>`}${reaction.each && html`<span class="chip">each item</span>`}${reaction.effect && html`<span class="chip">effect outside</span>`}
      ${consumer && !consumer.attended && html`<span class="chip bad">nobody is there</span>`}${consumer?.paused && html`<span class="chip bad">paused</span>`}${!consumer && html`<span class="chip bad">no consumer</span>`}</p>
    <dl>
      <dt>lag</dt><dd>${consumer ? count(consumer.pending) : "?"}</dd><dt>in flight</dt><dd>${consumer ? count(consumer.in_flight) : "?"}</dd>
      <dt>failing now</dt><dd>${consumer ? count(consumer.redelivered) : "?"}</dd>
      <dt>dead letters</dt><dd><a href=${address("/dead-letters", { service: reaction.service, reaction: reaction.reaction })}>${count(reaction.dead_letters)}</a></dd>
      <dt>sagas wait</dt><dd>${count(reaction.waiting)}</dd><dt>too long</dt><dd>${count(reaction.overdue)}</dd><dt>stuck after</dt><dd>${duration(reaction.stuck_after_ms)}</dd>
    </dl>
    ${data && (data.sagas.length
      ? html`<h3><a href=${address("/sagas", { reaction: id })}>${counted(data.total, "saga")} waiting here</a></h3>
          <ul class="waiting-here">${data.sagas.map((saga) => html`<li key=${saga.saga}><${State} state=${saga.state} /> <a class="key" href=${`/sagas/${saga.saga}`}>${short(saga.key)}</a> <span class="quiet">${duration(saga.age_ms)}</span></li>`)}</ul>`
      : html`<${Empty}>No saga waits here.</${Empty}>`)}`;
}

/** What a reaction runs on, in words. */
function triggers({ on, each, every, undo }) {
  const named = (event) => (every?.includes(event) ? `every ${event}` : event);
  return `${each && !undo ? "each " : ""}${on.map(named).join(", ")}`;
}

/** The same as a table: for keyboards and screen readers. */
function Table({ flow, chosen, onChoose }) {
  return html`<section class="panel"><h2>Reactions</h2><div class="scroll"><table class="list">
    <thead><tr><th>Reaction</th><th>Service</th><th>On</th><th class="number">Lag</th><th class="number">In flight</th><th class="number">Failing</th><th class="number">Dead letters</th><th class="number">Sagas wait</th><th class="number">Too long</th></tr></thead>
    <tbody>${flow.reactions.map((reaction) => {
      const id = `${reaction.service}/${reaction.reaction}`;
      return html`<tr key=${id} class="${id === chosen ? "chosen" : ""} ${reaction.overdue ? "stuck" : ""}">
        <td><button class="link" onClick=${() => onChoose(id)}>${reaction.reaction}</button></td><td><${Service} name=${reaction.service} /></td>
        <td class="quiet">${triggers(reaction)}</td>
        <td class="number">${reaction.consumer ? count(reaction.consumer.pending) : "no consumer"}</td><td class="number">${reaction.consumer && count(reaction.consumer.in_flight)}</td>
        <td class="number">${reaction.consumer && count(reaction.consumer.redelivered)}</td><td class="number">${count(reaction.dead_letters)}</td>
        <td class="number">${count(reaction.waiting)}</td><td class="number">${count(reaction.overdue)}</td></tr>`;
    })}</tbody></table></div>
    ${flow.foreign_consumers.length > 0 && html`<p class="quiet">Consumers that no declared reaction has: ${flow.foreign_consumers.join(", ")}</p>`}</section>`;
}
