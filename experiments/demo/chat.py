"""The chat: somebody goes through the notes of a concert tour with an assistant, stop by stop, each with a part of the contract (this project's licence),
and asks at the end for what was mentioned once on the way. Answers are begun by the client, as 'namm run --answer-prefix' does: the model is very small."""
import pathlib, re

HERE = pathlib.Path(__file__).resolve().parent
FEES = {"Lisbon": "1450", "Oslo": "2300", "Vienna": "1725", "Porto": "980", "Krakow": "1160", "Dublin": "1340"}
# how a sentence of the notes begins, what it goes on with, and the question that is asked when all has been read
MENTIONED = [("The pass key of the hall is", "58213", "What is the pass key of the hall?"),
             ("The night train leaves at", "17:40", "When does the night train leave?"),
             ("The piano was tuned by", "Adele Hofer", "Who tuned the piano?"),
             ("The wine is stored in barrel", "94", "In which barrel is the wine stored?"),
             ("The new tyre was paid by", "Tomasz", "Who paid for the new tyre?")]


def notes():
    """(city, text) of every stop."""
    parts = (HERE / "notes.txt").read_text().split("# ")[1:]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1].strip()) for part in parts]


def contract():
    """Sections of the licence, as paragraphs that are not broken into lines."""
    text = (HERE.parents[1] / "LICENSE").read_text().split("END OF TERMS AND CONDITIONS")[0]
    return [re.sub(r"\s+", " ", part).strip() for part in re.split(r"\n\s+(?=\d\. )", text)[2:]]


def turns():
    """(what the user says, how the answer begins, what a right one has in it, whether that was read many turns ago)."""
    out = []
    for i, ((city, text), section) in enumerate(zip(notes(), contract())):
        mentioned = f" {MENTIONED[i][0]} {MENTIONED[i][1]}." if i < len(MENTIONED) else ""
        out.append((f"From the contract: {section}\n\nNotes on {city}:{mentioned} {text}\n\nWhat is the fee for {city}?", f"The fee for {city} is", FEES[city], False))
    return out + [(question, begin, answer, True) for begin, answer, question in MENTIONED]
