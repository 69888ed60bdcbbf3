// Copies a request. Without this script the page lacks its buttons, and nothing else.
document.querySelectorAll("button[data-copy]").forEach((button) => {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const said = document.getElementById(button.getAttribute("aria-describedby"));
    const text = button.dataset.copy;
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      // A browser may keep the clipboard from a page that came from a file.
      const area = document.createElement("textarea");
      area.value = text;
      area.setAttribute("aria-label", "Text of the request");
      button.after(area);
      area.select();
      done = document.execCommand("copy");
      if (done) {
        area.remove();
        button.focus();
      }
    }
    said.textContent = done ? "Copied." : "Press Ctrl+C to copy the text that is marked.";
  });
});
