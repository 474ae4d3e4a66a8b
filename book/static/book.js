// Tables that sort, and the meaning of a glossary's term beside its link. No dependencies.
(() => {
  "use strict";

  /** The number in a cell, or NaN. "1,234", "-0.5", "12 %" and ".3 [.2, .4]" are numbers. */
  const numberIn = (text) => {
    const found = text.trim().replaceAll(",", "").replace("−", "-").match(/^[+-]?(\d+\.?\d*|\.\d+)/);
    return found ? Number(found[0]) : NaN;
  };

  /** Order of two texts: numbers by value, before texts; empty cells last. */
  const compare = (a, b) => {
    const [x, y] = [numberIn(a), numberIn(b)];
    if (!a.trim() || !b.trim()) return Boolean(!a.trim()) - Boolean(!b.trim());
    if (Number.isNaN(x) || Number.isNaN(y)) {
      return Number.isNaN(x) - Number.isNaN(y) || a.localeCompare(b);
    }
    return x - y;
  };

  const sortBy = (table, column, direction) => {
    const body = table.tBodies[0];
    const text = (row) => row.cells[column]?.textContent ?? "";
    const empty = (row) => !text(row).trim();
    const rows = [...body.rows].sort(
      (a, b) => empty(a) - empty(b) || direction * compare(text(a), text(b)),
    );
    body.append(...rows);
  };

  const makeSortable = (table) => {
    const headings = [...(table.tHead?.rows[0]?.cells ?? [])];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => {
        const ascending = heading.getAttribute("aria-sort") !== "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sortBy(table, column, ascending ? 1 : -1);
      });
      heading.append(button);
    });
  };

  /** Show the meaning of a term while its link has the pointer or the focus; Escape hides it. */
  const addMeaning = (link, number) => {
    const meaning = (window.TERMS ?? {})[link.hash.slice(1)];
    if (!meaning) return;
    const box = document.createElement("span");
    box.className = "meaning";
    box.id = `meaning-${number}`;
    box.role = "tooltip";
    box.textContent = meaning;
    box.hidden = true;
    link.classList.add("term");
    link.setAttribute("aria-describedby", box.id);
    const around = document.createElement("span");
    around.className = "term-around";
    link.replaceWith(around);
    around.append(link, box);
    const show = (visible) => () => { box.hidden = !visible; };
    around.addEventListener("mouseenter", show(true));
    around.addEventListener("mouseleave", show(false));
    link.addEventListener("focus", show(true));
    link.addEventListener("blur", show(false));
    around.addEventListener("keydown", (event) => {
      if (event.key === "Escape") box.hidden = true;
    });
  };

  /** What scrolls sideways must be reachable by keyboard. */
  const reachable = () => {
    document.querySelectorAll("pre, .output, .pst-scrollable-table-container").forEach((part) => {
      if (part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight) {
        part.tabIndex = 0;
      }
    });
  };

  document.querySelectorAll("table.sortable, .sortable table").forEach(makeSortable);
  document.querySelectorAll('a[href*="#term-"]').forEach((link, number) => {
    if (link.closest("article")) addMeaning(link, number);
  });
  reachable();
})();
