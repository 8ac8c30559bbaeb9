// Keys: ? list, g d dashboard, g a alerts, / filter, c copy. Off while something is typed.

const PLACES = { d: "/app/", a: "/app/alerts/", o: "/app/orders/", p: "/app/positions/", c: "/app/connectors/" };
const SECOND_KEY_MS = 1500;
let goingUntil = 0;

function isTyping(target) {
  return target.isContentEditable || target.closest("input, textarea, select, dialog[open]") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
  if (Date.now() < goingUntil) {
    goingUntil = 0;
    if (PLACES[event.key]) {
      event.preventDefault();
      location.assign(PLACES[event.key]);
    }
    return;
  }
  if (event.key === "g") goingUntil = Date.now() + SECOND_KEY_MS;
  if (event.key === "?") document.getElementById("shortcuts")?.showModal();
  if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    if (filter) {
      event.preventDefault();
      filter.closest("details")?.setAttribute("open", "");
      filter.focus();
    }
  }
  if (event.key === "c") document.querySelector("main [data-copy], main [data-copy-from]")?.click();
});
