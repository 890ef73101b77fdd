'use strict';
// What a reader can choose on the page. Every text from the data goes in through textContent.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const by = (id) => document.getElementById(id);
  const element = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      if (value !== undefined && value !== '') node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const svgNamespace = 'http://www.w3.org/2000/svg';
  const svg = (name, attributes, ...children) => {
    const node = document.createElementNS(svgNamespace, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(0)} %` : '–');

  // Legends: pointing shows one line alone, pressing hides it in all charts of the section.
  for (const button of document.querySelectorAll('.legend button')) {
    const lines = () => button.closest('section').querySelectorAll('figure .series');
    const style = button.dataset.style;
    button.addEventListener('click', () => {
      const on = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', String(on));
      for (const line of lines()) if (line.classList.contains(style)) line.classList.toggle('off', !on);
    });
    const dim = (dimmed) => {
      for (const line of lines()) line.classList.toggle('dim', dimmed && !line.classList.contains(style));
    };
    for (const event of ['mouseenter', 'focus']) button.addEventListener(event, () => dim(true));
    for (const event of ['mouseleave', 'blur']) button.addEventListener(event, () => dim(false));
  }
  // On paper nothing can be opened.
  let closed = [];
  addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details:not([open])')];
    for (const details of closed) details.open = true;
  });
  addEventListener('afterprint', () => closed.forEach((details) => { details.open = false; }));

  // Charts and tables as files: SVG as it is seen (colours of the style sheet written out), CSV with the numbers unrounded.
  const quoted = (value) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const csv = (rows) => rows.map((row) => row.map(quoted).join(',')).join('\r\n') + '\r\n';
  const save = (name, type, content) => {
    const url = URL.createObjectURL(new Blob([content], { type }));
    const link = element('a', { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
  const fileName = (title, ending) => `${title.replace(/[^\p{L}\p{N}.]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 80) || 'chart'}.${ending}`;
  const looks = ['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linejoin', 'opacity', 'font-family', 'font-size', 'font-weight', 'display'];
  const svgText = (drawn) => {
    const copy = drawn.cloneNode(true);
    const parts = copy.querySelectorAll('*');
    drawn.querySelectorAll('*').forEach((node, i) => {
      if (node.nodeName === 'title') return;
      const style = getComputedStyle(node);
      for (const name of looks) parts[i].setAttribute(name, style.getPropertyValue(name));
      parts[i].removeAttribute('style');
      parts[i].removeAttribute('class');
    });
    const [, , width, height] = drawn.getAttribute('viewBox').split(' ');
    copy.prepend(svg('rect', { width, height, fill: getComputedStyle(document.body).backgroundColor }));
    for (const [key, value] of Object.entries({ xmlns: svgNamespace, width, height })) copy.setAttribute(key, value);
    return new XMLSerializer().serializeToString(copy);
  };
  const chartRows = (chart) => {
    const ranges = chart.series.some((line) => line.points.some((point) => point[2] !== null));
    return [['line', chart.x, chart.y, ...(ranges ? ['low', 'high'] : [])],
      ...chart.series.flatMap((line) => line.points.map((point) => [line.label, ...point.slice(0, ranges ? 4 : 2)]))];
  };
  const tableRows = (shown) => [...shown.rows].map((row) => [...row.cells].map((cell) => cell.innerText.trim()));
  const button = (text, label, action) => {
    const made = element('button', { type: 'button', 'aria-label': label }, text);
    made.addEventListener('click', action);
    return made;
  };
  const positionRows = () => [['position', 'kept', 'tokens'], ...shown.positions.map(([kept, tokens], i) => [(i + 0.5) / shown.positions.length, kept, tokens])];
  let shown = null;  // the setting of "What a policy keeps"
  for (const figure of document.querySelectorAll('figure[data-chart]')) {
    const own = figure.dataset.chart === 'positions';
    const title = own ? 'kept by position' : figure.querySelector('figcaption').textContent;
    figure.append(element('div', { class: 'export' },
      button('SVG', `save the chart "${title}" as SVG`, () => save(fileName(title, 'svg'), 'image/svg+xml', svgText(figure.querySelector('svg.chart')))),
      button('CSV', `save the numbers of "${title}" as CSV`, () => save(fileName(title, 'csv'), 'text/csv', csv(own ? positionRows() : chartRows(data.charts[figure.dataset.chart]))))));
  }
  for (const box of document.querySelectorAll('.scroll')) {
    const heading = () => { let node = box; while (node && node.nodeName !== 'H3') node = node.previousElementSibling; return node ? node.textContent : 'table'; };
    box.setAttribute('role', 'region');
    box.setAttribute('aria-label', `table: ${heading()}`);
    box.after(element('div', { class: 'export' }, button('CSV', `save the table "${heading()}" as CSV`,
      () => save(fileName(heading(), 'csv'), 'text/csv', csv(tableRows(box.querySelector('table')))))));
  }

  if (!data.settings.length) return;

  // Viridis (Smith & van der Walt): even steps in lightness, for every kind of colour vision and in grey.
  const stops = [[68, 1, 84], [70, 50, 127], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 194, 109], [159, 218, 58], [253, 231, 37]];
  const colours = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const rgb = stops[low].map((v, i) => Math.round(v + (at - low) * (stops[low + 1][i] - v)));
    const linear = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    return `background:rgb(${rgb.join(' ')});color:${light > 0.179 ? '#000' : '#fff'}`;
  };
  const signed = (value) => (value === null ? '–' : Math.abs(value) < 0.005 ? '0.00' : (value > 0 ? '+' : '') + value.toFixed(2));
  const heatCell = (count, what) => {
    const [kept, tokens] = count || [0, 0];
    if (!tokens) return element('td', { title: `${what}: none` }, '–');
    return element('td', { style: colours(kept / tokens), title: `${what}: ${kept} of ${tokens} entries kept` }, percent(kept / tokens));
  };
  const table = (caption, head, rows) =>
    element('table', { class: 'heat' }, element('caption', { class: 'note' }, caption),
      element('thead', {}, element('tr', {}, ...head.map((text) => element('th', { scope: 'col' }, text)))),
      element('tbody', {}, ...rows.map(([name, ...cells]) => element('tr', {}, element('th', { scope: 'row' }, name), ...cells))));

  const showHeat = (setting) => {
    const heads = [...new Set(setting.heads.map((h) => h[1]))].sort((a, b) => a - b);
    const layers = [...new Set(setting.heads.map((h) => h[0]))].sort((a, b) => a - b);
    const counts = new Map(setting.heads.map((h) => [`${h[0]},${h[1]}`, [h[2], h[3]]]));
    by('heat').replaceChildren(table('share of the prompt’s tokens that each KV head kept', ['layer', ...heads.map((h) => `head ${h}`)],
      layers.map((l) => [String(l), ...heads.map((h) => heatCell(counts.get(`${l},${h}`), `layer ${l}, head ${h}`))])));
  };
  const showKinds = (setting) => {
    const met = (k) => setting.tasks.some((task) => task.kinds[k][1] > 0);
    const rows = data.kinds.map((name, k) => [name, k]).filter(([, k]) => met(k)).map(([name, k]) => [name, ...setting.tasks.map((task) => heatCell(task.kinds[k], `${name} in ${task.name}`))]);
    const sums = setting.tasks.map((task) => task.kinds.reduce((sum, count) => [sum[0] + count[0], sum[1] + count[1]], [0, 0]));
    rows.push(['all', ...sums.map((sum, t) => heatCell(sum, `all in ${setting.tasks[t].name}`))]);
    by('kinds').replaceChildren(table('share kept of each kind of token', ['kind', ...setting.tasks.map((task) => task.name)], rows));
  };
  const showPositions = (setting) => {
    const width = 560, height = 230, left = 58, right = 14, top = 14, bottom = 46;
    const y = (share) => height - bottom - share * (height - top - bottom);
    const step = (width - left - right) / setting.positions.length;
    const chart = svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img',
      'aria-label': `share kept by position in the prompt: ${setting.positions.map((c) => percent(c[0] / c[1])).join(', ')}` });
    for (const share of [0, 0.25, 0.5, 0.75, 1])
      chart.append(svg('line', { class: 'grid', x1: left, x2: width - right, y1: y(share), y2: y(share) }),
        svg('text', { class: 'tick', x: left - 6, y: y(share) + 4, 'text-anchor': 'end' }, percent(share)));
    setting.positions.forEach(([kept, tokens], i) => {
      if (!tokens) return;
      const range = `${(100 * i / setting.positions.length).toFixed(0)}–${(100 * (i + 1) / setting.positions.length).toFixed(0)} % of the prompt`;
      chart.append(svg('rect', { class: 'bar', x: left + i * step + 1, width: step - 2, y: y(kept / tokens), height: y(0) - y(kept / tokens) },
        svg('title', {}, `${range}: ${percent(kept / tokens)} kept`)));
    });
    for (const share of [0, 0.25, 0.5, 0.75, 1])
      chart.append(svg('text', { class: 'tick', x: left + share * (width - left - right), y: height - bottom + 16, 'text-anchor': 'middle' }, percent(share)));
    chart.append(svg('text', { class: 'label', x: (left + width - right) / 2, y: height - 8, 'text-anchor': 'middle' }, 'position in the prompt, first token to last'));
    by('positions').replaceChildren(chart);
  };

  const evidenceKept = (run, first, last) => {
    const counts = run.kept_by.slice(first, last + 1);
    const tokens = counts.length, gone = counts.filter((count) => count === 0).length;
    // a full stop more or less is no loss: half of the sentence is, or anything if the answer was wrong
    return { tokens, gone, lost: gone > 0 && (2 * gone >= tokens || run.score === 0),
      share: counts.reduce((sum, count) => sum + count, 0) / (counts.length * run.heads) };
  };
  const showAnswer = (prompt, run) => {
    const places = prompt.evidence.map(([first, last]) => evidenceKept(run, first, last));
    const sum = (name) => places.reduce((all, place) => all + place[name], 0);
    by('answer').classList.toggle('lost', places.some((place) => place.lost));
    if (!places.length) by('answer').textContent = '';
    else if (!sum('gone')) by('answer').textContent = 'Every token that tells the answer was kept by some head.';
    else by('answer').textContent = `Of the ${sum('tokens')} tokens that tell the answer ${sum('gone')} were dropped by every head; the place is marked below.`;
  };
  const showTokens = (setting, index) => {
    const run = setting.runs.find((r) => r.prompt === index);
    const prompt = data.prompts[index];
    by('tokens').replaceChildren();
    by('scale').replaceChildren();
    by('answer').textContent = '';
    if (!run) {
      by('about').textContent = 'This policy was not watched on this prompt.';
      return;
    }
    const gone = run.kept_by.filter((count) => count === 0).length;
    by('about').textContent = `${prompt.pieces.length} tokens, ${gone} of them kept by no head; score of the answer ${Number.isFinite(run.score) ? run.score.toFixed(2) : '–'}, ` +
      `its log-likelihood per token against the full cache ${signed(run.delta)}`;
    by('scale').append('kept by', element('i', { class: 'gone' }, 'no head'),
      ...[...new Set([0.25, 0.5, 0.75, 1].map((s) => Math.max(1, Math.round(s * run.heads))))]
        .map((n) => element('i', { style: colours(n / run.heads) }, `${n} of ${run.heads}`)));
    const kinds = data.letters;
    const evidence = new Set();
    for (const [first, last] of prompt.evidence) for (let i = first; i <= last; ++i) evidence.add(i);
    if (evidence.size) by('scale').append(element('i', { class: 'evidence' }, 'tells the answer'));
    showAnswer(prompt, run);
    const ends = new Map(prompt.evidence.map(([first, last]) => [last, first]));
    prompt.pieces.forEach((piece, i) => {
      const count = run.kept_by[i];
      const what = `token ${i}, ${data.kinds[kinds.indexOf(prompt.kinds[i])]}: kept by ${count} of ${run.heads} heads`;
      const text = piece === '' ? '⌁' : piece.replace(/\n/g, '⏎\n');
      by('tokens').append(element('span', { class: [count ? '' : 'gone', evidence.has(i) ? 'evidence' : ''].join(' ').trim(), style: count ? colours(count / run.heads) : '', title: what }, text));
      if (ends.has(i)) {
        const { gone, tokens, share, lost } = evidenceKept(run, ends.get(i), i);
        const text = lost ? ` ◂ the answer was dropped here: ${gone} of ${tokens} tokens by every head ` : ` ◂ the answer, ${percent(share)} kept `;
        by('tokens').append(element('span', { class: lost ? 'flag lost' : 'flag', title: `${gone} of ${tokens} tokens kept by no head` }, text));
      }
    });
  };

  // A policy is chosen by its name, its budget with a slider: what grows from left to right is the share that is kept.
  const policy = by('policy'), prompt = by('prompt'), budget = by('budget');
  const groups = new Map();
  for (const setting of data.settings) groups.set(setting.group, [...(groups.get(setting.group) || []), setting]);
  for (const [name, members] of groups) {
    members.sort((a, b) => a.share - b.share);
    policy.append(element('option', { value: name }, name));
  }
  data.prompts.forEach((p, i) => prompt.append(element('option', { value: i }, p.label)));
  const choose = (setting) => {
    const members = groups.get(setting.group);
    policy.value = setting.group;
    budget.max = String(members.length - 1);
    budget.value = String(members.indexOf(setting));
    by('budgets').hidden = members.length < 2;
  };
  choose(data.settings[data.first]);
  const show = () => {
    const setting = groups.get(policy.value)[Number(budget.value)];
    shown = setting;
    const text = `${setting.budget}, ${percent(setting.share)} kept`;
    by('budget-text').textContent = text;
    budget.setAttribute('aria-valuetext', text);
    by('watched').textContent = `mean over ${setting.runs.length} watched prompt${setting.runs.length === 1 ? '' : 's'}`;
    showHeat(setting);
    showKinds(setting);
    showPositions(setting);
    showTokens(setting, Number(prompt.value));
  };
  policy.addEventListener('change', () => {
    // the budget that is nearest to the one before
    const members = groups.get(policy.value), before = Number.parseFloat(by('budget-text').textContent);
    const away = (s) => Math.abs(Number.parseFloat(s.budget) - before) || 0;
    choose(members.reduce((best, s) => (away(s) < away(best) ? s : best), members[0]));
    show();
  });
  budget.addEventListener('input', show);
  prompt.addEventListener('change', show);
  show();
})();
