// One server-sent stream. The browser reconnects after a cut; after a refusal (a proxy's 502) we do it ourselves.

const WAIT = [1000, 2000, 4000, 8000, 15000]; // ms between our own tries

export class Stream {
  #source = null;
  #tries = 0;
  #timer = null;

  /** handlers: {ready, lost, message, progress, preview, delta} */
  constructor(handlers) {
    this.handlers = handlers;
  }

  open() {
    this.close();
    const source = new EventSource("/api/stream");
    this.#source = source;
    source.addEventListener("ready", () => {
      this.#tries = 0;
      this.handlers.ready();
    });
    for (const name of ["message", "progress", "preview", "delta"]) {
      source.addEventListener(name, (event) => this.handlers[name](JSON.parse(event.data)));
    }
    source.onerror = () => {
      if (source !== this.#source) return;
      this.handlers.lost(source.readyState === EventSource.CLOSED);
      if (source.readyState === EventSource.CLOSED) this.#again();
    };
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #again() {
    const wait = WAIT[Math.min(this.#tries, WAIT.length - 1)];
    this.#tries += 1;
    this.#timer = setTimeout(() => this.open(), wait);
  }
}
