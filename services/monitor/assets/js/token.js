// The user's token. It lives as long as the tab.
const TOKEN = "pavane.token";

export const token = () => sessionStorage.getItem(TOKEN) ?? "";

export function remember(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}
