// What the pages cannot do without a script: passkeys and security keys, and showing a typed password.
// Kratos' own script brings the functions; the nodes only name them, so no inline handler is needed.
"use strict";
(() => {
  const call = (name, options) => {
    // Kratos before 2024 has them with two underscores only.
    const run = window[name] || window["__" + name];
    if (typeof run !== "function") return;
    if (options) run(JSON.parse(options));
    else run();
  };

  for (const button of document.querySelectorAll("button[data-click]")) {
    button.addEventListener("click", () => call(button.dataset.click, button.dataset.clickOptions));
  }

  // Kratos' script is asynchronous; the page has loaded only when it has, too.
  window.addEventListener("load", () => {
    for (const node of document.querySelectorAll("[data-load]")) call(node.dataset.load, node.dataset.loadOptions);
  });

  // Enter in a form whose only button calls a script means that button.
  for (const form of document.querySelectorAll("form")) {
    const button = form.querySelector("button[data-click]");
    if (!button || form.querySelector("button[type=submit]")) continue;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      button.click();
    });
  }

  for (const input of document.querySelectorAll("input[type=password]")) {
    const reveal = document.createElement("button");
    reveal.type = "button";
    reveal.className = "reveal";
    const show = (shown) => {
      input.type = shown ? "text" : "password";
      reveal.textContent = shown ? "Hide" : "Show";
      reveal.setAttribute("aria-label", shown ? "Hide password" : "Show password");
    };
    show(false);
    reveal.addEventListener("click", () => show(input.type === "password"));
    // Never leave it readable for the browser's form history.
    if (input.form) input.form.addEventListener("submit", () => show(false));
    const box = document.createElement("div");
    box.className = "password";
    input.replaceWith(box);
    box.append(input, reveal);
    if (input.autofocus) input.focus();
  }
})();
