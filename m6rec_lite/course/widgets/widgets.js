// Five experiments on data that a lesson wrote. No dependencies, no network, no kernel.
// `output.py` puts this script at the end of the element that it fills.
(() => {
  "use strict";

  const chinese = document.documentElement.lang.startsWith("zh");
  const say = (english, translated) => (chinese ? translated : english);
  const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  // Formulas, the same as those of the package; a test compares both.

  /** EASE's scores: weights (events, items), the latest event last. */
  const decayed = (weights, decay) => weights[0].map((_, item) =>
    sum(weights.map((row, event) => decay ** (weights.length - 1 - event) * row[item])));

  /** Softmax of logits at a temperature above 0. */
  const softmax = (logits, temperature) => {
    const highest = Math.max(...logits);
    const odds = logits.map((logit) => Math.exp((logit - highest) / temperature));
    const total = sum(odds);
    return odds.map((value) => value / total);
  };

  /** The smallest set of the most probable tokens that reaches p, scaled to sum to 1; others 0. */
  const nucleus = (probabilities, p) => {
    const order = probabilities.map((_, index) => index);
    order.sort((a, b) => probabilities[b] - probabilities[a] || a - b);
    let before = 0;
    const kept = probabilities.map(() => 0);
    for (const index of order) {
      if (before >= p) break;
      kept[index] = probabilities[index];
      before += probabilities[index];
    }
    const total = sum(kept);
    return kept.map((value) => value / total);
  };

  const addK = (count, total, k, vocabulary) => (count + k) / (total + k * vocabulary);
  const interpolated = (count, total, unigram, weight) =>
    weight * count / total + (1 - weight) * unigram;

  /** Laplace noise of a scale at a random number in (0, 1), as in lesson 29. */
  const laplace = (scale, u) => scale * (u < 0.5 ? Math.log(2 * u) : -Math.log(2 - 2 * u));

  /** Random numbers in (0, 1) from a seed: mulberry32. */
  const random = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };

  // Parts of a page

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  /** A labelled slider; calls changed(value) now and whenever it moves. */
  const slider = (name, { min, max, step, value, show = String }, changed) => {
    const input = element("input", { type: "range", min, max, step, value });
    const output = element("output", { textContent: show(value) });
    input.addEventListener("input", () => {
      output.textContent = show(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
      changed(Number(input.value));
    });
    input.setAttribute("aria-valuetext", output.textContent);
    return element("label", {}, `${name} `, input, output);
  };

  /** A labelled menu; nothing where there is no choice. */
  const choice = (name, names, changed) => {
    if (names.length < 2) return "";
    const options = names.map((text, value) => element("option", { value, textContent: text }));
    const select = element("select", {}, ...options);
    select.addEventListener("change", () => changed(Number(select.value)));
    return element("label", {}, `${name} `, select);
  };

  /** Bars with their names and numbers; rows are [name, value, text, left out]. */
  const bars = (list, rows) => {
    const longest = Math.max(...rows.map((row) => row[1]), 1e-9);
    list.replaceChildren(...rows.map(([name, value, text, out]) => {
      const bar = element("span", { className: "bar" });
      bar.style.width = `${Math.max(0, 100 * value / longest)}%`;
      return element("li", { className: out ? "out" : "" },
        element("span", { textContent: name }),
        element("span", {}, bar),
        element("span", { className: "number", textContent: text }));
    }));
  };

  const titles = {
    decay: "新近度：旧事件应当多快淡出？",
    sampling: "温度与 top-p：接下来是哪个词元？",
    smoothing: "平滑：从未见过的词的概率是多少？",
    attention: "注意力：一个注意力头读取哪个事件？",
    privacy: "隐私：ε 的代价是什么？",
  };

  const experiments = {
    decay(root, data, { settings, list, status }) {
      const draw = (decay) => {
        const scores = decayed(data.weights, decay);
        const order = scores.map((_, item) => item).sort((a, b) => scores[b] - scores[a]);
        bars(list, order.slice(0, 8).map((i) => [data.items[i], scores[i], scores[i].toFixed(3)]));
        const powers = data.events.map((_, back) => decay ** back);
        const share = powers[0] / sum(powers);
        status.textContent = say(
          `The latest event has ${percent(share)} of the weight of all ${powers.length} events.`,
          `最近一个事件占全部 ${powers.length} 个事件权重的 ${percent(share)}。`);
      };
      settings.append(slider(say("decay", "衰减系数"),
        { min: 0.3, max: 1, step: 0.05, value: 0.8, show: (v) => v.toFixed(2) }, draw));
      const events = element("ol", { reversed: true });
      events.append(...[...data.events].reverse().map((text) => element("li", { textContent: text })));
      root.append(element("details", {}, element("summary", {
        textContent: say("The history, latest first", "用户历史,最近的在前") }), events));
      draw(0.8);
    },

    sampling(root, data, { settings, list, status }) {
      const state = { prompt: 0, temperature: 1, p: 0.9 };
      const draw = () => {
        const prompt = data.prompts[state.prompt];
        const rest = prompt.rest.flatMap(([size, logit]) => Array(size).fill(logit));
        const all = softmax([...prompt.logits, ...rest], state.temperature);
        const kept = nucleus(all, state.p);
        bars(list, prompt.tokens.slice(0, 14).map((token, i) => [
          token, kept[i] || all[i], kept[i] ? percent(kept[i]) : say("out", "去掉"),
          !kept[i]]));
        const number = kept.filter(Boolean).length;
        status.textContent = say(
          `${number} of ${all.length} tokens can be drawn. Prompt: ${prompt.text}`,
          `${all.length} 个词元中可能被抽到的有 ${number} 个。提示:${prompt.text}`);
      };
      const set = (name) => (value) => { state[name] = value; draw(); };
      settings.append(
        choice(say("prompt", "提示"), data.prompts.map((_, i) => `${i + 1}`), set("prompt")),
        slider(say("temperature", "温度"),
          { min: 0.2, max: 2, step: 0.1, value: 1, show: (v) => v.toFixed(1) }, set("temperature")),
        slider("top-p",
          { min: 0.1, max: 1, step: 0.05, value: 0.9, show: (v) => v.toFixed(2) }, set("p")));
      draw();
    },

    smoothing(root, data, { settings, list, status }) {
      const state = { context: 0, way: 0, strength: 0.5 };
      const draw = () => {
        const { context, words, counts, total, unigram } = data.contexts[state.context];
        const rows = words.map((word, i) => {
          const p = state.way === 0
            ? addK(counts[i], total, 2 * state.strength, data.vocabulary)
            : interpolated(counts[i], total, unigram[i], 1 - state.strength);
          return [`${word} (${counts[i]})`, p, percent(p, 2), counts[i] === 0];
        });
        bars(list, rows);
        const used = state.way === 0
          ? `k = ${(2 * state.strength).toFixed(2)}` : `λ = ${(1 - state.strength).toFixed(2)}`;
        status.textContent = say(
          `After “${context}” (${total} times), with ${used}. Grey words never followed it.`,
          `在“${context}”之后(出现 ${total} 次),${used}。灰色的词从未跟在它后面。`);
      };
      const set = (name) => (value) => { state[name] = value; draw(); };
      settings.append(
        choice(say("word before", "前一个词"), data.contexts.map((c) => c.context), set("context")),
        choice(say("smoothing", "平滑方法"), [say("add k", "加 k"), say("interpolation", "插值")],
          set("way")),
        slider(say("strength", "强度"),
          { min: 0, max: 1, step: 0.05, value: 0.5, show: (v) => v.toFixed(2) }, set("strength")));
      draw();
    },

    attention(root, data, { settings, list, status }) {
      const last = data.events.length - 1;
      const state = { layer: 0, head: 0, event: last };
      const draw = () => {
        const weights = data.weights[state.layer][state.head][state.event];
        bars(list, data.events.map((name, i) =>
          [name, weights[i], i > state.event ? say("hidden", "不可见") : percent(weights[i]),
            i > state.event]));
        const best = weights.indexOf(Math.max(...weights));
        status.textContent = say(
          `The state of event ${state.event + 1} reads most from event ${best + 1}.`,
          `第 ${state.event + 1} 个事件的状态最多读取第 ${best + 1} 个事件。`);
      };
      const set = (name) => (value) => { state[name] = value; draw(); };
      const numbers = (values) => values.map((_, i) => `${i + 1}`);
      settings.append(
        choice(say("block", "层"), numbers(data.weights), set("layer")),
        choice(say("head", "注意力头"), numbers(data.weights[0]), set("head")),
        slider(say("state of event", "事件的状态"),
          { min: 1, max: last + 1, step: 1, value: last + 1 }, (v) => set("event")(v - 1)));
      draw();
    },

    privacy(root, data, { settings, list, status }) {
      const state = { epsilon: 0.5, seed: 1 };
      const draw = () => {
        const next = random(state.seed);
        const noisy = data.counts.map((count) => count + laplace(1 / state.epsilon, next()));
        bars(list, data.items.map((name, i) =>
          [`${name} (${data.counts[i]})`, Math.max(0, noisy[i]), noisy[i].toFixed(1)]));
        const spread = Math.SQRT2 / state.epsilon;
        status.textContent = say(
          `Noise with a standard deviation of ${spread.toFixed(1)} people. In brackets the true count.`,
          `噪声的标准差为 ${spread.toFixed(1)} 人。括号内为真实人数。`);
      };
      const powers = (exponent) => 10 ** exponent;
      const again = element("button", { type: "button", textContent: say("Draw again", "重新抽取") });
      again.addEventListener("click", () => { state.seed += 1; draw(); });
      settings.append(slider("ε",
        { min: -2, max: 1, step: 0.1, value: -0.3, show: (v) => powers(v).toFixed(2) },
        (v) => { state.epsilon = powers(v); draw(); }), again);
      draw();
    },
  };

  document.querySelectorAll(".try-it:not([data-started])").forEach((root) => {
    const { name } = root.dataset;
    root.dataset.started = "yes";
    root.formulas = { decayed, softmax, nucleus, addK, interpolated, laplace };
    root.querySelector(".still").remove();
    root.setAttribute("aria-label", say(root.getAttribute("aria-label"), titles[name]));
    const data = JSON.parse(root.querySelector("script").textContent);
    const settings = element("div", { className: "settings" });
    const list = element("ol", { className: "bars" });
    const status = element("p", { role: "status" });
    root.append(settings, list, status);
    experiments[name](root, data, { settings, list, status });
    // JupyterLab leaves the keys of an element with this attribute alone
    root.querySelectorAll("input, select, button, summary").forEach((control) => {
      control.setAttribute("data-lm-suppress-shortcuts", "true");
    });
  });
})();
