// Makes this browser's requests to each port, and tells the listener what came of them,
// which says what that means. It shows no text but as text.
"use strict";
(() => {
  const form = document.getElementById("form");
  if (!form) return;
  const state = document.getElementById("state"), list = document.getElementById("list"), go = document.getElementById("go");

  // stream gives the bytes that the listener makes alike (payload.go).
  const stream = (token, direction, size) => {
    let x = (parseInt(token.slice(0, 8), 16) ^ Math.imul(direction, 0x9e3779b9)) | 1;
    const out = new Uint8Array(size), view = new DataView(out.buffer);
    for (let i = 0; i < size; i += 4) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      view.setUint32(i, x, true);
    }
    return out;
  };

  const post = async (path, body) => {
    const r = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), cache: "no-store", credentials: "omit" });
    if (!r.ok) throw new Error("the listener answers " + r.status);
    return r.json();
  };

  // permission says what the browser has decided about requests to the local network.
  const permission = async () => {
    for (const name of ["local-network", "local-network-access"]) {
      try {
        return (await navigator.permissions.query({ name })).state;
      } catch {
        // It knows no such permission.
      }
    }
    return "";
  };

  const plain = { mode: "cors", cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };

  // attempt makes the requests of one token: a short one, then the payload both ways.
  const attempt = async (url, told) => {
    const token = url.slice(-32), began = performance.now(), control = new AbortController();
    let timer = setTimeout(() => control.abort(), told.within_ms);
    const out = { outcome: "failed", elapsed_ms: 0, got: 0, changed: false, payload: false, began };
    try {
      const hello = await fetch(url, { ...plain, signal: control.signal });
      if (!hello.ok || !(await hello.json()).seen) throw new Error("another answer");
      out.outcome = "answered";
    } catch {
      if (control.signal.aborted) out.outcome = "timeout";
    }
    clearTimeout(timer);
    out.elapsed_ms = performance.now() - began;
    if (out.outcome !== "answered") return out;
    timer = setTimeout(() => control.abort(), told.payload_ms);
    try {
      const r = await fetch(url, { ...plain, method: "POST", body: stream(token, 1, told.bytes), signal: control.signal });
      if (!r.ok) throw new Error("another answer");
      const want = stream(token, 2, told.bytes), reader = r.body.getReader();
      out.payload = true;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const b of value) {
          if (out.changed) break;
          if (b === want[out.got]) out.got++;
          else out.changed = true;
        }
      }
    } catch {
      // What came of it is counted.
    }
    clearTimeout(timer);
    return out;
  };

  const words = { answered: "HTTP went through", filtered: "blocked: it never arrived", "reply-lost": "blocked: the answer is lost on the way back", stalled: "its answer, or the data, did not come back whole", intercepted: "something on the way changes the data", silent: "not known", untested: "not tested" };
  const looks = { answered: "through", filtered: "blocked", "reply-lost": "blocked", stalled: "blocked", intercepted: "blocked" };

  const line = (test) => {
    const li = document.createElement("li"), name = document.createElement("span"), outcome = document.createElement("span"), text = document.createElement("p"), advice = document.createElement("p");
    name.className = "name";
    name.textContent = "Port " + test.port + ", " + test.names + (test.needed ? ": " : " (may not be needed): ");
    outcome.className = "outcome";
    outcome.textContent = "waits";
    text.className = "soft";
    li.append(name, outcome, text, advice);
    list.append(li);
    return { li, outcome, text, advice };
  };

  const show = (at, said) => {
    at.li.className = looks[said.verdict] || "unknown";
    at.outcome.textContent = words[said.verdict] || said.verdict;
    at.text.textContent = said.text || "";
    at.advice.textContent = said.verdict === "answered" ? "" : said.advice || "";
  };

  const one = async (told, n, at, local) => {
    const test = told.tests[n];
    if (test.rule) {
      show(at, { verdict: "untested", text: "Not tested: " + test.rule + ".", advice: "Run dial on this computer for it." });
      return;
    }
    for (let k = 0; k < test.urls.length; k++) {
      at.outcome.textContent = k ? "tries once more" : "is tried";
      const { began, ...out } = await attempt(test.urls[k], told);
      const said = await post(told.session, { ...out, test: n, attempt: k, ago_ms: performance.now() - began, local_network: local });
      show(at, said);
      if (!said.again) return;
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    document.getElementById("results").hidden = false;
    document.getElementById("whole").hidden = true;
    list.replaceChildren();
    state.textContent = "The test is under way. Leave this page open.";
    try {
      const told = await post(location.pathname + "/start", { role: document.getElementById("role").value, name: document.getElementById("name").value });
      const local = await permission(), lines = told.tests.map(line);
      await Promise.all(told.tests.map((_, n) => one(told, n, lines[n], local)));
      const whole = document.getElementById("report");
      whole.href = (await post(told.session, { finished: true })).report;
      document.getElementById("whole").hidden = false;
      state.textContent = "Done. Whoever started listen has the result, too.";
      whole.focus();
    } catch (e) {
      state.textContent = "The test stopped: the listener could not be asked (" + e.message + "). Make sure that listen still runs, and try again.";
    }
    go.disabled = false;
  });
})();
