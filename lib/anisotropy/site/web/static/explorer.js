"use strict";
// The explorer. Everything drawn comes from the page itself; text goes in as text.
(() => {
  const byId = (id) => document.getElementById(id);

  /* ---------- numbers and pictures ---------- */

  const data = JSON.parse(byId("explorer-data").textContent);
  const raw = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floats = (text) => new Float32Array(raw(text).buffer);
  const colours = Object.fromEntries(Object.entries(data.colours).map(([name, text]) => [name, raw(text)]));
  const RESPONSE = "response of untrained networks";

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function shape(tag, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // values (h x w) in a map of colours between low and high; NaN and null stay clear
  function draw(canvas, values, h, w, colour, low, high) {
    canvas.width = w;
    canvas.height = h;
    const picture = new ImageData(w, h);
    const table = colours[colour];
    for (let i = 0; i < h * w; i++) {
      const v = values[i];
      if (v === null || Number.isNaN(v)) continue;
      const step = Math.max(0, Math.min(255, Math.round((255 * (v - low)) / (high - low || 1))));
      picture.data.set([table[3 * step], table[3 * step + 1], table[3 * step + 2], 255], 4 * i);
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  // channels in red, green and blue where there are three, else side by side
  function drawDirection(canvas, values, [channels, h, w]) {
    let largest = 1e-30;
    for (const v of values) largest = Math.max(largest, Math.abs(v));
    if (channels === 3) {
      canvas.width = w;
      canvas.height = h;
      const picture = new ImageData(w, h);
      for (let i = 0; i < h * w; i++) {
        for (let c = 0; c < 3; c++) picture.data[4 * i + c] = 127.5 + (127.5 * values[c * h * w + i]) / largest;
        picture.data[4 * i + 3] = 255;
      }
      canvas.getContext("2d").putImageData(picture, 0, 0);
      return;
    }
    const beside = new Float32Array(channels * h * w);
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++) beside[y * channels * w + c * w + x] = values[(c * h + y) * w + x];
    draw(canvas, beside, h, channels * w, "PuOr", -largest, largest);
  }

  const tables = new Map();
  function waves(n) {
    if (!tables.has(n)) {
      const angle = Array.from({ length: n }, (_, i) => (2 * Math.PI * i) / n);
      tables.set(n, [Float64Array.from(angle, Math.cos), Float64Array.from(angle, Math.sin)]);
    }
    return tables.get(n);
  }

  // |discrete Fourier transform|^2, summed over channels, frequency 0 in the centre
  function spectrum(values, [channels, h, w]) {
    const energy = new Float64Array(h * w);
    const [cx, sx] = waves(w);
    const [cy, sy] = waves(h);
    const re = new Float64Array(h * w);
    const im = new Float64Array(h * w);
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < h; y++)
        for (let k = 0; k < w; k++) {
          let a = 0;
          let b = 0;
          for (let x = 0; x < w; x++) {
            const v = values[(c * h + y) * w + x];
            const t = (k * x) % w;
            a += v * cx[t];
            b -= v * sx[t];
          }
          re[y * w + k] = a;
          im[y * w + k] = b;
        }
      for (let l = 0; l < h; l++)
        for (let k = 0; k < w; k++) {
          let a = 0;
          let b = 0;
          for (let y = 0; y < h; y++) {
            const t = (l * y) % h;
            a += re[y * w + k] * cy[t] + im[y * w + k] * sy[t];
            b += im[y * w + k] * cy[t] - re[y * w + k] * sy[t];
          }
          const row = (l + (h >> 1)) % h;
          const column = (k + (w >> 1)) % w;
          energy[row * w + column] += a * a + b * b;
        }
    }
    return energy;
  }

  const percent = (v, digits = 1) => (100 * v).toFixed(digits);
  function power(v) {
    const [digits, exponent] = v.toExponential(2).split("e");
    const small = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
    return `${digits} × 10${[...String(Number(exponent))].map((c) => small[c]).join("")}`;
  }
  const nearest = (list, value) => list.reduce((best, v, i) => (Math.abs(v - value) < Math.abs(list[best] - value) ? i : best), 0);

  /* ---------- networks ---------- */

  function unpacked(packed) {
    const [channels, h, w] = packed.shape;
    const size = channels * h * w;
    const pixels = new Int8Array(raw(packed.pixels).buffer);
    const spectra = packed.spectra && raw(packed.spectra);
    return {
      ...packed,
      eigenvalues: floats(packed.eigenvalues),
      errors: packed.errors && floats(packed.errors),
      direction: (i) => pixels.subarray(i * size, (i + 1) * size),
      energy: (i) => (spectra ? spectra.subarray(i * h * w, (i + 1) * h * w) : spectrum(pixels.subarray(i * size, (i + 1) * size), packed.shape)),
    };
  }

  const networks = data.networks.map((n) => ({ ...n, nads: n.nads && unpacked(n.nads) }));
  if (!networks.length) return;
  byId("explorer-app").hidden = false;
  const inkless = (colour) => (colour === "#000000" ? "var(--ink)" : colour);
  const find = (key) => networks.find((n) => n.key === key) || null;
  const own = () => networks.filter((n) => n.nads && n.own);

  const twice = (list) => new Set(list.map((m) => m.label + "\n" + m.figure)).size > new Set(list.map((m) => m.label)).size;
  function sources(kind) {
    const all = networks.flatMap((n) => n[kind]);
    const long = twice(all);
    return [...new Map(all.map((m) => [m.label + "\n" + m.figure, long && m.figure ? `${m.label}: ${m.figure}` : m.label])).entries()];
  }
  const key = (m) => m.label + "\n" + m.figure;

  const state = { a: null, b: null, layer: null, curve: null, ky: 2, kx: 4, at: 0 };

  /* ---------- controls ---------- */

  const selects = { a: byId("net-a"), b: byId("net-b"), layer: byId("layer"), curve: byId("curve") };

  function options(select, entries, chosen) {
    select.replaceChildren(...entries.map(([value, text]) => element("option", { value }, text)));
    select.value = entries.some(([value]) => value === chosen) ? chosen : entries[0][0];
    return select.value;
  }

  function controls() {
    const names = networks.map((n) => [n.key, n.label]);
    state.a = options(selects.a, names, state.a);
    state.b = options(selects.b, [["", "no other"], ...names], state.b);
    const maps = sources("maps").map(([value, text]) => [value, `trained accuracy (${text})`]);
    const responses = networks.some((n) => n.nads && n.nads.response) ? [["", RESPONSE]] : [];
    state.layer = options(selects.layer, [...maps, ...responses, ...(maps.length || responses.length ? [] : [["", "none"]])], state.layer);
    const curves = sources("curves");
    state.curve = options(selects.curve, curves.length ? curves : [["", "none measured"]], state.curve);
  }

  for (const [name, select] of Object.entries(selects))
    select.addEventListener("change", () => {
      const index = steps()[state.at];
      state[name] = select.value;
      state.at = nearest(steps(), index);
      render();
    });

  /* ---------- maps over the frequencies ---------- */

  function layerOf(network) {
    const trained = network.maps.find((m) => key(m) === state.layer);
    if (trained) return { ...trained, kind: "accuracy" };
    const response = network.nads && network.nads.response;
    return response ? { ...response, kind: "response" } : null;
  }

  function valueAt(layer) {
    const row = nearest(layer.ky, state.ky);
    const column = nearest(layer.kx, state.kx);
    const i = row * layer.kx.length + column;
    return { row, column, value: layer.values[i], spread: layer.spread ? layer.spread[i] : null };
  }

  function said(layer) {
    const { value, spread, row, column } = valueAt(layer);
    if (value === null) return "not measured";
    if (layer.kind === "response") return `response ${value.toFixed(2)} × mean`;
    const here = layer.ky[row] === state.ky && layer.kx[column] === state.kx ? "" : ` at (${layer.ky[row]}, ${layer.kx[column]})`;
    if (spread !== null) return `accuracy ${percent(value)} ± ${percent(spread)} %${here}`;
    const sampling = layer.samples ? Math.sqrt((value * (1 - value)) / layer.samples) : null;
    return `accuracy ${percent(value)} ${sampling ? `± ${percent(sampling)} ` : ""}%${here}`;
  }

  function captionOf(layer, network) {
    if (layer.kind === "response") {
      const missing = state.layer ? "No trained map of this network here; shown instead: v" : "v";
      const part = layer.partial ? " Of the measured directions only." : "";
      return `${missing}ᵀCv of ${network.nads.how}, relative to the mean, logarithmic.${part}`;
    }
    const error = layer.n > 1 ? `± is the standard deviation over ${layer.n} seeds` : layer.samples ? "one network per frequency; ± is the sampling of the test set alone" : "one network per frequency, no spread measured";
    return `Test accuracy of trained networks, ${layer.label}; ${error}.`;
  }

  const mapWidgets = {};
  function mapWidget(side) {
    const title = element("p", { class: "side-title" });
    const canvas = element("canvas", { "aria-hidden": "true" });
    const cross = element("div", { class: "cross" });
    const frame = element("div", { class: "map-frame", tabindex: "0", role: "application", "aria-roledescription": "map of frequencies", "aria-describedby": "map-readout" }, canvas, cross);
    const axis = element("div", { class: "axis", "aria-hidden": "true" });
    const bar = element("canvas", { "aria-hidden": "true" });
    const low = element("span");
    const high = element("span");
    const caption = element("p", { class: "caption" });
    byId(`map-${side}`).replaceChildren(title, frame, axis, element("div", { class: "scale" }, low, bar, high), caption);
    const widget = { title, canvas, cross, frame, axis, bar, low, high, caption, layer: null };
    const point = (event) => {
      const box = frame.getBoundingClientRect();
      const { layer } = widget;
      if (!layer) return;
      const cell = (p, n) => Math.max(0, Math.min(n - 1, Math.floor(p * n)));
      move(layer.ky[cell((event.clientY - box.top) / box.height, layer.ky.length)], layer.kx[cell((event.clientX - box.left) / box.width, layer.kx.length)]);
    };
    frame.addEventListener("pointermove", point);
    frame.addEventListener("pointerdown", point);
    frame.addEventListener("keydown", (event) => {
      const { layer } = widget;
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!layer || (!step && event.key !== "Home")) return;
      event.preventDefault();
      if (event.key === "Home") return move(0, 0);
      const far = event.shiftKey ? 4 : 1;
      const next = (list, now, by) => list[Math.max(0, Math.min(list.length - 1, nearest(list, now) + far * by))];
      move(step[0] ? next(layer.ky, state.ky, step[0]) : state.ky, step[1] ? next(layer.kx, state.kx, step[1]) : state.kx);
    });
    return widget;
  }

  function move(ky, kx) {
    if (ky === state.ky && kx === state.kx) return;
    state.ky = ky;
    state.kx = kx;
    cursorOnMaps();
  }

  // one logarithmic scale for both, at most three decades
  function range(layers) {
    const values = layers.filter((l) => l && l.kind === "response").flatMap((l) => l.values).filter((v) => v > 0);
    const high = Math.max(...values, 2);
    return [Math.log10(Math.max(Math.min(...values, 0.5), high / 1000)), Math.log10(high)];
  }

  function renderMap(side, network, limits) {
    const widget = mapWidgets[side];
    byId(`map-${side}`).hidden = !network;
    widget.layer = network && layerOf(network);
    if (!network) return;
    widget.title.replaceChildren(element("span", { class: "swatch", style: `background: ${inkless(network.colour)}` }), network.label);
    const { layer } = widget;
    const h = layer ? layer.ky.length : 1;
    const w = layer ? layer.kx.length : 1;
    widget.canvas.style.aspectRatio = `${w} / ${h}`;
    widget.frame.setAttribute("aria-label", `Map of ${network.label} over the frequencies`);
    if (!layer) {
      draw(widget.canvas, [null], 1, 1, "magma", 0, 1);
      widget.caption.textContent = "Nothing measured over the frequencies for this network.";
      return;
    }
    if (layer.kind === "accuracy") {
      draw(widget.canvas, layer.values, h, w, "magma", 0.5, 1);
      widget.low.textContent = "50 %";
      widget.high.textContent = "100 %";
    } else {
      draw(widget.canvas, layer.values.map((v) => (v > 0 ? Math.log10(v) : -9)), h, w, "viridis", limits[0], limits[1]);
      widget.low.textContent = `${Number((10 ** limits[0]).toPrecision(1))} ×`;
      widget.high.textContent = `${Number((10 ** limits[1]).toPrecision(2))} ×`;
    }
    draw(widget.bar, Array.from({ length: 256 }, (_, i) => i), 1, 256, layer.kind === "accuracy" ? "magma" : "viridis", 0, 255);
    widget.axis.replaceChildren(element("span", {}, String(layer.kx[0])), element("span", { class: "axis-name" }, "horizontal frequency"), element("span", {}, String(layer.kx[w - 1])));
    widget.caption.textContent = captionOf(layer, network);
  }

  function cursorOnMaps() {
    const readout = [];
    let size = null;
    for (const side of ["a", "b"]) {
      const network = find(state[side]);
      const { layer, cross, frame } = mapWidgets[side];
      cross.hidden = !layer;
      if (!network || !layer) continue;
      const { row, column } = valueAt(layer);
      cross.style.left = `${(100 * column) / layer.kx.length}%`;
      cross.style.top = `${(100 * row) / layer.ky.length}%`;
      cross.style.width = `${100 / layer.kx.length}%`;
      cross.style.height = `${100 / layer.ky.length}%`;
      const text = said(layer);
      frame.setAttribute("aria-label", `Map of ${network.label} over the frequencies, at (${state.ky}, ${state.kx}): ${text}`);
      readout.push(element("dt", {}, network.label), element("dd", {}, text));
      size ||= network.nads && network.nads.size.slice(1);
    }
    const [h, w] = size && size[0] <= 64 && size[1] <= 64 ? size : [32, 32];
    const wave = new Float32Array(h * w);
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) wave[y * w + x] = Math.cos(2 * Math.PI * ((state.ky * y) / h + (state.kx * x) / w));
    const canvas = byId("wave");
    draw(canvas, wave, h, w, "PuOr", -1, 1);
    canvas.setAttribute("aria-label", `The direction: a cosine with ${state.ky} periods down and ${state.kx} across`);
    byId("map-readout").replaceChildren(
      element("strong", {}, `frequency (${state.ky}, ${state.kx})`),
      element("div", { class: "quiet" }, `${Math.abs(state.ky)} periods down, ${Math.abs(state.kx)} across`),
      element("dl", { class: "readout" }, ...readout),
    );
  }

  /* ---------- along the NADs ---------- */

  function steps() {
    const shown = [find(state.a), find(state.b)].filter((n) => n && n.nads);
    const all = [...new Set(shown.flatMap((n) => n.nads.indices))].sort((x, y) => x - y);
    return all.length ? all : [0];
  }

  const curveOf = (network) => network.curves.find((c) => key(c) === state.curve) || null;

  const nadWidgets = {};
  function nadWidget(side) {
    const title = element("p", { class: "side-title" });
    const pixels = element("canvas", { role: "img" });
    const fourier = element("canvas", { role: "img" });
    const readout = element("dl", { class: "readout" });
    const caption = element("p", { class: "caption" });
    const pictures = element("div", { class: "pictures" }, element("figure", {}, pixels, element("figcaption", {}, "in pixels")), element("figure", {}, fourier, element("figcaption", {}, "in the Fourier domain")));
    byId(`nad-${side}`).replaceChildren(title, pictures, readout, caption);
    return { title, pictures, pixels, fourier, readout, caption };
  }

  function accuracyAt(curve, index) {
    const i = nearest(curve.index, index);
    if (curve.mean[i] === null) return "not measured";
    const spread = curve.spread && curve.spread[i] !== null ? ` ± ${percent(curve.spread[i])}` : "";
    const where = curve.index[i] === index ? "" : `, measured at NAD ${curve.index[i]}`;
    const seeds = curve.n > 1 ? `${curve.n} seeds` : "one seed";
    return `${percent(curve.mean[i])}${spread} % (${seeds}${where})`;
  }

  function renderNad(side, network, index) {
    const widget = nadWidgets[side];
    byId(`nad-${side}`).hidden = !network;
    if (!network) return;
    widget.title.replaceChildren(element("span", { class: "swatch", style: `background: ${inkless(network.colour)}` }), network.label);
    const { nads } = network;
    widget.pictures.hidden = !nads;
    const entries = [];
    if (nads) {
      const i = nearest(nads.indices, index);
      const shown = nads.indices[i];
      const [, h, w] = nads.shape;
      drawDirection(widget.pixels, nads.direction(i), nads.shape);
      const energy = nads.energy(i);
      draw(widget.fourier, energy, h, w, "magma", 0, Math.max(...energy));
      widget.pixels.setAttribute("aria-label", `NAD ${shown} of ${network.label} in pixels`);
      widget.fourier.setAttribute("aria-label", `Energy of NAD ${shown} of ${network.label} over the frequencies, 0 in the centre`);
      const error = nads.errors && Number.isFinite(nads.errors[shown]) ? ` ± ${Math.round((100 * nads.errors[shown]) / nads.eigenvalues[shown])} %` : "";
      entries.push(["direction", `NAD ${shown} of ${nads.total}`], ["eigenvalue", `${power(nads.eigenvalues[shown])}${error}`]);
    }
    const curve = curveOf(network);
    entries.push(["accuracy", curve ? accuracyAt(curve, index) : "not measured in these results"]);
    widget.readout.replaceChildren(...entries.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
    const block = nads && nads.block > 1 ? ` Pictures of ${nads.size[1]} × ${nads.size[2]} pixels, averaged over blocks of about ${nads.block} × ${nads.block}.` : "";
    widget.caption.textContent = nads ? `From ${nads.how}.${block}` : "No NADs of this network here.";
  }

  function chart(holder, series, { logarithmic, index, last, empty, describe }) {
    if (!series.length) {
      holder.replaceChildren(element("p", { class: "caption" }, empty));
      return;
    }
    const width = Math.max(holder.clientWidth, 240);
    const height = 210;
    const left = 38;
    const right = 22;
    const bottom = 24;
    const top = 8;
    const x = (i) => left + 8 + ((width - left - 8 - right) * Math.log1p(i)) / Math.log1p(last);
    const values = series.flatMap((s) => s.y.flatMap((v, i) => (v === null ? [] : [v - (s.error ? s.error[i] || 0 : 0), v + (s.error ? s.error[i] || 0 : 0)]))).filter((v) => !logarithmic || v > 0);
    let low = Math.min(...values);
    let high = Math.max(...values);
    if (logarithmic) {
      high = Math.log10(high) + 0.1;
      low = Math.min(Math.max(Math.log10(low) - 0.1, high - 6), high - 1.2);
    } else {
      low = low > 0.48 ? 0.45 : 0;
      high = 1.02;
    }
    const scaled = (v) => (logarithmic ? Math.log10(Math.max(v, 10 ** low)) : v);
    const y = (v) => top + ((height - bottom - top) * (high - Math.max(low, Math.min(high, scaled(v))))) / (high - low);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe });
    const ticks = logarithmic ? Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, i) => 10 ** (Math.ceil(low) + i)) : [0, 0.25, 0.5, 0.75, 1].filter((t) => t >= low);
    for (const tick of ticks) {
      svg.append(shape("line", { class: "grid", x1: left, x2: width - right + 6, y1: y(tick), y2: y(tick) }));
      svg.append(shape("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, logarithmic ? (tick === 1 ? "1" : `10${power(tick).split("10").pop()}`) : String(Math.round(100 * tick))));
    }
    for (const tick of [0, 1, 3, 10, 30, 100, 300, 1000].filter((t) => t <= last)) svg.append(shape("text", { x: x(tick), y: height - 6, "text-anchor": "middle" }, String(tick)));
    svg.append(shape("line", { class: "cursor", x1: x(index), x2: x(index), y1: top, y2: height - bottom }));
    for (const s of series) {
      const points = s.x.map((i, n) => [x(i), s.y[n] === null ? null : y(s.y[n]), n]).filter((p) => p[1] !== null);
      if (s.error)
        for (const [px, , n] of points) if (s.error[n]) svg.append(shape("line", { x1: px, x2: px, y1: y(s.y[n] - s.error[n]), y2: y(s.y[n] + s.error[n]), style: `stroke: ${s.colour}; stroke-width: 1.6` }));
      svg.append(shape("polyline", { points: points.map((p) => `${p[0].toFixed(1)},${p[1].toFixed(1)}`).join(" "), fill: "none", style: `stroke: ${s.colour}; stroke-width: 1.8; stroke-linejoin: round`, ...(s.dashed ? { "stroke-dasharray": "6 4" } : {}) }));
      if (s.marks) for (const [px, py] of points) svg.append(shape("circle", { cx: px, cy: py, r: 3, style: `fill: ${s.colour}` }));
    }
    const to = (event) => {
      const box = svg.getBoundingClientRect();
      const part = (((event.clientX - box.left) / box.width) * width - left - 8) / (width - left - 8 - right);
      walk(nearest(steps(), Math.expm1(Math.max(0, Math.min(1, part)) * Math.log1p(last))));
    };
    svg.addEventListener("click", to);
    const legend = series.map((s) => element("span", {}, element("i", { class: s.dashed ? "dashed" : "", style: `color: ${s.colour}` }), s.label));
    holder.replaceChildren(svg, element("div", { class: "legend" }, ...legend));
  }

  function renderCharts(shown, index) {
    const eigen = [];
    const accuracy = [];
    shown.forEach((network, number) => {
      const colour = inkless(network.colour);
      if (network.nads) {
        const values = network.nads.eigenvalues;
        const thin = Array.from(values.keys()).filter((i) => i < 64 || i % 8 === 0 || i === values.length - 1);
        eigen.push({ label: network.label, colour, dashed: number === 1, x: thin, y: thin.map((i) => values[i] / values[0]), error: network.nads.errors && thin.map((i) => (i < 64 && Number.isFinite(network.nads.errors[i]) ? network.nads.errors[i] / values[0] : 0)) });
      }
      const curve = curveOf(network);
      if (curve) accuracy.push({ label: network.label, colour, dashed: number === 1, marks: true, x: curve.index, y: curve.mean, error: curve.spread });
    });
    const names = shown.map((n) => n.label).join(" and ");
    const last = Math.max(...steps(), ...accuracy.flatMap((s) => s.x), 1);
    chart(byId("chart-eigenvalues"), eigen, { logarithmic: true, index, last, empty: "No NADs of these networks here.", describe: `Eigenvalues of ${names} against the index, falling` });
    chart(byId("chart-accuracy"), accuracy, {
      logarithmic: false,
      index,
      last,
      empty: "Not measured for these networks in the results of this page. The notebook 04_accuracy_along_nads measures it.",
      describe: `Trained accuracy of ${names} against the index of the NAD`,
    });
  }

  const slider = byId("index");
  function walk(at) {
    const all = steps();
    state.at = Math.max(0, Math.min(all.length - 1, at));
    renderNads();
  }
  slider.addEventListener("input", () => walk(Number(slider.value)));
  byId("previous").addEventListener("click", () => walk(state.at - 1));
  byId("next").addEventListener("click", () => walk(state.at + 1));

  function renderNads() {
    const all = steps();
    const index = all[state.at];
    slider.max = all.length - 1;
    slider.value = state.at;
    slider.setAttribute("aria-valuetext", `NAD ${index}`);
    byId("index-shown").textContent = `NAD ${index}`;
    const [a, b] = [find(state.a), find(state.b)];
    renderNad("a", a, index);
    renderNad("b", b, index);
    renderCharts([a, b].filter(Boolean), index);
  }

  function render() {
    const [a, b] = [find(state.a), find(state.b)];
    for (const holder of document.querySelectorAll(".maps, .nads")) holder.classList.toggle("single", !b);
    const limits = range([a, b].filter(Boolean).map(layerOf));
    renderMap("a", a, limits);
    renderMap("b", b, limits);
    cursorOnMaps();
    state.at = Math.min(state.at, steps().length - 1);
    renderNads();
  }

  /* ---------- NADs from the reader's disk: read here, sent nowhere ---------- */

  function opened(buffer, name) {
    const view = new DataView(buffer);
    const length = Number(view.getBigUint64(0, true));
    if (!(length > 0 && length < buffer.byteLength)) throw new Error("its header is missing");
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    const tensor = (key) => {
      const { dtype, shape: sizes, data_offsets: [from, to] } = header[key];
      const kind = { F32: Float32Array, F64: Float64Array }[dtype];
      const count = sizes.reduce((x, y) => x * y, 1);
      if (!kind || to - from !== count * kind.BYTES_PER_ELEMENT || 8 + length + to > buffer.byteLength) throw new Error(`${key} is cut short or of another type`);
      return [new kind(buffer.slice(8 + length + from, 8 + length + to)), sizes];
    };
    if (!header.directions || !header.eigenvalues || !header.__metadata__) throw new Error("it holds no directions and eigenvalues");
    const [pixels, sizes] = tensor("directions");
    const [eigenvalues] = tensor("eigenvalues");
    const [total, channels, h, w] = sizes;
    if (sizes.length !== 4 || eigenvalues.length !== total || !total) throw new Error("its directions are not of shape (k, C, H, W)");
    if (h > 64 || w > 64) throw new Error("pictures of more than 64 pixels a side: use python -m anisotropy report --nads");
    const known = JSON.parse(header.__metadata__.anisotropy || "{}");
    const size = channels * h * w;
    const direction = (i) => pixels.subarray(i * size, (i + 1) * size);
    const settings = known.settings || {};
    const response = new Float64Array(h * w);
    for (let i = 0; i < total; i++) {
      const grey = new Float32Array(h * w);
      for (let c = 0; c < channels; c++) for (let p = 0; p < h * w; p++) grey[p] += pixels[i * size + c * h * w + p];
      spectrum(grey, [1, h, w]).forEach((e, p) => (response[p] += (eigenvalues[i] * e) / size));
    }
    const mean = eigenvalues.reduce((s, v) => s + v, 0) / size;
    const errors = header.eigenvalue_errors ? tensor("eigenvalue_errors")[0] : null;
    const title = `${(settings.architecture && settings.architecture.name) || "network"} (${name})`;
    return {
      key: title, label: title, colour: ["#D55E00", "#56B4E9", "#8C6BB1"][own().length % 3], own: true, maps: [], curves: [],
      nads: {
        shape: [channels, h, w], size: [channels, h, w], block: 1, total, indices: Array.from({ length: total }, (_, i) => i), eigenvalues, errors, direction,
        energy: (i) => spectrum(direction(i), [channels, h, w]),
        how: `${Number(known.networks) || "?"} untrained networks, ${String(settings.method || "method not recorded")}`,
        response: { ky: Array.from({ length: h }, (_, i) => i - (h >> 1)), kx: Array.from({ length: w }, (_, i) => i - (w >> 1)), values: Array.from(response, (v) => v / mean), partial: total < size },
      },
    };
  }

  byId("own").addEventListener("change", async () => {
    const [file] = byId("own").files;
    if (!file) return;
    try {
      const network = opened(await file.arrayBuffer(), file.name);
      if (!find(network.key)) networks.push(network);
      state.a = network.key;
      controls();
      render();
      byId("own-said").textContent = `${network.label} is shown. The file stayed on this computer.`;
    } catch (error) {
      byId("own-said").textContent = `${file.name} is not a file that Nads.save wrote, or it is damaged: ${error.message}`;
    }
  });

  /* ---------- begin ---------- */

  // The reader's own come first: networks, then sweeps; else LeNet beside ResNet-18, with the largest results there are.
  const mine = networks.filter((n) => n.own);
  const swept = networks.filter((n) => !n.own && [...n.maps, ...n.curves].some((m) => m.own));
  const begin = [...mine, ...swept, ...["lenet", "resnet18"].map(find), ...networks].filter((n, i, all) => n && all.indexOf(n) === i);
  state.a = begin[0].key;
  state.b = begin.length > 1 ? begin[1].key : "";
  const first = (kind) => {
    const own = networks.flatMap((n) => n[kind]).filter((m) => m.own).pop();
    if (own) return key(own);
    if (mine.length && kind === "maps") return "";
    const all = [begin[0], find("lenet")].map((n) => (n ? n[kind] : [])).find((list) => list.length) || [];
    const chosen = all.find((m) => m.preset === all[all.length - 1].preset);
    return chosen ? key(chosen) : "";
  };
  state.layer = first("maps");
  state.curve = first("curves");
  for (const side of ["a", "b"]) {
    mapWidgets[side] = mapWidget(side);
    nadWidgets[side] = nadWidget(side);
  }
  controls();
  render();
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(renderNads);
  });
})();
