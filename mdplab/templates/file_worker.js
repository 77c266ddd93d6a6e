// Browsers start no workers from pages on the disk. There, a worker is played by a hidden frame of its own that runs the same script.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #ready;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      this.#ready = new Promise((resolve, reject) => {
        const begin = () => {
          document.body.append(this.#frame);
          const room = this.#frame.contentWindow;
          room.postMessage = data => this.#hear(data);
          room.importScripts = (...scripts) => scripts.forEach(source => room.document.write(`<script src="${new URL(source, url)}"><\/script>`));
          const script = room.document.createElement("script");
          script.src = new URL(url, location.href);
          script.onload = () => resolve(room);
          script.onerror = () => reject(new Error(`no script at ${url}`));
          room.document.body.append(script);
        };
        document.body ? begin() : addEventListener("DOMContentLoaded", begin);
      });
    }

    #hear(data) {
      const message = new MessageEvent("message", { data });
      this.onmessage?.(message);
      this.dispatchEvent(message);
    }

    postMessage(data) {
      this.#ready.then(room => room.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
