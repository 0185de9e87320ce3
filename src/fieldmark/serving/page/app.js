// The page: photos in, answers shown. What answers is `asker.js`: a server, or this browser itself.

import { TokenNeeded, open, setToken } from "./asker.js";
import { startCamera } from "./camera.js";
import { Card } from "./card.js";
import { Table } from "./table.js";

const MOST_CLASSES_NAMED = 6;
const at = (id) => document.getElementById(id);
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

const table = new Table(at("rows"));
const waiting = [];
const cards = new Set();
let asker = null;
let numAsked = 0;
let numDone = 0;
let numRunning = 0;
let pasted = 0;

async function start() {
  try {
    asker = await open();
  } catch (error) {
    if (error instanceof TokenNeeded) askForToken();
    else complain(error.message);
    return;
  }
  at("token").hidden = true;
  complain("");
  describe(asker.about);
  at("drop").hidden = false;
  work();
}

function describe(about) {
  document.title = `${about.name} – Fieldmark`;
  at("name").textContent = about.name;
  const names = about.classes;
  const isLong = names.length > MOST_CLASSES_NAMED;
  const said = isLong ? `${names.length.toLocaleString("en")} classes` : names.join(", ");
  at("what").textContent = isLong ? "" : `Tells apart: ${said}`;
  at("where").textContent = asker.where;
  // A model that takes photos as they are stored is shown them so: upright, they would mislead.
  at("cards").classList.toggle("as-stored", about.orientation === "stored");
  const list = at("classes");
  list.hidden = !isLong;
  list.querySelector("summary").textContent = `Tells apart ${said}`;
  list.querySelector("ul").replaceChildren(
    ...names.map((name) => Object.assign(document.createElement("li"), { textContent: name })),
  );
}

function complain(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
  if (text && !asker) at("name").textContent = "Fieldmark";
}

function askForToken() {
  at("name").textContent = "Fieldmark";
  at("token").hidden = false;
  at("token-text").focus();
}

function add(files) {
  const photos = [...files].filter((file) => file.size || file.type.startsWith("image/"));
  if (!photos.length) return;
  at("results").hidden = false;
  for (const file of photos) {
    const card = new Card(file);
    cards.add(card);
    at("cards").prepend(card.element);
    waiting.push(card);
    numAsked += 1;
  }
  tell();
  work();
}

function work() {
  while (asker && waiting.length && numRunning < asker.numAtOnce) {
    const card = waiting.shift();
    numRunning += 1;
    answer(card).finally(() => {
      numRunning -= 1;
      work();
    });
  }
}

async function answer(card) {
  let said;
  try {
    said = await asker.predict(card.file);
  } catch (error) {
    if (error instanceof TokenNeeded) {
      waiting.unshift(card);
      asker = null;
      askForToken();
      return;
    }
    said = { predicted: null, confidence: null, top: [], doubt: [], words: "", error: error.message };
  }
  if (!cards.has(card)) return;
  said = { ...said, name: card.name };
  card.show(said, asker);
  table.add(said);
  numDone += 1;
  tell();
}

function tell() {
  const left = numAsked - numDone;
  at("status").textContent = left
    ? `${numDone.toLocaleString("en")} of ${counted(numAsked, "photo")} answered`
    : counted(numDone, "photo");
  at("save").disabled = !numDone;
}

function clear() {
  for (const card of cards) card.release();
  cards.clear();
  waiting.length = 0;
  numAsked = numDone = 0;
  table.clear();
  at("cards").replaceChildren();
  at("results").hidden = true;
  at("choose").focus();
}

function listen() {
  at("choose").addEventListener("click", () => at("files").click());
  at("files").addEventListener("change", () => {
    add(at("files").files);
    at("files").value = "";
  });
  at("clear").addEventListener("click", clear);
  at("save").addEventListener("click", () => table.download(`${asker?.about.name ?? "answers"}.csv`));
  at("token").addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(at("token-text").value);
    at("token-text").value = "";
    start();
  });
  document.addEventListener("paste", (event) => add(named(event.clipboardData?.files ?? [])));
  listenForDrops();
  startCamera({ opener: at("use-camera"), dialog: at("camera"), onPhoto: (file) => add([file]) });
}

function listenForDrops() {
  let depth = 0;
  const mark = (change) => {
    depth = change === null ? 0 : Math.max(0, depth + change);
    at("drop").classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(null);
    add(event.dataTransfer.files);
  });
}

// Browsers call every pasted picture the same.
function named(files) {
  return [...files]
    .filter((file) => file.type.startsWith("image/"))
    .map((file) => new File([file], `pasted-${++pasted}.${file.type.split("/")[1]}`, { type: file.type }));
}

listen();
start();
