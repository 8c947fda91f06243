"use strict";
// The filter of a table of verdicts: without scripts the table is there as a whole.
(() => {
  const filter = document.querySelector(".filter");
  if (!filter) return;
  filter.hidden = false;
  const rows = [...document.querySelectorAll("tr[data-verdicts]")];
  filter.addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    for (const button of filter.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === chosen));
    const kind = chosen.dataset.show;
    let count = 0;
    for (const row of rows) {
      row.hidden = kind !== "all" && !row.dataset.verdicts.split(" ").includes(kind);
      count += row.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll(".claims-of")) group.hidden = !group.querySelector("tr[data-verdicts]:not([hidden])");
    document.getElementById("filter-count").textContent = kind === "all" ? "" : `${count} of ${rows.length}`;
  });
})();
