"use strict";
(() => {
  const root = document.documentElement;
  const contents = document.getElementById("contents");
  const find = (selector) => [...document.querySelectorAll(selector)];

  // Theme: the button turns to the other one and remembers it.
  const themeButton = document.getElementById("theme");
  const isDark = () =>
    (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const labelTheme = () => themeButton.setAttribute("aria-pressed", String(isDark()));
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("seednb-theme", root.dataset.theme); } catch { /* closed storage */ }
    labelTheme();
  });
  labelTheme();

  // Code: all cells at once.
  const codeButton = document.getElementById("all-code");
  codeButton?.addEventListener("click", () => {
    const open = codeButton.getAttribute("aria-pressed") !== "true";
    find("details.code").forEach((cell) => { cell.open = open; });
    codeButton.setAttribute("aria-pressed", String(open));
  });

  // A link into a folded part unfolds it.
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();

  // A box that shows its beginning opens once a search or the keyboard has moved it.
  find(".long > .scroll").forEach((box) => box.addEventListener("scroll", () => {
    if (box.scrollTop > 0) box.parentElement.querySelector("input").checked = true;
  }, { passive: true }));

  if (contents) followContents(contents, find);
})();

function followContents(contents, find) {
  // Contents on a phone: a panel that closes once a place is chosen.
  const menuButton = document.getElementById("menu");
  const setMenu = (open) => {
    menuButton.setAttribute("aria-expanded", String(open));
    contents.classList.toggle("open", open);
  };
  menuButton.addEventListener("click", () => setMenu(menuButton.getAttribute("aria-expanded") !== "true"));
  contents.addEventListener("click", (event) => { if (event.target.closest("a")) setMenu(false); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && contents.classList.contains("open")) {
      setMenu(false);
      menuButton.focus();
    }
  });

  // Where the reader is: the last place whose start has passed the upper third of the window.
  const links = new Map(find("#contents a").map((link) => [link.hash.slice(1), link]));
  const places = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  let waiting = false;
  const follow = () => {
    waiting = false;
    const passed = places.filter((place) => place.getBoundingClientRect().top < innerHeight / 3);
    const atTop = scrollY < 8 || !passed.length;
    const here = links.get((atTop ? places[0] : passed.at(-1))?.id);
    links.forEach((link) => {
      if (link === here) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    });
    find("#contents li.chapter").forEach((item) => item.classList.toggle("here", item.contains(here)));
    if (here && contents.scrollHeight > contents.clientHeight) {
      const top = here.offsetTop - contents.clientHeight / 2;
      if (Math.abs(top - contents.scrollTop) > contents.clientHeight / 3) contents.scrollTop = top;
    }
  };
  addEventListener("scroll", () => {
    if (!waiting) { waiting = true; requestAnimationFrame(follow); }
  }, { passive: true });
  follow();
}
