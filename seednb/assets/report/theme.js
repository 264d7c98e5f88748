// Runs before the page is drawn, so that a chosen theme does not flash.
document.documentElement.classList.add("js");
try {
  const chosen = localStorage.getItem("seednb-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be closed to local files; the system's theme then applies.
}
