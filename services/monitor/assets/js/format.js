// Numbers and times for people.

/** `340 ms`, `12.3 s`, `4 min 10 s`, `3 h 5 min`, `2 days`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", Math.floor(s % 60), "s");
  if (s < 172800) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return `${Math.floor(s / 86400)} days`;
}

const two = (large, unit, small, smaller) => (small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`);

/** `14:03:22.187` today, with the date before that. */
export function time(timestamp) {
  const at = new Date(timestamp);
  const clock = at.toLocaleTimeString(undefined, { hour12: false }) + `.${String(at.getMilliseconds()).padStart(3, "0")}`;
  return at.toDateString() === new Date().toDateString() ? clock : `${at.toLocaleDateString()} ${clock}`;
}

/** Milliseconds between two timestamps. */
export const between = (from, to) => new Date(to) - new Date(from);

/** `1,234`. */
export const count = (number) => number.toLocaleString("en");

/** `0.4/s`, `12/s`. */
export const rate = (perSecond) => `${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;

/** `1 saga`, `2 sagas`. */
export const counted = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;

/** The start of an id that is too long to be read, enough to tell it from its neighbours. */
export const short = (id) => (id.length > 20 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id);
