// One hue for each service, the same on every page.
const HUES = [212, 152, 32, 282, 338, 186, 96, 12, 250, 60];
let services = [];

/** Tells which services there are. Hues go by their order, so that neighbours differ. */
export function learn(names) {
  for (const name of names) if (!services.includes(name)) services = [...services, name];
}

export function hue(service) {
  learn([service]);
  return HUES[services.indexOf(service) % HUES.length];
}

/** For an element that is coloured after its service: its style sheet says how. */
export const hued = (service) => ({ "--hue": String(hue(service)) });

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

/** The value of a variable of the theme, for what can't use style sheets. */
export const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
