// When a part of a page is loaded anew, what the reader looks at stays where it is on the screen: rows above it may have
// grown or gone. Looked at is what has the focus, if that is on the screen, or else the first thing there that has an id.
(() => {
  "use strict";
  let place = null;

  const top = (element) => element.getBoundingClientRect().top;
  const onScreen = (element) => top(element) >= 0 && top(element) < window.innerHeight;

  const lookedAt = () => {
    const focused = document.activeElement;
    if (focused && focused.id && focused.closest("#fresh") && onScreen(focused)) return focused;
    return [...document.querySelectorAll("#fresh [id]")].find(onScreen) || null;
  };

  document.addEventListener("htmx:beforeSwap", () => {
    const element = lookedAt();
    place = element && window.scrollY > 0 ? { id: element.id, top: top(element) } : null;
  });

  document.addEventListener("htmx:afterSwap", () => {
    const element = place && document.getElementById(place.id);
    if (element) window.scrollBy(0, top(element) - place.top);
    place = null;
  });
})();

// A button that copies the text of the field in its section; without a clipboard it is not shown (console.css), and where the browser
// does not let it the text is selected.
(() => {
  "use strict";
  if (!navigator.clipboard) return;
  document.documentElement.classList.add("can-copy");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copies]");
    if (!button) return;
    const field = button.closest("section").querySelector("textarea");
    try {
      await navigator.clipboard.writeText(field.value);
      button.parentElement.querySelector("[role=status]").textContent = button.dataset.said;
    } catch {
      field.select();
    }
  });
})();
