// Runs before the first paint, so that a dark page never flashes white. Classic script on purpose: modules wait.
(() => {
  const KEY = "moqi.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const PAPER = { light: "#f7f4ee", dark: "#161514" };

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off: the choice lasts as long as the page
    }
  }

  let choice = stored() || root.dataset.defaultTheme || "auto";

  function apply() {
    const theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    root.dataset.theme = theme;
    document.querySelector('meta[name="theme-color"]').content = PAPER[theme];
  }

  system.addEventListener("change", apply);
  apply();

  window.moqiTheme = {
    get choice() {
      return choice;
    },
    next() {
      const order = ["auto", "light", "dark"];
      choice = order[(order.indexOf(choice) + 1) % order.length];
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // as above
      }
      apply();
      return choice;
    },
  };
})();
