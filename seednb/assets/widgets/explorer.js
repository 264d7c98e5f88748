(root, data) => {
  const FULL = 80; // the axis ends at 80% of the drawing: values stand to the right of the bars
  const PRESENCE = { present: "in the image", absent: "not in the image", none: "names no object", rest: "each less likely" };
  const NOTES = { present: "✓ in image", absent: "✕ not in image", none: "names no object", rest: "together" };
  const SAID = { wrong: "hallucinated", right: "in the image" };
  const control = (name) => root.querySelector(`[name=${name}]`);
  const names = ["image", "word", "rule", "beta", "alpha", "temperature", "plausible"];
  const [image, word, rule, beta, alpha, temperature, plausible] = names.map(control);
  const all = (selector, change) => root.querySelectorAll(selector).forEach(change);
  const element = (tag, text, style = "") => Object.assign(document.createElement(tag), { textContent: text, className: style });
  const percent = (thousandths) => {
    if (thousandths === 0) return "<0.1%";
    return thousandths < 100 ? `${(thousandths / 10).toFixed(1)}%` : `${Math.floor((thousandths + 5) / 10)}%`;
  };

  const moved = (name, clean, purified) => {
    const [before, after] = [clean, purified].map(percent);
    return before === after ? `leaves ${name} at ${before}.` : `moves ${name} from ${before} to ${after}.`;
  };

  const sentences = (place, beta, shares) => {
    if (beta === "0" && !plausible.checked) return ["Beta 0 changes nothing: the purified words are the clean ones."];
    const lines = place.focus.map((k) => {
      const change = moved(`“${place.rows[k][0]}” (${PRESENCE[place.rows[k][1]]})`, shares.clean[k], shares.purified[k]);
      return `Beta ${beta} ${change} The noisy view gives it ${percent(shares.noisy[k])}.`;
    });
    const last = place.rows.length - 1;
    lines.push(`It ${moved(place.rows[last][0], shares.clean[last], shares.purified[last])}`);
    if (plausible.checked) lines.push("Among plausible words alone: those with at least a tenth of the likeliest word's clean probability.");
    return lines;
  };

  const drawRow = (row, [name, kind], scale, values) => {
    const label = row.querySelector(".sw-word");
    label.className = `sw-word sw-${kind}`;
    label.querySelector("b").textContent = name;
    label.querySelector("small").textContent = NOTES[kind];
    for (const [view, value] of values) {
      const width = `${FULL * value / scale}%`;
      const [rect, line, text] = ["rect", "line", "text"].map((tag) => row.querySelector(`.sw-${view} ${tag}`));
      rect.setAttribute("width", width);
      line?.setAttribute("x2", width);
      text.setAttribute("x", width);
      text.textContent = percent(value);
    }
    const said = values.map(([view, value]) => `${view} ${percent(value)}`).join(", ");
    row.querySelector("svg[role=img]").setAttribute("aria-label", `${name}, ${PRESENCE[kind]}: ${said}`);
  };

  const drawCaption = (beta, [segments, summary]) => {
    const place = root.querySelector("[data-captions]:not([hidden])");
    place.querySelector("[data-beta]").textContent = beta;
    place.querySelector("[data-summary]").textContent = summary;
    place.querySelector("[data-again]").replaceChildren(...segments.map(([text, kind]) => {
      if (!kind) return text;
      const mark = element("mark", text, `sw-${kind}`);
      mark.append(element("span", ` (${SAID[kind]})`, "sw-hidden"));
      return mark;
    }));
  };

  const draw = () => {
    const chosen = data.images[image.value], place = chosen.places[word.value];
    if (rule.value === "confidence") beta.value = chosen.beta;
    const step = Number(beta.value), name = data.betas[step];
    const [scale, clean, noisy, frames, kept] = place.frames[alpha.value][temperature.value];
    let purified = frames[step];
    if (plausible.checked) {
      purified = clean.map(() => 0);
      place.kept.forEach((k, n) => { purified[k] = kept[step][n]; });
    }
    root.querySelector("output").value = name;
    beta.setAttribute("aria-valuetext", name);
    for (const kind of ["panel", "captions"]) {
      all(`[data-${kind}]`, (part, k) => { part.hidden = k !== Number(image.value); });
    }
    const panel = root.querySelector("[data-panel]:not([hidden])");
    panel.querySelectorAll("[data-noisy]").forEach((view, k) => { view.hidden = k !== Number(alpha.value); });
    panel.querySelector(".sw-so-far").textContent = place.so_far;
    all(".sw-tick", (tick, k) => { tick.textContent = `${scale * k / 20}%`; });
    all("[data-row]", (row, k) => {
      row.hidden = k >= place.rows.length;
      if (!row.hidden) drawRow(row, place.rows[k], scale, Object.entries({ clean: clean[k], noisy: noisy[k], purified: purified[k] }));
    });
    root.querySelector(".sw-reading").replaceChildren(...sentences(place, name, { clean, noisy, purified }).map((line) => element("p", line)));
    drawCaption(name, chosen.texts[chosen.captions[alpha.value][Number(plausible.checked)][step]]);
  };

  const show = () => {
    const { places, start } = data.images[image.value];
    word.replaceChildren(...places.map((place, n) => new Option(place.word, n)));
    word.value = start;
    draw();
  };

  beta.addEventListener("input", () => { rule.value = "hand"; draw(); });
  image.addEventListener("input", show);
  for (const each of [word, rule, alpha, temperature, plausible]) each.addEventListener("input", draw);
  show();
}
