// Addresses: `/sagas?state=stuck` is a page and what it shows, so that everything can be linked and gone back to.
import { useEffect, useState } from "./lib.js";

const CHANGED = "pavane:navigated";

/** Goes to an address of the dashboard. */
export function navigate(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event(CHANGED));
}

/** The address with some parameters changed; empty ones are left out. */
export function withParameters(changes) {
  const parameters = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) parameters.set(name, value);
    else parameters.delete(name);
  }
  const query = parameters.toString();
  return location.pathname + (query ? `?${query}` : "");
}

/** The path and the parameters of the address, now and whenever they change. */
export function useRoute() {
  const [, again] = useState(0);
  useEffect(() => {
    const changed = () => again((count) => count + 1);
    addEventListener("popstate", changed);
    addEventListener(CHANGED, changed);
    addEventListener("click", follow);
    return () => {
      removeEventListener("popstate", changed);
      removeEventListener(CHANGED, changed);
      removeEventListener("click", follow);
    };
  }, []);
  return { path: location.pathname, parameters: Object.fromEntries(new URLSearchParams(location.search)) };
}

/** Follows links to our own pages without loading everything again. */
function follow(event) {
  const link = event.target.closest?.("a[href]");
  const modified = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (!link || modified || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || /^\/(api|assets|openapi)/.test(url.pathname)) return;
  event.preventDefault();
  navigate(url.pathname + url.search);
  scrollTo(0, 0);
}
