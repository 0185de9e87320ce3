// The answers so far, as a table on the page and as a file.

import { percent } from "./card.js";

const COLUMNS = ["path", "set", "abstained", "unfamiliarity", "is_unfamiliar", "error"];
const SET_SEPARATOR = "|";
const MOST_ROWS_SHOWN = 1000;

/** Every answer since the last `clear`; the page shows the first thousand, the file has them all. */
export class Table {
  #body;
  #answers = [];

  constructor(body) {
    this.#body = body;
  }

  /** Add an answer, in the keys of `POST /predict`. */
  add(said) {
    this.#answers.push(said);
    if (this.#answers.length > MOST_ROWS_SHOWN) return;
    const row = this.#body.insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = said.name;
    row.append(name);
    row.insertCell().textContent = said.predicted ?? "";
    const share = row.insertCell();
    share.className = "num";
    share.textContent = said.error ? "" : percent(said.confidence);
    row.insertCell().textContent = said.error ?? said.words;
  }

  /** Forget all. */
  clear() {
    this.#answers = [];
    this.#body.replaceChildren();
  }

  /** Hand the answers to the browser as a CSV file: the columns of `fieldmark predict`. */
  download(name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(this.#answers)], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

/** Return answers as CSV (RFC 4180, lines that end in LF). */
export function csvOf(answers) {
  const width = Math.max(1, ...answers.map((said) => said.top.length));
  const ranks = Array.from({ length: width }, (_, index) => index + 1);
  const classes = ranks.flatMap((rank) => [`class_${rank}`, `confidence_${rank}`]);
  const header = [COLUMNS[0], ...classes, ...COLUMNS.slice(1)];
  const rows = answers.map((said) => [
    said.name,
    ...ranks.flatMap((rank) => {
      const one = said.top[rank - 1];
      return one ? [one.class, one.confidence] : ["", ""];
    }),
    (said.set ?? []).join(SET_SEPARATOR),
    said.abstained ?? "",
    said.unfamiliarity ?? "",
    said.is_unfamiliar ?? "",
    said.error ?? "",
  ]);
  return [header, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function cell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
