// Requests to the monitor's own API.
import { useEffect, useRef, useState } from "./lib.js";
import { token } from "./token.js";

/** Asks, and throws what went wrong in words. */
export async function request(path, { method = "GET", body, text = false } = {}) {
  const headers = {};
  if (token()) headers.authorization = `Bearer ${token()}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("the monitor does not answer");
  }
  if (!response.ok) throw new Error(await problem(response));
  return text ? response.text() : response.json();
}

export const post = (path, body = {}) => request(path, { method: "POST", body });

/** Saves what the API says under a name: a plain link can't show a token. */
export async function download(path, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([await request(path, { text: true })], { type: "text/plain" }));
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function problem(response) {
  const problem = await response.json().catch(() => null);
  if (!problem) return `the monitor answered ${response.status}`;
  const details = (problem.errors ?? []).map((error) => `${error.field}: ${error.detail}`);
  return [problem.detail, ...details].join("; ");
}

/** The address of the API with parameters; empty ones are left out. */
export function address(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  const query = new URLSearchParams(given).toString();
  return query ? `${path}?${query}` : path;
}

/**
 * What the API says at a path, asked again whenever `version` changes. What was there before stays until the answer is
 * here, so that nothing flickers; an answer that comes too late is dropped.
 */
export function useApi(path, version = 0) {
  const [state, setState] = useState({ path: null, data: null, error: null });
  const asked = useRef(0);
  useEffect(() => {
    if (!path) return;
    const number = ++asked.current;
    request(path).then(
      (data) => number === asked.current && setState({ path, data, error: null }),
      (error) => number === asked.current && setState((was) => ({ path, data: was.path === path ? was.data : null, error })),
    );
  }, [path, version]);
  return state.path === path ? state : { ...state, error: null };
}
