// What changes, as it does: one stream of server-sent events for the whole page.
import { useEffect, useState } from "./lib.js";
import { token } from "./token.js";

/** Milliseconds until it tries again. */
const PAUSE = 1000;

const listeners = new Set();
const state = { connected: false, overview: null };
let version = 0;
let lastId = null;
let listening = false;

/**
 * Listens for as long as the page is open, and begins again when the connection ends, with the last beat that was seen. Read by
 * hand: the browser's own `EventSource` can't show a token.
 */
export async function listen() {
  if (listening) return;
  listening = true;
  while (await listenOnce().catch(() => true)) {
    tell({ connected: false });
    await new Promise((again) => setTimeout(again, PAUSE));
  }
  listening = false;
}

/** Listens until the connection ends; `false` when this user may not. */
async function listenOnce() {
  const headers = lastId ? { "last-event-id": lastId } : {};
  if (token()) headers.authorization = `Bearer ${token()}`;
  const response = await fetch("/api/live", { headers });
  if (!response.ok) return response.status !== 401;
  tell({ connected: true });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return true;
    const events = (text + value).split("\n\n");
    text = events.pop();
    events.forEach(told);
  }
}

/** One server-sent event: lines of a name, a colon and a value. */
function told(event) {
  const fields = Object.fromEntries(event.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
  if (fields.event !== "beat") return;
  lastId = fields.id;
  const beat = JSON.parse(fields.data);
  version += 1;
  tell({ connected: true, overview: beat.overview ?? state.overview }, beat);
}

function tell(changes, beat = null) {
  Object.assign(state, changes);
  for (const listener of listeners) listener(beat);
}

/** The system at a glance, and whether that is live. */
export function useLive() {
  const [, again] = useState(0);
  useEffect(() => subscribe(() => again((count) => count + 1)), []);
  return state;
}

/**
 * A number that changes when somebody should look again: at a beat that `concerns` the page (every one by default), and at
 * most once in `pause` milliseconds.
 */
export function useBeats(concerns = () => true, pause = 1000) {
  const [number, setNumber] = useState(version);
  useEffect(() => {
    let timer = null;
    let last = 0;
    const look = () => {
      timer = null;
      last = performance.now();
      setNumber(version);
    };
    const stop = subscribe((beat) => {
      if (!beat || timer !== null || !(beat.more || concerns(beat))) return;
      timer = setTimeout(look, Math.max(0, pause - (performance.now() - last)));
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  return number;
}

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
