#include "tasks/prose.hpp"

#include <map>
#include <stdexcept>
#include <vector>

#include "tasks/prose_grammar.hpp"

namespace namm::tasks {
namespace {

constexpr std::array<std::string_view, Prose::kBoundCount> kBoundNames = {"hero",    "he",   "his",   "him",  "other",
                                                                          "surname", "town", "thing", "trade"};
constexpr char kArticle = '\x01';  ///< stands for "a" or "an" until the next word is known

struct Segment {
  enum Kind { literal, rule, bound, article, number_word, digits } kind = literal;
  std::string_view text;
  int index = 0;  ///< of the rule or bound word; number of digits, 0 for a year
};
using Alternative = std::vector<Segment>;

/// The rules, parsed once.
class Grammar {
 public:
  Grammar() {
    for (const auto table : {prose_words(), prose_sentences()})
      for (const GrammarRule& rule : table) index_.emplace(rule.name, static_cast<int>(index_.size()));
    rules_.resize(index_.size());
    for (const auto table : {prose_words(), prose_sentences()})
      for (const GrammarRule& rule : table) rules_[static_cast<std::size_t>(find(rule.name))] = parse(rule.alternatives);
  }
  int find(std::string_view name) const {
    const auto found = index_.find(name);
    if (found == index_.end()) throw std::logic_error("prose grammar: no rule '" + std::string(name) + "'");
    return found->second;
  }
  const std::vector<Alternative>& alternatives(int rule) const { return rules_[static_cast<std::size_t>(rule)]; }

 private:
  std::vector<Alternative> parse(std::string_view text) const {
    std::vector<Alternative> all(1);
    std::size_t start = 0;
    const auto flush = [&](std::size_t end) {
      if (end > start) all.back().push_back({Segment::literal, text.substr(start, end - start), 0});
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '|') {
        flush(i);
        all.emplace_back();
        start = i + 1;
      } else if (text[i] == '{') {
        flush(i);
        const std::size_t end = text.find('}', i);
        all.back().push_back(slot(text.substr(i + 1, end - i - 1)));
        i = end;
        start = end + 1;
      }
    }
    flush(text.size());
    return all;
  }
  Segment slot(std::string_view name) const {
    for (std::size_t b = 0; b < kBoundNames.size(); ++b)  // the words of a rule and the paragraph's own may share a name
      if (name == kBoundNames[b] && b < Prose::surname) return {Segment::bound, name, static_cast<int>(b)};
    if (name == "a") return {Segment::article, name, 0};
    if (name == "numword") return {Segment::number_word, name, 0};
    if (name == "digits:year") return {Segment::digits, name, 0};
    if (name.starts_with("digits:")) return {Segment::digits, name, name.back() - '0'};
    return {Segment::rule, name, find(name)};
  }

  std::map<std::string_view, int> index_;
  std::vector<std::vector<Alternative>> rules_;
};

const Grammar& grammar() {
  static const Grammar instance;
  return instance;
}

void append_number_word(std::string& out, std::uint64_t number) {
  static constexpr std::string_view kSmall[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                                "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                                "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
  static constexpr std::string_view kTens[] = {"",      "",      "twenty",  "thirty", "forty",
                                               "fifty", "sixty", "seventy", "eighty", "ninety"};
  if (number < 20) {
    out += kSmall[number];
    return;
  }
  out += kTens[number / 10];
  if (number % 10 != 0) {
    out += '-';
    out += kSmall[number % 10];
  }
}

/// "an" before a vowel's sound: before a, e, i, o, u, but not "useful", "one", "uniform" ...
bool takes_an(std::string_view rest) {
  for (const std::string_view exception : {"use", "usu", "uni", "one", "eu"})
    if (rest.starts_with(exception)) return false;
  return !rest.empty() && std::string_view("aeiouAEIOU").find(rest.front()) != std::string_view::npos;
}

std::string finish(const std::string& raw) {
  std::string out;
  out.reserve(raw.size() + 4);
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != kArticle) {
      out += raw[i];
      continue;
    }
    out += 'a';
    if (takes_an(std::string_view(raw).substr(i + 2))) out += 'n';
  }
  for (char& c : out) {  // the first letter, after an opening quotation mark if there is one
    if (c == '"') continue;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    break;
  }
  return out;
}

class Expander {
 public:
  Expander(Rng& rng, const std::array<std::string_view, Prose::kBoundCount>& bound) : rng_(rng), bound_(bound) {}
  void expand(int rule, std::string& out) {
    const auto& alternatives = grammar().alternatives(rule);
    for (const Segment& segment : alternatives[rng_.below(alternatives.size())]) {
      switch (segment.kind) {
        case Segment::literal:
          out += segment.text;
          break;
        case Segment::rule:
          expand_rule(segment, out);
          break;
        case Segment::bound:
          out += bound_[static_cast<std::size_t>(segment.index)];
          break;
        case Segment::article:
          out += kArticle;
          break;
        case Segment::number_word:
          append_number_word(out, rng_.between(2, 99));
          break;
        case Segment::digits:
          append_digits(segment.index, out);
          break;
      }
    }
  }

 private:
  /// The paragraph's own surname, town, thing and trade come up in one of three places where such a word is wanted.
  void expand_rule(const Segment& segment, std::string& out) {
    for (std::size_t b = Prose::surname; b < Prose::kBoundCount; ++b) {
      if (segment.text != kBoundNames[b]) continue;
      if (rng_.below(3) != 0) break;
      out += bound_[b];
      return;
    }
    expand(segment.index, out);
  }
  void append_digits(int digits, std::string& out) {
    if (digits == 0) {
      out += std::to_string(rng_.between(1702, 1989));
      return;
    }
    std::uint64_t low = 1;
    for (int i = 1; i < digits; ++i) low *= 10;
    out += std::to_string(rng_.between(low, low * 10 - 1));
  }

  Rng& rng_;
  const std::array<std::string_view, Prose::kBoundCount>& bound_;
};

std::string_view pick(Rng& rng, std::string_view rule) {
  const auto& alternatives = grammar().alternatives(grammar().find(rule));
  return alternatives[rng.below(alternatives.size())].front().text;
}

}  // namespace

void Prose::start_paragraph() {
  const bool woman = rng_.below(2) == 0;
  bound_[hero] = pick(rng_, woman ? "woman" : "man");
  bound_[he] = woman ? "she" : "he";
  bound_[his] = woman ? "her" : "his";
  bound_[him] = woman ? "her" : "him";
  do bound_[other] = pick(rng_, rng_.below(2) == 0 ? "woman" : "man");
  while (bound_[other] == bound_[hero]);
  for (const Bound b : {surname, town, thing, trade}) bound_[b] = pick(rng_, kBoundNames[b]);
  sentences_left_ = static_cast<int>(rng_.between(4, 9));
}

std::string Prose::expand(std::string_view rule) {
  std::string raw;
  raw.reserve(160);
  Expander(rng_, bound_).expand(grammar().find(rule), raw);
  return finish(raw);
}

Sentence Prose::next() {
  const bool starts = sentences_left_ == 0;
  if (starts) start_paragraph();
  --sentences_left_;
  return {expand("sentence"), starts};
}

Sentence Prose::next_short() {
  if (sentences_left_ == 0) return next();
  return {expand("brief"), false};
}

}  // namespace namm::tasks
