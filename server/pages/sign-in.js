// Who follows a link from another site comes without the cookie, which is kept from such requests:
// if this page may ask, the browser has it, and the front end can be opened from here.

if (location.pathname === "/" || location.pathname === "/api/") {
  const answer = await fetch("/prompt");
  if (answer.ok) location.replace("/");
}
