// Live regions: <div id data-poll="address" data-active>. The address answers with the same element, rendered alone.
// Every second while active, every 5 s when idle, not at all while the tab is hidden; slower after each failure.

const ACTIVE_MS = 1000;
const IDLE_MS = 5000;
const SLOWEST_MS = 60000;
const TIMEOUT_MS = 10000;

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
        this.replace(await response.text());
        this.etag = response.headers.get("ETag") ?? "";
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
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(this.element.id);
    if (!fresh) throw new Error("answered without the region");
    // An open dialog or menu is somebody in the middle of something.
    if (this.element.querySelector("dialog[open], [popover]:popover-open")) return;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = [...this.element.querySelectorAll("[role=region][id]")].map((node) => [node.id, node.scrollLeft]);
    this.element.toggleAttribute("data-active", fresh.hasAttribute("data-active"));
    this.element.dataset.poll = fresh.dataset.poll;
    this.element.replaceChildren(...fresh.childNodes);
    for (const [id, left] of scrolled) document.getElementById(id)?.scrollTo({ left });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    this.element.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
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
