#include "calibrate/texts.hpp"

#include <array>
#include <initializer_list>

#include "tasks/prose.hpp"
#include "tasks/random.hpp"

namespace namm::calibrate {
namespace {

using tasks::Prose;
using tasks::Rng;

constexpr std::array<std::string_view, 32> kNouns = {
    "buffer", "index",  "window", "record", "signal", "packet", "matrix", "vector", "cache",  "token",  "worker",
    "queue",  "stream", "filter", "handle", "region", "sensor", "client", "server", "policy", "weight", "margin",
    "offset", "budget", "engine", "table",  "module", "thread", "report", "volume", "device", "session"};
constexpr std::array<std::string_view, 24> kVerbs = {
    "load",  "store",  "merge",  "split",  "update", "reset",  "find", "count", "open",   "close",  "send",   "parse",
    "scale", "append", "remove", "rotate", "check",  "refine", "pack", "probe", "repair", "locate", "sample", "publish"};
constexpr std::array<std::string_view, 20> kPeople = {"Amara", "Bjorn", "Chen",  "Dmitri", "Esme",  "Farid", "Greta",
                                                      "Hiro",  "Ines",  "Jonah", "Kavya",  "Leila", "Mateo", "Nadia",
                                                      "Otto",  "Priya", "Quinn", "Rosa",   "Soren", "Tamsin"};
constexpr std::array<std::string_view, 20> kPlaces = {"Lisbon",  "Nairobi", "Quito", "Oslo",   "Kyoto",   "Tbilisi", "Perth",
                                                      "Halifax", "Cusco",   "Riga",  "Dakar",  "Hanoi",   "Ghent",   "Izmir",
                                                      "Porto",   "Lahore",  "Turku", "Bogota", "Tallinn", "Cairns"};
constexpr std::array<std::string_view, 16> kThings = {
    "a brass compass",    "two spare keys",  "the blue ledger", "a jar of honey",   "an old camera",     "the north gate",
    "seven copper coins", "a folded map",    "the night train", "a silver whistle", "the spare battery", "a red umbrella",
    "the third drawer",   "a paper lantern", "the oak table",   "a pocket watch"};

template <std::size_t count>
std::string pick(Rng& rng, const std::array<std::string_view, count>& words) {
  return std::string(words[rng.below(count)]);
}
std::string number(Rng& rng, std::uint64_t low, std::uint64_t high) {
  return std::to_string(rng.between(low, high));
}
std::string name_of(Rng& rng) {
  return pick(rng, kVerbs).append("_").append(pick(rng, kNouns));
}
std::string hex(Rng& rng, int digits) {
  std::string out;
  for (int i = 0; i < digits; ++i) out += "0123456789abcdef"[rng.below(16)];
  return out;
}
std::string two(Rng& rng, std::uint64_t below) {
  const std::uint64_t value = rng.below(below);
  return std::string(value < 10 ? "0" : "").append(std::to_string(value));
}

/// The parts behind one another. (Chains of + draw a false warning from GCC 12.)
std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

std::string sentence(Rng& rng, Prose& prose) {
  return join({prose.next().text, rng.below(6) == 0 ? "\n\n" : " "});
}

std::string fact(Rng& rng, Prose& prose) {
  const std::string who = pick(rng, kPeople), where = pick(rng, kPlaces);
  switch (rng.below(8)) {
    case 0:
      return join({who, " was born in ", where, " in ", number(rng, 1890, 2005), ". "});
    case 1:
      return join({"The ferry from ", where, " to ", pick(rng, kPlaces), " costs ", number(rng, 4, 240), " crowns. "});
    case 2:
      return join({who, " left ", pick(rng, kThings), " with ", pick(rng, kPeople), ". "});
    case 3:
      return join({"In ", where, " the museum has ", number(rng, 2, 900), " rooms and closes at ", number(rng, 1, 12), ". "});
    case 4:
      return join({who, "'s telephone extension is ", number(rng, 1000, 9999999), ". "});
    default:
      return sentence(rng, prose);
  }
}

std::string dialogue(Rng& rng, Prose& prose) {
  const std::string who = pick(rng, kPeople);
  switch (rng.below(4)) {
    case 0:
      return join({who, ": Did you bring ", pick(rng, kThings), "? I need it by ", number(rng, 2, 30), " May.\n"});
    case 1:
      return join(
          {who, ": It is at ", number(rng, 1, 400), " ", pick(rng, kPlaces), " Street, ask for ", pick(rng, kPeople), ".\n"});
    default:
      return join({who, ": ", prose.next_short().text, "\n"});
  }
}

std::string entry(Rng& rng, Prose&) {
  switch (rng.below(3)) {
    case 0:
      return join({pick(rng, kNouns), ".", pick(rng, kNouns), " = ", number(rng, 0, 65535), "\n"});
    case 1:
      return join({pick(rng, kPeople), ";", pick(rng, kPlaces), ";", number(rng, 18, 99), ";", hex(rng, 6), "\n"});
    default:
      return join({"\"", name_of(rng), "\": \"", hex(rng, 8), "\",\n"});
  }
}

std::string item(Rng& rng, Prose& prose) {
  switch (rng.below(4)) {
    case 0:
      return join({"\n## ", pick(rng, kNouns), " in ", pick(rng, kPlaces), "\n\n"});
    case 1:
      return join({"- ", pick(rng, kThings), " (", number(rng, 1, 80), " pieces, ", number(rng, 1, 900), " grams)\n"});
    default:
      return join({number(rng, 1, 40), ". ", prose.next_short().text, "\n"});
  }
}

std::string function(Rng& rng, Prose&) {
  const std::string a = pick(rng, kNouns), b = pick(rng, kNouns), name = name_of(rng);
  if (rng.below(2) == 0)
    return join({"def ",
                 name,
                 "(",
                 a,
                 ", limit=",
                 number(rng, 1, 999),
                 "):\n    \"\"\"Return the ",
                 b,
                 " of a ",
                 a,
                 ".\"\"\"\n    total = 0\n    for ",
                 b,
                 " in ",
                 a,
                 ".",
                 pick(rng, kNouns),
                 "s:\n        if ",
                 b,
                 " > limit:\n            raise ValueError(\"",
                 b,
                 " too large\")\n        total += ",
                 b,
                 " * ",
                 number(rng, 2, 64),
                 "\n    return total\n\n\n"});
  return join({"static int ",
               name,
               "(const struct ",
               a,
               " *",
               a,
               ", size_t ",
               b,
               ")\n{\n    if (!",
               a,
               " || ",
               b,
               " > 0x",
               hex(rng, 4),
               ")\n        return -",
               number(rng, 1, 40),
               ";\n    ",
               a,
               "->",
               pick(rng, kNouns),
               " += ",
               b,
               ";  /* keep the ",
               pick(rng, kNouns),
               " */\n    return ",
               name_of(rng),
               "(",
               a,
               ");\n}\n\n"});
}

std::string log_line(Rng& rng, Prose&) {
  constexpr std::array<std::string_view, 4> levels = {"INFO", "WARN", "DEBUG", "ERROR"};
  return join({"2031-", two(rng, 12), "-",      two(rng, 28),         " ",        two(rng, 24),      ":", two(rng, 60),
               ":",     two(rng, 60), " ",      pick(rng, levels),    " [",       pick(rng, kNouns), "-", number(rng, 0, 63),
               "] ",    name_of(rng), " took ", number(rng, 1, 5000), " ms, id ", hex(rng, 12),      "\n"});
}

std::string markup(Rng& rng, Prose& prose) {
  switch (rng.below(3)) {
    case 0:
      return join({"<li class=\"", pick(rng, kNouns), "\"><a href=\"/", name_of(rng), "/", number(rng, 1, 9999), "\">",
                   pick(rng, kPlaces), "</a></li>\n"});
    case 1:
      return join({"<p>", prose.next().text, "</p>\n"});
    default:
      return join({"<td>", pick(rng, kPeople), "</td><td>", number(rng, 1, 100000), "</td>\n"});
  }
}

std::string cell(Rng& rng, Prose&) {
  std::string out = pick(rng, kPlaces);
  for (int column = 0; column < 5; ++column) out += join({",", number(rng, 0, 99999), ".", number(rng, 0, 9)});
  return out + "\n";
}

/// The same few sentences over and over, as in boilerplate and templates; now and then something that stands there once.
std::string refrain(Rng& rng, Prose& prose) {
  static constexpr std::array<std::string_view, 8> phrases = {
      "Please keep this page for your records. ",    "Nothing further is needed today. ",   "All times are given in local time. ",
      "The doors open at nine and close at five. ",  "See the next page for details. ",     "Thank you for your patience. ",
      "Terms and conditions apply to every order. ", "This notice was sent automatically. "};
  if (rng.below(8) == 0) return fact(rng, prose);
  return pick(rng, phrases);
}

struct Kind {
  std::string_view name;
  std::string (*piece)(Rng&, Prose&);
};
constexpr Kind kKinds[] = {{"prose", sentence}, {"facts", fact},     {"dialogue", dialogue}, {"records", entry},
                           {"code", function},  {"lists", item},     {"log", log_line},      {"markup", markup},
                           {"table", cell},     {"refrain", refrain}};

}  // namespace

std::vector<std::string_view> text_kinds() {
  std::vector<std::string_view> out;
  for (const Kind& kind : kKinds) out.push_back(kind.name);
  return out;
}

std::string make_text(std::uint64_t seed, std::uint64_t index, std::size_t characters) {
  Rng rng("calibration", tasks::Split::train, seed, index);
  Prose sentences(Rng("calibration prose", tasks::Split::train, seed, index));
  const Kind& kind = kKinds[index % std::size(kKinds)];
  std::string out;
  while (out.size() < characters) out += kind.piece(rng, sentences);
  return out;
}

}  // namespace namm::calibrate
