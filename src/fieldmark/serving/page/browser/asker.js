// Answers from this browser itself: the model runs in a thread of its own, and no photo leaves the
// device. It stands in the place of the file of the same name that asks a server.

/** Never thrown here: a site without a server has no token. */
export class TokenNeeded extends Error {}

/** Nothing to be kept. */
export function setToken() {}

/** Open what answers, once its model is loaded. @returns {Promise<Asker>} */
export async function open() {
  const asker = new Asker(new Worker(new URL("worker.js", import.meta.url), { type: "module" }));
  asker.about = await asker.call("open");
  return asker;
}

class Asker {
  #worker;
  #waiting = new Map();
  #numCalls = 0;

  constructor(worker) {
    this.where = "Photos stay on this device: the model runs in your browser.";
    this.numAtOnce = 1;
    this.#worker = worker;
    worker.addEventListener("message", ({ data }) => this.#settle(data.call, data));
    worker.addEventListener("error", () => {
      const error = "The model could not be started in this browser. A current one is needed.";
      for (const call of this.#waiting.keys()) this.#settle(call, { error });
    });
  }

  /** Return the answer for a photo, in the keys of a server's `POST /predict`. */
  predict(file) {
    return this.call("predict", file);
  }

  /** Have the worker do something. */
  call(what, given) {
    const call = (this.#numCalls += 1);
    this.#worker.postMessage({ call, what, given });
    return new Promise((resolve, reject) => this.#waiting.set(call, { resolve, reject }));
  }

  #settle(call, { result, error }) {
    const { resolve, reject } = this.#waiting.get(call);
    this.#waiting.delete(call);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }
}
