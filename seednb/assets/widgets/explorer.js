(root, data) => {
  const FULL = 80; // the axis ends at 80% of the drawing: values stand to the right of the bars
  const PRESENCE = { true: "in the image", false: "not in the image", null: "names no object" };
  const control = (name) => root.querySelector(`[name=${name}]`);
  const [example, rule, beta, alpha, temperature] = ["example", "rule", "beta", "alpha", "temperature"].map(control);
  const percent = (thousandths) => {
    if (thousandths === 0) return "<0.1%";
    return thousandths < 100 ? `${(thousandths / 10).toFixed(1)}%` : `${Math.floor((thousandths + 5) / 10)}%`;
  };

  const sentence = (chosen, k, clean, noisy, purified) => {
    const word = `“${chosen.words[k]}” (${PRESENCE[chosen.present[k]]})`;
    const [before, after] = [percent(clean), percent(purified)];
    const change = before === after ? `leaves ${word} at ${before}.` : `moves ${word} from ${before} to ${after}.`;
    return `Beta ${Number(beta.value).toFixed(1)} ${change} The noisy view gives it ${percent(noisy)}.`;
  };

  const read = (lines) => {
    root.querySelector(".sw-reading").replaceChildren(...lines.map((line) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      return paragraph;
    }));
  };

  const draw = () => {
    const chosen = data.examples[example.value];
    if (rule.value === "confidence") beta.value = chosen.beta;
    const step = Math.round(beta.value * 10);
    const [scale, clean, noisy, frames] = chosen.frames[alpha.value][temperature.value];
    const shares = { clean, noisy, purified: frames[step] };
    root.querySelector("output").value = Number(beta.value).toFixed(1);
    for (const kind of ["panel", "chart"]) {
      root.querySelectorAll(`[data-${kind}]`).forEach((part, k) => { part.hidden = k !== Number(example.value); });
    }
    const chart = root.querySelector("[data-chart]:not([hidden])");
    chart.querySelectorAll(".sw-tick").forEach((tick, k) => { tick.textContent = `${scale * k / 20}%`; });
    chart.querySelectorAll("svg[role=img]").forEach((svg, k) => {
      const values = Object.entries(shares).map(([view, each]) => [view, each[k]]);
      for (const [view, value] of values) {
        const width = `${FULL * value / scale}%`;
        const [rect, line, text] = ["rect", "line", "text"].map((tag) => svg.querySelector(`.sw-${view} ${tag}`));
        rect.setAttribute("width", width);
        line?.setAttribute("x2", width);
        text.setAttribute("x", width);
        text.textContent = percent(value);
      }
      const said = values.map(([view, value]) => `${view} ${percent(value)}`).join(", ");
      svg.setAttribute("aria-label", `${chosen.words[k]}, ${PRESENCE[chosen.present[k]]}: ${said}`);
    });
    read(step === 0
      ? ["Beta 0 changes nothing: the purified words are the clean ones."]
      : chosen.focus.map((k) => sentence(chosen, k, clean[k], noisy[k], frames[step][k])));
  };

  beta.addEventListener("input", () => { rule.value = "hand"; draw(); });
  for (const each of [example, rule, alpha, temperature]) each.addEventListener("input", draw);
  draw();
}
