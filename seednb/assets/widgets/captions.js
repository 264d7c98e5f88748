(root, data) => {
  const control = (name) => root.querySelector(`[name=${name}]`);
  const [previous, position, next, filter] = ["previous", "position", "next", "filter"].map(control);
  const items = [...root.querySelectorAll(".sw-item")];
  let current = 0;
  const shown = () => items.map((_, k) => k).filter((k) => data.differs[k] || !filter.checked);

  const draw = () => {
    const places = shown();
    current = places[position.value - 1];
    items.forEach((item, k) => { item.hidden = k !== current; });
    previous.disabled = position.value === "1";
    next.disabled = Number(position.value) === places.length;
    const place = `${position.value} of ${places.length}`;
    root.querySelector("output").value = place;
    position.setAttribute("aria-valuetext", place);
    root.querySelector("[data-reading]").textContent = `Image ${place}: ${items[current].ariaLabel}`;
  };
  const move = (step) => { position.value = Number(position.value) + step; draw(); };

  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(+1));
  position.addEventListener("input", draw);
  filter.addEventListener("input", () => {
    const place = shown().indexOf(current);
    position.max = shown().length;
    position.value = Math.max(place, 0) + 1;
    draw();
  });
  root.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: +1 }[event.key];
    if (step && event.target !== position) move(step);
  });
  draw();
}
