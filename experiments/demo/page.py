"""The page of the demonstration: one HTML file that needs no network, in the style of `namm report`."""
import pathlib
from html import escape

from chart import legend, line_chart

STYLE = pathlib.Path(__file__).resolve().parents[2] / "report/page.css"
MORE_STYLE = """
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 1fr)); gap: 8px 18px; margin: 8px 0 22px; }
.answers > div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; break-inside: avoid; overflow-wrap: anywhere; }
.answers b { display: block; font-size: 13px; color: var(--soft); }
.said { border-left: 3px solid var(--accent); padding-left: 12px; overflow-wrap: anywhere; }
.wrong b::after { content: " · wrong"; color: var(--lost); } .right b::after { content: " · right"; color: var(--c2); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
"""


def parts_of(record):
    """MiB: all that the attached server with the policy needs less; of it, cells that were never used; the policy's."""
    peak = {name: s["peak_mib"] for name, s in record["servers"].items()}
    return peak["alone"] - peak["policy"], peak["alone"] - peak["full"], peak["full"] - peak["policy"]


def rate(tokens_per_second):
    return f"{tokens_per_second:.0f}" if tokens_per_second >= 9.95 else f"{tokens_per_second:.1f}"


def number(what, value, note):
    return f"<div class=number><span class=what>{escape(what)}</span><strong>{escape(value)}</strong><span class=note>{escape(note)}</span></div>"


def verdict(record):
    alone, full, policy = (record["servers"][name] for name in ("alone", "full", "policy"))
    whole, unused, kept = parts_of(record)
    ratio = policy["decode_tokens_per_second"] / alone["decode_tokens_per_second"]
    return (f"<p class=verdict>After {policy['tokens']:,} tokens of chat the attached server holds {policy['held_mib'][-1]:.0f} MiB of cache, where "
            f"{full['held_mib'][-1]:.0f} are held with nothing dropped and stock has {record['allocated_mib']:.0f} allocated. Of {policy['asked']} things that were "
            f"mentioned once, many turns before, it knows {policy['right']}, stock {alone['right']}.</p><div class=numbers>"
            + number("memory", f"−{whole:.0f} MiB", f"{policy['peak_mib']:.0f} in place of {alone['peak_mib']:.0f} at the peak: −{unused:.0f} because cells "
                     f"of -c {record['context']} that are never used are not allocated, −{kept:.0f} by the policy")
            + number("speed", f"{ratio:.2f} ×", f"writing {rate(policy['decode_tokens_per_second'])} in place of {rate(alone['decode_tokens_per_second'])} tokens/s; "
                     f"{rate(full['decode_tokens_per_second'])} attached with nothing dropped")
            + number("answers", f"{policy['right']} of {policy['asked']}", f"things mentioned once are right many turns later; stock {alone['right']} of "
                     f"{alone['asked']}, attached with nothing dropped {full['right']} of {full['asked']}") + "</div>")


def charts(record):
    servers, titles = record["servers"], record["titles"]
    bar = "".join(("<figure><figcaption>Memory of the process over time</figcaption>",
                   line_chart("Memory of the process over time", "seconds of work on the same chat", "MiB, without the model's file",
                              [(name, titles[name], s["samples"]) for name, s in servers.items()]), "</figure>"))
    held = [(name, titles[name], [[0, 0]] + [[t["tokens"], mib] for t, mib in zip(servers[name]["turns"], servers[name]["held_mib"])])
            for name in ("full", "policy")]
    own = "".join(("<figure><figcaption>Cache that is held, by namm's own statistics</figcaption>",
                   line_chart("Cache that is held, by namm's own statistics", "tokens of the chat", "MiB, keys, values and statistics", held,
                              [("alone", f"allocated by stock at start: {record['allocated_mib']:.0f} MiB", record["allocated_mib"])]), "</figure>"))
    return ("<p class=lead>First, from /proc (anonymous resident memory: cache, buffers, heap), ten times a second while a server answers; then, what "
            "namm attach --stats says after every request.</p>" + legend(titles.items()) + f"<div class=charts>{bar}{own}</div>")


