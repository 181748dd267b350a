// What changes, as it does: one stream of server-sent events for the whole page.
import { useEffect, useState } from "./lib.js";

const listeners = new Set();
const state = { connected: false, overview: null };
let version = 0;

/** Begins to listen. The browser connects again by itself, and says which beat it saw last. */
export function listen() {
  const source = new EventSource("/api/live");
  source.addEventListener("open", () => tell({ connected: true }));
  source.addEventListener("error", () => tell({ connected: false }));
  source.addEventListener("beat", (event) => {
    const beat = JSON.parse(event.data);
    version += 1;
    tell({ connected: true, overview: beat.overview ?? state.overview }, beat);
  });
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
