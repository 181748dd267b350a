// Draws the choreography: dagre says where, cytoscape draws.
import cytoscape from "/assets/vendor/cytoscape.js";
import { Graph, layout } from "/assets/vendor/dagre.js";
import { hue, isDark } from "./palette.js";
import { rate } from "./format.js";
import { style } from "./graph-style.js";

const HEIGHT = 34;

/** Draws a graph into an element. Returns how to show what flows, to mark what is chosen, and to take it away. */
export function draw(element, graph, onChoose) {
  const dark = isDark();
  const { at, bends, width, height } = place(graph);
  // As large as it needs to be to be read, where the page is wide enough.
  element.style.height = `${Math.round(Math.min(1.15, (element.clientWidth - 36) / width) * height + 36)}px`;
  const cy = cytoscape({
    container: element,
    elements: [
      ...graph.nodes.map((node) => ({
        data: { ...node, label: node.name, hue: hue(node.service), width: widthOf(node) },
        classes: [node.kind, node.effect ? "effect" : "", node.each ? "each" : "", node.outcome ? "outcome" : ""].join(" "),
        position: at(node.id),
      })),
      ...graph.links.map((link) => ({ data: { id: `${link.from}→${link.to}`, source: link.from, target: link.to, ...word(link), ...bends(link) }, classes: link.kind })),
    ],
    style: style(dark),
    layout: { name: "preset", fit: true, padding: 18 },
    minZoom: 0.25,
    maxZoom: 2.5,
    autoungrabify: true,
    boxSelectionEnabled: false,
  });
  cy.on("tap", (event) => onChoose(event.target === cy ? null : actorOf(event.target)));
  const marching = march(cy);
  const resized = new ResizeObserver(() => (cy.resize(), cy.fit(undefined, 18)));
  resized.observe(element);
  element.cy = cy;
  return {
    show: (flow) => cy.batch(() => show(cy, flow)),
    choose: (id) => cy.batch(() => choose(cy, id)),
    remove: () => (resized.disconnect(), clearInterval(marching), cy.destroy()),
  };
}

/** A link stands for the reaction at one of its ends, because that is where something waits. */
const actorOf = (target) => {
  if (target.isNode()) return target.id();
  return target.hasClass("triggers") ? target.data("target") : target.data("source");
};

/** What is written at a line that is for the items of a list. */
const word = (link) => (link.items ? { word: link.kind === "triggers" ? "every" : "each" } : {});

const ROOM = { event: 22, entry: 48, reaction: 26, join: 40, undo: 26 };
const widthOf = (node) => Math.max(64, node.name.length * 7.1 + ROOM[node.kind]);

function place({ nodes, links }) {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: "TB", nodesep: 18, ranksep: 27, edgesep: 14, ranker: "network-simplex" });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: widthOf(node), height: HEIGHT });
  for (const link of links) graph.setEdge(link.from, link.to, { weight: link.kind === "schedules" ? 1 : 3 });
  layout(graph);
  const { width, height } = graph.graph();
  const at = (id) => ({ x: graph.node(id).x, y: graph.node(id).y });
  const bends = ({ from, to }) => along(at(from), at(to), graph.edge(from, to).points.slice(1, -1));
  return { at, bends, width, height };
}

/** Where a line bends, as cytoscape wants it: how far along the straight line, and how far beside it. */
function along(from, to, points) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const weights = points.map(({ x, y }) => ((x - from.x) * dx + (y - from.y) * dy) / length ** 2);
  const distances = points.map(({ x, y }) => ((y - from.y) * dx - (x - from.x) * dy) / length);
  return { weights, distances };
}

function show(cy, flow) {
  for (const event of flow.events) {
    const node = cy.getElementById(event.event);
    if (node.empty()) continue;
    const flows = event.per_second > 0;
    node.data("label", flows ? `${event.event}\n${rate(event.per_second)}` : event.event);
    node.toggleClass("flowing", flows);
    const width = 1.4 + Math.min(5, 1.6 * Math.log10(1 + 4 * event.per_second));
    node.connectedEdges().forEach((edge) => edge.data("weight", width).toggleClass("flowing", flows));
  }
  for (const reaction of flow.reactions) reactionShown(cy, reaction);
}

function reactionShown(cy, reaction) {
  const node = cy.getElementById(`${reaction.service}/${reaction.reaction}`);
  if (node.empty()) return;
  const lag = (reaction.consumer?.pending ?? 0) + (reaction.consumer?.in_flight ?? 0);
  const marks = [
    lag > 0 && `${lag} to do`,
    reaction.overdue > 0 && `${reaction.overdue} overdue`,
    reaction.dead_letters > 0 && `✕ ${reaction.dead_letters}`,
  ].filter(Boolean);
  node.data("label", marks.length ? `${reaction.reaction}\n${marks.join(" · ")}` : reaction.reaction);
  const widest = Math.max(...node.data("label").split("\n").map((line) => line.length));
  node.data("width", Math.max(64, widest * 7.1 + 26));
  node.toggleClass("busy", lag > 0);
  node.toggleClass("overdue", reaction.overdue > 0);
  node.toggleClass("failed", reaction.dead_letters > 0);
  node.toggleClass("absent", !reaction.consumer?.attended);
  const label = marks.join(" · ");
  node.incomers("edge.triggers").forEach((edge) => edge.toggleClass("overdue", reaction.overdue > 0).toggleClass("failed", reaction.dead_letters > 0).data("label", label));
}

function choose(cy, id) {
  cy.elements().removeClass("chosen faded");
  const node = id ? cy.getElementById(id) : cy.collection();
  if (node.empty()) return;
  node.addClass("chosen");
  cy.elements().not(node.closedNeighborhood()).addClass("faded");
}

/** Lets the lines along which something flows move, unless somebody prefers that nothing does. */
function march(cy) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return 0;
  let offset = 0;
  return setInterval(() => {
    const flowing = cy.edges(".flowing");
    if (document.hidden || flowing.empty()) return;
    offset = (offset + 1.5) % 1000;
    flowing.style("line-dash-offset", -offset);
  }, 60);
}
