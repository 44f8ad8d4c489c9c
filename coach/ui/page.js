// A citation opens its passage. Clicks are caught here because the chat's messages come and go.
document.addEventListener("click", (event) => {
  const cite = event.target.closest && event.target.closest("a.cite");
  if (!cite) return;
  event.preventDefault();
  const number = (cite.className.match(/cite-(\d+)/) || [])[1];
  const scope = cite.closest(".message") || cite.closest("[data-testid=bot]") || document;
  const source = scope.querySelector("details.source-" + number);
  if (!source) return;
  source.open = true;
  source.querySelector("summary").focus();
  source.scrollIntoView({ block: "nearest", behavior: "smooth" });
});
