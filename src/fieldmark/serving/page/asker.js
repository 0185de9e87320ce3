// Answers from the server that this page comes from. In an exported site, where there is no server,
// the file of the same name in `browser/` stands in its place.

const TOKEN = "fieldmark-token";
const MOST_TRIES = 8;
const LONGEST_WAIT_S = 30;

/** The server wants a token, or another one. */
export class TokenNeeded extends Error {}

/** Open what answers. @returns {Promise<Asker>} */
export async function open() {
  takeTokenFromAddress();
  const response = await ask("about");
  return new Asker(await response.json());
}

/** Remember a token until this tab is closed. */
export function setToken(text) {
  sessionStorage.setItem(TOKEN, text.trim());
}

class Asker {
  constructor(about) {
    this.about = about;
    this.where = "Photos are sent to this server and to nobody else, and it keeps none of them.";
    this.numAtOnce = 3;
  }

  /** Return the answer for a photo, in the keys of `POST /predict`; it throws where there is none. */
  async predict(file) {
    this.#check(file);
    const response = await ask("predict?top_k=5", file);
    return (await response.json()).photos[0];
  }

  /** Return a picture (Blob) of the photo under the evidence for a class. */
  async explain(file, className) {
    const response = await ask(`explain?class=${encodeURIComponent(className)}`, file);
    return response.blob();
  }

  /** Return [{class, similarity, thumbnail}] of training photos. */
  async nearest(file) {
    const response = await ask("nearest?most=6", file);
    return (await response.json()).photos;
  }

  #check(file) {
    const most = this.about.limits.max_body_bytes;
    if (file.size > most) {
      throw new Error(
        `it has ${inMegabytes(file.size)}, and this server takes ${inMegabytes(most)} at most`,
      );
    }
  }
}

function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    setToken(given);
    // Out of the address, so that it gets into no bookmark and no screenshot.
    history.replaceState(null, "", location.pathname + location.search);
  }
}

async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/octet-stream";
  for (let attempt = 1; ; attempt++) {
    const response = await send(path, { method: body ? "POST" : "GET", headers, body });
    if (response.ok) return response;
    if (response.status === 401) throw new TokenNeeded();
    if (response.status !== 503 || attempt === MOST_TRIES) throw new Error(await reasonOf(response));
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await new Promise((go) => setTimeout(go, 1000 * Math.min(seconds, LONGEST_WAIT_S)));
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
}

async function reasonOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `The server answered with status ${response.status}.`;
  }
}

function inMegabytes(numBytes) {
  return `${(numBytes / 2 ** 20).toFixed(1)} MB`;
}