def table(record):
    head = ["llama-server", "peak, MiB", "cache held, MiB", "reads, tokens/s", "writes, tokens/s", "remembers"]
    rows = ""
    for name, title in record["titles"].items():
        s = record["servers"][name]
        held = s["held_mib"][-1] if "held_mib" in s else record["allocated_mib"]
        cells = [f"{s['peak_mib']:.0f}", f"{held:.1f}", rate(s['prefill_tokens_per_second']), rate(s['decode_tokens_per_second']),
                 f"{s['right']} of {s['asked']}"]
        rows += f"<tr><th scope=row>{escape(title)}</th>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
    whole, unused, kept = parts_of(record)
    return ("<div class=scroll tabindex=0><table><thead><tr>" + "".join(f"<th scope=col class={'left' if i == 0 else 'n'}>{escape(h)}</th>" for i, h in enumerate(head)) +
            f"</tr></thead><tbody>{rows}</tbody></table></div>"
            f"<p>Two things make the memory smaller, and only one of them is the policy. Stock allocates the cache of the whole context, -c {record['context']}, at "
            f"start; attached, cells that were never used cost nothing: {unused:.0f} of {whole:.0f} MiB, without dropping a token (second row). The policy's part, "
            f"{kept:.0f} MiB, is what the chat does not grow by; a longer chat makes it larger, a smaller -c the other one smaller.</p>")


def answers(record):
    servers, out = record["servers"], ""
    for i, turn in enumerate(servers["alone"]["turns"]):
        text = turn["text"] if len(turn["text"]) < 330 else turn["text"][:200] + " […] " + turn["text"][-70:]
        out += f"<h3>Turn {i + 1}, {turn['tokens']:,} tokens</h3><p class=said>{escape(text)}</p><div class=answers>"
        for name, title in record["titles"].items():
            t = servers[name]["turns"][i]
            mark = "right" if t["right"] else "wrong"
            out += f"<div class='{mark}'><b>{escape(title)}</b>{escape(t['answer'])}</div>"
        out += "</div>"
    return out


def how(record):
    lines = "\n\n".join(s["command"] for s in record["servers"].values())
    return (f"<p>{escape(record['model'])}, -c {record['context']}, {record['threads']} threads, on {escape(record['processor'])}, {record['date']}; load of the machine "
            f"before: {record['load_before']:.1f}. Policy {escape(record['policy'])}, an update every {record['interval_tokens']} tokens. {escape(record['version'])}. "
            "The three servers answer in turns, so that other work on the machine meets them alike; a server's clock runs while it answers. One run: rates "
            "of two runs differ, memory hardly.</p><pre>" + escape(lines) + "</pre>")


def write_page(record, path):
    chapters = [("verdict", "In short", verdict(record)), ("memory", "Memory", charts(record) + table(record)), ("chat", "The chat", answers(record)),
                ("how", "What was run", how(record))]
    text = "".join(f"<section aria-labelledby={i}><h2 id={i}>{t}</h2>{c}</section>" for i, t, c in chapters)
    links = "".join(f"<a href='#{i}'>{t}</a> " for i, t, _ in chapters)
    title = "The same chat on llama-server, with and without namm"
    path.write_text("<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
                    "img-src data:; style-src 'unsafe-inline'\"><meta name=viewport content='width=device-width, initial-scale=1'>"
                    f"<title>{title}</title><link rel=icon href='data:,'><style>{STYLE.read_text()}{MORE_STYLE}</style></head><body>"
                    f"<a class=skip href='#top'>Skip to the content</a><header><h1>{title}</h1><nav aria-label=Chapters>{links}</nav></header>"
                    f"<main id=top>{text}</main></body></html>\n")
