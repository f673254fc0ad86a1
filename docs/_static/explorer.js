// The explorer page: shows what docs/explorer.py tabulated. Works served and opened from disk.
(() => {
  "use strict";
  const { seeds, places, generators } = window.EXPLORER;
  const WAYS = { linear: "#0072B2", SLERP: "#E69F00", matched: "#D55E00" };
  const PLACE = {
    interpolation: (s) => `t = ${(1 - s).toFixed(2)}: ${Math.round(100 * s)} % of the way`,
    vicinity: (s) => `ε = ${s.toFixed(2)}`,
    "random walk": (s) => `step ${Math.round(s * (places - 1))} of ${places - 1}`,
  };
  const SAY = {
    interpolation: (a, b) => `interpolation from seed ${a} to seed ${b}`,
    vicinity: (a, b) => `neighbour of seed ${a} in the direction of seed ${b}`,
    "random walk": (a, b) => `random walk from seed ${a} with the steps of seed ${b}`,
  };
  const folder = new URL("explorer/", document.currentScript.src);
  const sprites = new Map();

  const sprite = (file) => {
    if (!sprites.has(file)) {
      const image = new Image();
      image.onload = show;
      image.src = new URL(file, folder).href;
      sprites.set(file, image);
    }
    return sprites.get(file);
  };

  const element = (kind, parent, properties = {}) => parent.appendChild(Object.assign(document.createElement(kind), properties));

  const control = (kind, text, properties = {}) => {
    const label = element("label", controls, { textContent: text });
    return element(kind, label, properties);
  };

  const select = (text, options) => {
    const list = control("select", text);
    for (const [value, title] of options) element("option", list, { value, textContent: title });
    list.addEventListener("change", () => show(list));
    return list;
  };

  const root = document.getElementById("explorer-root");
  root.textContent = "";
  const controls = element("form", root, { className: "explorer-controls" });
  controls.addEventListener("submit", (event) => event.preventDefault());
  const generator = select("Generator", Object.entries(generators).map(([name, { title }]) => [name, title]));
  const operation = select("Operation", Object.keys(PLACE).map((name) => [name, name]));
  const numbers = Array.from({ length: seeds }, (_, seed) => [seed, seed]);
  const first = select("First seed", numbers);
  const second = select("Second seed", numbers);
  second.value = 1;
  const place = control("input", "Place on the path", { type: "range", min: 0, max: places - 1, value: (places - 1) / 2 });
  place.parentElement.className = "explorer-place";
  const where = element("output", place.parentElement);
  place.addEventListener("input", () => show());

  const panels = element("div", root, { className: "explorer-panels" });
  const panel = Object.fromEntries(
    Object.entries(WAYS).map(([way, color]) => {
      const figure = element("figure", panels);
      figure.style.setProperty("--way", color);
      const canvas = element("canvas", figure);
      canvas.setAttribute("role", "img");
      const caption = element("figcaption", figure);
      element("strong", caption, { textContent: way });
      return [way, { figure, canvas, norm: element("span", caption), verdict: element("span", caption) }];
    }),
  );

  function show(changed) {
    if (first.value === second.value) {
      const other = changed === second ? first : second;
      other.value = (Number(other.value) + 1) % seeds;
    }
    const [a, b, column] = [first, second, place].map((input) => Number(input.value));
    const { sprite: file, ways } = generators[generator.value].operations[operation.value];
    const pair = a * (seeds - 1) + (b < a ? b : b - 1);
    const image = sprite(file);
    where.textContent = PLACE[operation.value](column / (places - 1));
    place.setAttribute("aria-valuetext", where.textContent);
    const names = Object.keys(ways);
    for (const [way, { figure, canvas, norm, verdict }] of Object.entries(panel)) {
      const row = names.indexOf(way);
      figure.classList.toggle("explorer-none", row < 0);
      if (row < 0) {
        norm.textContent = "SLERP is between two points: interpolation alone has one.";
        verdict.textContent = "";
        continue;
      }
      const length = ways[way].norms[pair][column].toFixed(2);
      const [ok, text] = ways[way].verdicts[column];
      norm.textContent = `Norm ${length} times the prior's`;
      verdict.textContent = `${ok ? "✓" : "✗"} ${text}`;
      canvas.setAttribute("aria-label", `Generated picture, ${way}: ${SAY[operation.value](a, b)}, ${where.textContent}; norm ${length}`);
      if (image.complete && image.naturalWidth) {
        const side = image.naturalWidth / places;
        canvas.width = canvas.height = side;
        canvas.getContext("2d").drawImage(image, column * side, (pair * names.length + row) * side, side, side, 0, 0, side, side);
      }
    }
  }

  show();
})();
