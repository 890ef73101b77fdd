#!/usr/bin/env python3
"""Draws quality against bytes from the records of run.sh, for the README: a panel for each task, a line for each way to hold the cache.

  python3 experiments/bits/frontier.py [FOLDER [PICTURES]]    default: experiments/bits, docs/pictures
  python3 experiments/bits/frontier.py --table [FOLDER]

Writes frontier-light.svg and frontier-dark.svg, or prints the figures. Standard library only.
"""
import json, math, pathlib, sys
from html import escape

HERE = pathlib.Path(__file__).resolve().parent
WIDTH, HEIGHT, TOP, BOTTOM, PANEL, GAP, LEFT = 860, 350, 76, 50, 262, 56, 64
THEMES = {"light": {"text": "#1b1f24", "soft": "#59616b", "grid": "#d4d9df", "lines": ["#59616b", "#0072b2", "#009e73", "#c84e00", "#8a929c"]},
          "dark": {"text": "#e7eaee", "soft": "#a3acb7", "grid": "#363d46", "lines": ["#a3acb7", "#4fb0ec", "#3fcf9f", "#ff9455", "#6e7781"]}}
LINES = [("f16", "calibrated", "16 bits", "7 4"), ("f16+4means", "calibrated", "16 bits, 4 means", ""),
         ("q8_0,q4_0", "calibrated", "8 and 4 bits", "7 4"), ("q8_0,q4_0+4means", "calibrated", "8 and 4 bits, 4 means", ""),
         ("f16", "h2o-mean", "h2o-mean, 16 bits", "2 4")]
TASKS = [("text", "Plain text"), ("niah-multikey-1", "Needles among decoys")]
X_TICKS, Y_TICKS = [0.0625, 0.125, 0.25, 0.5], [0.001, 0.01, 0.1, 1, 10]


def read(folder):
    return [json.loads(line) for path in sorted(folder.glob("b*-*.jsonl")) for line in path.read_text().splitlines()]


def points(records, task, store, policy):
    """(share of the full cache's bytes in f16 that is held, divergence from its predictions) by budget."""
    chosen = [r for r in records if r["task"] == task and r["store"] == store and r["policy"].startswith(policy)]
    return sorted((r["kv_bytes_final"] / r["kv_bytes_full"], r["fidelity_kl"]) for r in chosen)


def picture(records, theme):
    def text(x, y, what, colour, size=13, anchor="start", weight=400):
        return f"<text x='{x:.0f}' y='{y:.0f}' fill='{colour}' font-size='{size}' text-anchor='{anchor}' font-weight='{weight}'>{escape(what)}</text>"

    def place(left, share, kl):
        x = math.log(share / X_TICKS[0]) / math.log(X_TICKS[-1] / X_TICKS[0])
        y = math.log(max(kl, Y_TICKS[0]) / Y_TICKS[0]) / math.log(Y_TICKS[-1] / Y_TICKS[0])
        return left + x * PANEL, HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)

    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' "
           "font-family='system-ui, Segoe UI, DejaVu Sans, sans-serif' role='img'>",
           "<title>Divergence from the full cache's predictions against the bytes that are held</title>",
           text(LEFT, 20, "What fewer bytes change: divergence (KL, nat) from the full cache's predictions", theme["text"], 15, weight=600),
           text(LEFT, 39, "SmolLM2-135M-Instruct, 700 tokens, 12 prompts a point; across: bytes held, share of the full cache in 16 bits", theme["soft"])]
    for panel, (task, title) in enumerate(TASKS):
        left = LEFT + panel * (PANEL + GAP)
        out.append(text(left, 64, title, theme["text"], 13, weight=600))
        for tick in Y_TICKS:
            y = place(left, X_TICKS[0], tick)[1]
            out.append(f"<line x1='{left}' x2='{left + PANEL}' y1='{y:.1f}' y2='{y:.1f}' stroke='{theme['grid']}' />" + text(left - 8, y + 4, f"{tick:g}", theme["soft"], anchor="end"))
        for tick in X_TICKS:
            out.append(text(place(left, tick, 1)[0], HEIGHT - BOTTOM + 20, f"{100 * tick:g} %", theme["soft"], anchor="middle"))
        for (store, policy, _, dashes), colour in zip(LINES, theme["lines"]):
            at = [place(left, share, kl) for share, kl in points(records, task, store, policy)]
            if not at:
                continue
            path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
            out.append(f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='2.4' stroke-dasharray='{dashes}' stroke-linejoin='round' />"
                       + "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.4' fill='{colour}' />" for x, y in at))
    left = LEFT + 2 * (PANEL + GAP) - 24
    for i, ((_, _, label, dashes), colour) in enumerate(zip(LINES, theme["lines"])):
        y = TOP + 14 + 24 * i
        out.append(f"<path d='M{left} {y - 4}H{left + 30}' stroke='{colour}' stroke-width='2.4' stroke-dasharray='{dashes}' />" + text(left + 38, y, label, theme["text"], 12))
    return "\n".join(out) + "\n</svg>\n"


def table(records):
    names = {("f16", "h2o-mean"): "`h2o-mean`, `f16`", ("f16", "random"): "`random`, `f16`"}
    budgets = ["25%bytes", "12.5%bytes", "6.25%bytes"]
    for task, title in TASKS:
        print(f"\n{title} (`{task}`)\n\n| held as | " + " | ".join(f"{b[:-5].replace('%', ' %')} of the bytes | KL | entries" for b in budgets) + " |\n|" + "---|" * 10)
        for store, policy in [(store, policy) for store, policy, _, _ in LINES] + [("f16", "random")]:
            cells = []
            for budget in budgets:
                found = [r for r in records if (r["task"], r["store"], r["budget"]) == (task, store, budget) and r["policy"].startswith(policy)]
                for r in found:
                    low, high = r["answer_log_likelihood_delta_ci95"]
                    cells += [f"{r['answer_log_likelihood_delta']:+.3f} [{low:+.3f}, {high:+.3f}]", f"{r['fidelity_kl']:.4f}", f"{100 * r['entries_final'] / r['entries_full']:.0f} %"]
            print(f"| {names.get((store, policy), f'`{store}`')} | " + " | ".join(cells) + " |")


def main():
    if sys.argv[1:2] == ["--table"]:
        return table(read(pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HERE))
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    pictures = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parents[1] / "docs/pictures"
    for name, theme in THEMES.items():
        (pictures / f"frontier-{name}.svg").write_text(picture(read(folder), theme))


if __name__ == "__main__":
    main()
