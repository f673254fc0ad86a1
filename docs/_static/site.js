"use strict";
// Pages that are opened from disk may not read each other: search shows titles alone there.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// The ledger: rows that hold all words, of the chosen paper and verdict.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("ledger-filter");
  if (!form) return;
  const [words, paper, verdict] = ["words", "paper", "verdict"].map((name) => document.getElementById(`ledger-${name}`));
  const rows = [...document.querySelectorAll("#ledger tbody tr")];
  const texts = rows.map((row) => `${row.textContent} ${row.dataset.key}`.toLowerCase());
  const update = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, i) => {
      row.hidden =
        (paper.value && row.dataset.paper !== paper.value) ||
        (verdict.value && row.dataset.verdict !== verdict.value) ||
        !wanted.every((word) => texts[i].includes(word));
    });
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("ledger-count").textContent = `${shown} of ${rows.length} claims`;
  };
  form.addEventListener("input", update);
  update();
});
