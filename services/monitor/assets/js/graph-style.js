// How the graph looks. A canvas can't use style sheets, so the theme's variables are read here.
import { themed } from "./palette.js";

/** The style of the graph in the light or the dark theme. */
export function style(dark) {
  const [text, quiet, line, surface] = ["--text", "--quiet", "--line-strong", "--surface"].map(themed);
  const [bad, warn, good, accent] = ["--stuck", "--compensating", "--completed", "--accent"].map(themed);
  const fill = (node) => (dark ? `hsl(${node.data("hue")}, 26%, 25%)` : `hsl(${node.data("hue")}, 58%, 92%)`);
  const border = (node) => (dark ? `hsl(${node.data("hue")}, 38%, 52%)` : `hsl(${node.data("hue")}, 42%, 52%)`);
  return [
    { selector: "node", style: {
      label: "data(label)", width: "data(width)", height: 30, "text-valign": "center", "text-halign": "center", "text-wrap": "wrap",
      "font-family": "ui-sans-serif, system-ui, sans-serif", "font-size": 12, "line-height": 1.25, color: text,
      shape: "round-rectangle", "background-color": fill, "border-width": 1.5, "border-color": border,
      "overlay-opacity": 0, "transition-property": "border-color border-width opacity", "transition-duration": "0.25s" } },
    { selector: "node.event", style: { shape: "round-rectangle", "corner-radius": 15, "background-color": surface, "border-width": 1, height: 26, color: quiet, "font-size": 11.5 } },
    { selector: "node.event.flowing", style: { color: text, "border-width": 2, height: 34, "line-height": 1.1 } },
    { selector: "node.event.outcome", style: { "border-style": "double", "border-width": 4, color: text } },
    { selector: "node.entry", style: { shape: "tag", "font-weight": 600 } },
    { selector: "node.join", style: { shape: "cut-rectangle", "font-weight": 600 } },
    { selector: "node.undo", style: { "border-style": "dashed" } },
    // A stack of cards.
    { selector: "node.each", style: { ghost: "yes", "ghost-offset-x": 4, "ghost-offset-y": 4, "ghost-opacity": 0.5 } },
    { selector: "node.effect", style: { "border-width": 3 } },
    { selector: "node.busy", style: { height: 42 } },
    { selector: "node.absent", style: { "border-style": "dotted", "background-opacity": 0.4 } },
    { selector: "node.failed", style: { height: 42, "border-color": warn, "border-width": 3 } },
    { selector: "node.overdue", style: { height: 42, "border-color": bad, "border-width": 3 } },
    { selector: "edge", style: {
      width: 1.4, "line-color": line, "target-arrow-color": line, "target-arrow-shape": "triangle", "arrow-scale": 0.8,
      // `along` counts from centre to centre.
      "curve-style": "round-segments", "edge-distances": "node-position", "segment-weights": "data(weights)", "segment-distances": "data(distances)", "segment-radii": 30,
      "overlay-padding": 6, "overlay-opacity": 0, "transition-property": "opacity", "transition-duration": "0.25s" } },
    { selector: "edge[word]", style: {
      label: "data(word)", "font-size": 10, color: quiet, "text-background-color": surface, "text-background-opacity": 1, "text-background-padding": 2 } },
    { selector: "edge.schedules", style: { "line-style": "dotted" } },
    { selector: "edge[weight]", style: { width: "data(weight)" } },
    { selector: "edge.flowing", style: { "line-color": accent, "target-arrow-color": accent, "line-style": "dashed", "line-dash-pattern": [9, 5] } },
    { selector: "edge.failed", style: { "line-color": warn, "target-arrow-color": warn } },
    { selector: "edge.overdue", style: { "line-color": bad, "target-arrow-color": bad, width: 3 } },
    { selector: ".faded", style: { opacity: 0.22 } },
    { selector: "node.chosen", style: { "border-color": good, "border-width": 4 } },
  ];
}
