// Live regions: <div id data-poll="address" data-active>. The address answers with the same element, rendered alone.
// Every second while active, every 5 s when idle, not at all while the tab is hidden; slower after each failure.
// What else moves with it, elsewhere on the page, stands in the answer as <div id data-follows>.

const ACTIVE_MS = 1000;
const IDLE_MS = 5000;
const SLOWEST_MS = 60000;
const TIMEOUT_MS = 10000;

// Show what `fresh` holds in `element`; false, and nothing is changed, while somebody is in the middle of something.
function refill(element, fresh) {
  if (element.querySelector("dialog[open], [popover]:popover-open")) return false;
  if (element.innerHTML === fresh.innerHTML) return true; // the focus stays
  const focused = element.contains(document.activeElement) ? namesake(element, document.activeElement) : null;
  const unfolded = unfoldedIn(element);
  const scrolled = [...element.querySelectorAll("[role=region][id]")].map((node) => [node.id, node.scrollLeft]);
  element.replaceChildren(...fresh.childNodes);
  for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
  for (const summary of element.querySelectorAll("summary")) {
    if (unfolded.has(summary.textContent)) summary.parentElement.open = true;
  }
  focused?.()?.focus({ preventScroll: true });
  return true;
}

function unfoldedIn(element) {
  return new Set([...element.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
}

// How to find again what stands in for `node`: by its id, or which it is of the links to its address, or of what is
// called as it is.
function namesake(element, node) {
  if (node.id) return () => document.getElementById(node.id);
  const name = (one) => one.getAttribute("href") ?? one.textContent;
  const same = () => [...element.querySelectorAll(node.tagName)].filter((one) => name(one) === name(node));
  const number = same().indexOf(node);
  return () => same()[number];
}

class Region {
  constructor(element) {
    this.element = element;
    this.etag = "";
    this.failures = 0;
    this.timer = 0;
    this.busy = false;
  }

  wait() {
    if (this.failures) return Math.min(ACTIVE_MS * 2 ** this.failures, SLOWEST_MS);
    return this.element.hasAttribute("data-active") ? ACTIVE_MS : IDLE_MS;
  }

  schedule() {
    clearTimeout(this.timer);
    if (!document.hidden && this.element.isConnected) this.timer = setTimeout(() => this.fetch(), this.wait());
  }

  async fetch() {
    if (this.busy) return;
    this.busy = true;
    try {
      const headers = { "X-Requested-With": "poll" };
      if (this.etag) headers["If-None-Match"] = this.etag;
      const response = await fetch(this.element.dataset.poll, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error", // logged out: the login page is not an answer
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status === 200) {
        const isShown = this.replace(await response.text());
        this.etag = (isShown && response.headers.get("ETag")) || ""; // or the next 304 would leave it out for good
      } else if (response.status !== 304) {
        throw new Error(`answered ${response.status}`);
      }
      this.failures = 0;
    } catch {
      this.failures += 1;
    } finally {
      this.busy = false;
      this.note();
      this.schedule();
    }
  }

  replace(text) {
    const answer = new DOMParser().parseFromString(text, "text/html");
    const fresh = answer.getElementById(this.element.id);
    if (!fresh) throw new Error("answered without the region");
    let isShown = refill(this.element, fresh);
    if (isShown) {
      this.element.toggleAttribute("data-active", fresh.hasAttribute("data-active"));
      this.element.dataset.poll = fresh.dataset.poll;
    }
    for (const part of answer.querySelectorAll("[data-follows]")) {
      const follower = document.getElementById(part.id);
      if (follower && !refill(follower, part)) isShown = false;
    }
    this.element.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
    return isShown;
  }

  note() {
    const note = document.getElementById("connection");
    if (note) note.hidden = this.failures < 2;
  }
}

const regions = [...document.querySelectorAll("[data-poll]")].map((element) => new Region(element));
for (const region of regions) region.schedule();
document.addEventListener("visibilitychange", () => {
  for (const region of regions) {
    if (document.hidden) clearTimeout(region.timer);
    else region.fetch();
  }
});
