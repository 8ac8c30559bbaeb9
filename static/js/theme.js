// The theme: a cookie that the server reads into data-theme, so that no page flashes. "system" has no cookie.

const YEAR_S = 31536000;

function choose(theme) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  if (theme === "system") {
    document.cookie = `theme=; Path=/; Max-Age=0; SameSite=Lax${secure}`;
    delete document.documentElement.dataset.theme;
  } else {
    document.cookie = `theme=${theme}; Path=/; Max-Age=${YEAR_S}; SameSite=Lax${secure}`;
    document.documentElement.dataset.theme = theme;
  }
  mark();
  document.dispatchEvent(new CustomEvent("themechange"));
}

function mark() {
  const now = document.documentElement.dataset.theme ?? "system";
  for (const button of document.querySelectorAll("[data-choose-theme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.chooseTheme === now));
  }
}

for (const group of document.querySelectorAll("[data-themes]")) group.hidden = false;
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-choose-theme]");
  if (button) choose(button.dataset.chooseTheme);
});
mark();
