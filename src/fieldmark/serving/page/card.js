// One photo and what is said of it. Names come from folders and files, so they are set as text only.

const PHOTO = "the photo";

/** A card of the list of answers. */
export class Card {
  #urls = [];
  #picture;
  #body;
  #asker;

  constructor(file) {
    this.file = file;
    this.name = file.name;
    this.element = make("li", { className: "card photo" });
    this.#picture = make("img", { alt: `Photo ${file.name}`, decoding: "async" });
    this.#picture.addEventListener("error", () => this.#withoutPicture());
    this.#picture.src = this.#url(file);
    const frame = make("div", { className: "frame" }, [this.#picture]);
    this.#body = make("div", { className: "said" }, [
      make("p", { className: "path", textContent: file.name }),
      make("p", { className: "muted waits", textContent: "Waiting" }),
    ]);
    this.element.append(frame, this.#body);
  }

  /** Show an answer, in the keys of `POST /predict`; `asker` is what more is asked of. */
  show(said, asker) {
    this.#asker = asker;
    this.#body.querySelector(".waits").remove();
    if (said.error) {
      this.element.classList.add("bad");
      this.#body.append(make("p", { className: "error", textContent: sentence(said.error) }));
      return;
    }
    const answer = make("h2", {}, [
      make("span", { textContent: said.predicted }),
      " ",
      make("span", { className: "share", textContent: percent(said.confidence) }),
    ]);
    this.#body.append(answer);
    if (said.words) {
      this.#body.append(make("p", { className: "words", textContent: sentence(said.words) }));
    }
    this.#body.append(bars(said));
    const { can_explain: canExplain, can_show_nearest: canShowNearest } = asker.about;
    if (canExplain) this.#body.append(this.#evidence(said));
    if (canShowNearest) this.#body.append(this.#nearest());
  }

  /** Give back what the browser keeps for this photo. */
  release() {
    for (const url of this.#urls) URL.revokeObjectURL(url);
  }

  #url(blob) {
    const url = URL.createObjectURL(blob);
    this.#urls.push(url);
    return url;
  }

  #withoutPicture() {
    const text = "This browser cannot show it";
    this.#picture.replaceWith(make("p", { className: "no-photo", textContent: text }));
  }

  #evidence(said) {
    const choice = make("select");
    choice.append(new Option(PHOTO, ""));
    for (const one of said.top) choice.append(new Option(`evidence for ${one.class}`, one.class));
    const trouble = make("span", { className: "error", role: "status" });
    const drawn = new Map([["", this.#picture.src]]);
    choice.addEventListener("change", async () => {
      const wanted = choice.value;
      trouble.textContent = "";
      try {
        if (!drawn.has(wanted)) {
          this.element.ariaBusy = "true";
          drawn.set(wanted, this.#url(await this.#asker.explain(this.file, wanted)));
        }
        if (choice.value !== wanted) return;
        this.#picture.src = drawn.get(wanted);
        this.#picture.alt = wanted
          ? `Photo ${this.name} with the evidence for ${wanted} in colours`
          : `Photo ${this.name}`;
      } catch (error) {
        trouble.textContent = error.message;
      } finally {
        this.element.ariaBusy = "false";
      }
    });
    return make("p", { className: "evidence" }, [make("label", {}, ["Show ", choice]), " ", trouble]);
  }

  #nearest() {
    const list = make("ul", { className: "near" });
    const summary = make("summary", { textContent: "Training photos like it" });
    const details = make("details", {}, [summary, list]);
    const load = async () => {
      try {
        const photos = await this.#asker.nearest(this.file);
        list.replaceChildren(...photos.map(nearPhoto));
      } catch (error) {
        list.replaceChildren(make("li", { className: "error", textContent: error.message }));
      }
    };
    details.addEventListener("toggle", load, { once: true });
    return details;
  }
}

function bars(said) {
  const isDoubted = new Set(said.doubt);
  const rows = said.top.map((one) => {
    const bar = make("span", { className: "bar", ariaHidden: "true" });
    bar.style.setProperty("--share", one.confidence);
    const row = make("li", {}, [
      make("span", { className: "name", textContent: one.class, title: one.class }),
      bar,
      make("span", { className: "num", textContent: percent(one.confidence) }),
    ]);
    row.classList.toggle("doubted", isDoubted.has(one.class));
    return row;
  });
  return make("ol", { className: "bars", ariaLabel: "The likeliest classes" }, rows);
}

function nearPhoto(one) {
  const caption = make("span", { textContent: one.class });
  const picture = make("img", { alt: "" });
  // Nothing but a picture in the address itself: no photo is fetched from anywhere.
  if (one.thumbnail.startsWith("data:image/")) picture.src = one.thumbnail;
  return make("li", {}, [picture, caption]);
}

/** Return a confidence in words: "96.2 %". */
export function percent(share) {
  const text = (100 * share).toFixed(1);
  // 99.96 % is not certain, and 0.04 % not impossible.
  if (text === "100.0") return share < 1 ? "over 99.9 %" : "100 %";
  return text === "0.0" ? "under 0.1 %" : `${text} %`;
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function make(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
