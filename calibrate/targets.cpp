#include "calibrate/targets.hpp"

#include <algorithm>
#include <stdexcept>

#include "tasks/random.hpp"

namespace namm::calibrate {
namespace {

constexpr std::string_view kNames[] = {"reconstruction", "later", "planted", "answers"};
constexpr int kPlanted = 6;  // facts hidden in one text

void append(std::vector<Token>& to, std::span<const Token> more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// Behind what is there: `tokens` of a question, then `answer`, whose writing is watched. The position before a token writes it.
void ask(Passage& passage, std::span<const Token> question, std::span<const Token> answer) {
  append(passage.tail, question);
  const auto begin = static_cast<std::int32_t>(passage.tokens());
  append(passage.tail, answer);
  passage.queries.push_back({begin - 1, begin + static_cast<std::int32_t>(answer.size()) - 1});
}

struct Fact {
  std::string sentence, question, answer;
};

Fact make_fact(tasks::Rng& rng) {
  constexpr std::string_view things[] = {"locker", "parcel",  "invoice", "ticket",  "vault", "channel",
                                         "flight", "account", "voucher", "licence", "badge", "crate"};
  constexpr std::string_view colours[] = {"amber", "violet", "scarlet", "ivory", "indigo", "olive", "crimson", "teal"};
  const std::string_view thing = things[rng.below(std::size(things))];
  const std::string label = std::string(colours[rng.below(std::size(colours))]) + " " + std::string(thing);
  const std::string answer = std::to_string(rng.between(10000, 9999999));
  return {"\nNote: " + label + " -> " + answer + "\n", "\nNote: " + label + " ->", " " + answer};
}

/// The host's text of about `length` tokens of this context.
std::vector<Token> cut(const Host& host, const std::string& text, std::size_t length) {
  std::vector<Token> tokens = host.tokenize(text, false);
  if (length > 0 && tokens.size() > length) tokens.resize(length);
  return tokens;
}

/// Puts facts between tokens of the context, at even distances, and asks for them in another order.
void plant(const Host& host, Passage& passage, std::span<const Token> opening, std::span<const Token> body, tasks::Rng& rng,
           std::span<const Token> closing) {
  std::vector<Fact> facts;
  for (int i = 0; i < kPlanted; ++i) facts.push_back(make_fact(rng));
  append(passage.context, opening);
  std::size_t from = 0;
  for (int i = 0; i < kPlanted; ++i) {
    const std::size_t to = body.size() * static_cast<std::size_t>(i + 1) / (kPlanted + 1);
    append(passage.context, body.subspan(from, to - from));
    append(passage.context, host.tokenize(facts[static_cast<std::size_t>(i)].sentence, false));
    from = to;
  }
  append(passage.context, body.subspan(from));
  append(passage.tail, closing);
  tasks::shuffle(facts, rng);
  for (const Fact& fact : facts) ask(passage, host.tokenize(fact.question, false), host.tokenize(fact.answer, false));
}

}  // namespace

Target parse_target(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == name) return static_cast<Target>(i);
  throw std::invalid_argument("--target: must be reconstruction, later, planted or answers, is \"" +
                              std::string(name.substr(0, 40)) + "\"");
}

std::string_view to_string(Target target) {
  return kNames[static_cast<std::size_t>(target)];
}

Passage make_passage(const Host& host, Target target, const Source& source, std::size_t length_tokens, bool chat,
                     std::uint64_t seed) {
  const Host::ChatTemplate turn = chat ? host.chat_template() : Host::ChatTemplate{};
  std::vector<Token> opening = host.tokenize("", true);
  if (!turn.before_user.empty()) {
    const std::vector<Token> words = host.tokenize_template(turn.before_user);
    if (!opening.empty() && !words.empty() && opening.front() == words.front()) opening.clear();
    append(opening, words);
  }
  const std::vector<Token> closing = turn.after_user.empty() ? std::vector<Token>{} : host.tokenize_template(turn.after_user);
  const std::vector<Token> body = cut(host, source.context, length_tokens);
  Passage out;
  tasks::Rng rng("calibration facts", tasks::Split::train, seed, 0);
  if (target == Target::planted) {
    plant(host, out, opening, body, rng, closing);
    return out;
  }
  append(out.context, opening);
  append(out.context, body);
  if (target == Target::later) {
    out.queries = {{0, static_cast<std::int32_t>(out.context.size())}};
  } else if (target == Target::reconstruction) {
    std::vector<Token> request = host.tokenize("\n\nRepeat the text above, word for word.", false);
    append(request, closing);
    ask(out, request, body);
  } else {
    if (source.answer.empty()) throw std::invalid_argument("--target answers: needs prompts with answers; this one has none");
    std::vector<Token> question = host.tokenize(source.question, false);
    append(question, closing);
    ask(out, question, host.tokenize(source.answer, false));
  }
  return out;
}

}  // namespace namm::calibrate
