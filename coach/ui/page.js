// A citation opens its passage, marked words of a draft say why, and an answer can be copied as text. Clicks are caught
// here because what they are in comes and goes.
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
  const copy = event.target.closest && event.target.closest("a.copy");
  if (copy) {
    event.preventDefault();
    const answer = (copy.closest(".message") || document).querySelector(".answer").cloneNode(true);
    answer.querySelectorAll("a.cite").forEach((link) => link.replaceWith(" [" + link.textContent + "]"));
    const lines = [...answer.querySelectorAll("p")].map((line) => line.innerText || line.textContent);
    navigator.clipboard.writeText(lines.join("\n\n").trim());
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
