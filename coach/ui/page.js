// A citation opens its passage, and marked words of a draft say why. Clicks are caught here because what they are in
// comes and goes.
document.addEventListener("click", (event) => {
  const mark = event.target.closest && event.target.closest("a.mark");
  if (mark) {
    event.preventDefault();
    const why = document.querySelector("details.found-" + (mark.className.match(/mark-(\d+)/) || [])[1]);
    if (why) {
      why.open = true;
      why.querySelector("summary").focus();
    }
    return;
  }
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
