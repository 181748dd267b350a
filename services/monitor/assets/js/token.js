// The token of whoever may act. It lives as long as the tab; who acts is remembered, to be said with every decision.
const TOKEN = "pavane.token";
const NAME = "pavane.by";

export const token = () => sessionStorage.getItem(TOKEN) ?? "";
export const name = () => localStorage.getItem(NAME) ?? "";

export function remember(newToken, newName) {
  if (newToken) sessionStorage.setItem(TOKEN, newToken);
  else sessionStorage.removeItem(TOKEN);
  localStorage.setItem(NAME, newName);
}
