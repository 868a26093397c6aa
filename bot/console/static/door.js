// Signing in: an account of the team's chat, a name to choose, or a login code to come back with.

import { api } from "./api.js";
import { byId, hasWord, names, word } from "./dom.js";

export class Door {
  #code = false;

  /** enter(session) is called once somebody is in. */
  constructor(enter) {
    byId("sign-in").addEventListener("submit", async (event) => {
      event.preventDefault();
      await this.#try(enter);
    });
    byId("door-switch").addEventListener("click", () => {
      this.#code = !this.#code;
      this.#label();
      byId("door-input").value = "";
      if (this.#asks) byId("door-input").focus();
    });
    this.#returned();
  }

  /** Whether there is something to type: where names are not given out, only a login code. */
  get #asks() {
    return names || this.#code;
  }

  /** Back from another page without being signed in: say why, and keep it out of a reload and of bookmarks. */
  #returned() {
    const given = new URLSearchParams(location.search);
    const code = given.get("login");
    if (code === null) return;
    history.replaceState(null, "", location.pathname);
    const key = `error_${code}`;
    const at = `platform_${given.get("at")}`;
    const platform = word(hasWord(at) ? at : "platform_any");
    byId("door-error").textContent = word(hasWord(key) ? key : "error_login_misconfigured", { platform });
  }

  show() {
    byId("door").hidden = false;
    byId("room").hidden = true;
    if (this.#asks) byId("door-input").focus();
  }

  async #try(enter) {
    const value = byId("door-input").value;
    try {
      const session = await api.signIn(this.#code ? { login: value } : { name: value });
      this.#complain("");
      byId("door-input").value = "";
      byId("door").hidden = true;
      await enter(session);
    } catch (error) {
      this.#complain(error.message || word("offline"));
    }
  }

  #label() {
    byId("door-label").textContent = word(this.#code ? "code_label" : "name_label");
    byId("door-input").placeholder = word(this.#code ? "code_placeholder" : "name_placeholder");
    byId("door-switch").textContent = word(this.#code ? (names ? "have_name" : "have_neither") : "have_code");
    byId("door-hint").hidden = this.#code || !names;
    byId("door-own").hidden = !this.#asks;
    this.#complain("");
  }

  #complain(text) {
    byId("door-error").textContent = text;
    byId("door-input").setAttribute("aria-invalid", String(Boolean(text)));
  }
}
