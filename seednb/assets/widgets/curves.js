(root, data) => {
  const [quantity, chosen] = ["quantity", "window"].map((name) => root.querySelector(`[name=${name}]`));
  const charts = [...root.querySelectorAll("[data-chart]")];
  const draw = () => {
    const place = Number(quantity.value) * data.windows + Number(chosen.value);
    charts.forEach((chart, k) => { chart.hidden = k !== place; });
  };
  for (const control of [quantity, chosen]) control.addEventListener("input", draw);
  draw();
}
