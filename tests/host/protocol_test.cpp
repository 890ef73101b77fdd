#include "host/protocol.hpp"

#include "tests/check.hpp"
#include "tests/support/fake_host.hpp"

using namespace namm;
using namespace namm::evolve;

namespace {

tasks::Sample sample() {
  tasks::Sample s;
  s.context = "a b #4 c";
  s.question = " what now";
  s.answer_prefix = " it is";
  s.answers = {"#4", "four"};
  return s;
}

/// Remembers what was tokenised.
class Texts final : public Host {
 public:
  explicit Texts(ChatTemplate chat) : host_({chat, {}, nullptr}) {}
  std::vector<Token> tokenize(std::string_view text, bool add_special) const override {
    seen.emplace_back(add_special ? "+" : "").append(text);
    return host_.tokenize(text, add_special);
  }
  std::vector<Token> tokenize_template(std::string_view text) const override {
    seen.emplace_back("t:").append(text);
    return host_.tokenize(text, false);
  }
  const HostDescription& description() const override { return host_.description(); }
  std::string detokenize(std::span<const Token> tokens) const override { return host_.detokenize(tokens); }
  ChatTemplate chat_template() const override { return host_.chat_template(); }
  void reset(const CachePolicy&) override {}
  void evaluate(std::span<const Token>) override {}
  void update() override {}
  std::vector<double> log_likelihood(std::span<const Token>) override { return {}; }
  Generation generate(int, bool) override { return {}; }
  CacheUsage usage() const override { return {}; }
  mutable std::vector<std::string> seen;

 private:
  fake::Host host_;
};

std::vector<std::string> encoded(const tasks::Sample& s, const Host::ChatTemplate& chat, ProtocolSettings settings = {}) {
  Texts host(chat);
  encode_prompt(host, s, nullptr, settings);
  return host.seen;
}

}  // namespace

TEST_CASE("a prompt is tokenised in three parts, special tokens in front only", "[protocol]") {
  using Parts = std::vector<std::string>;
  CHECK(encoded(sample(), {}) == Parts{"+a b #4 c", " what now it is", " #4"});
  const Host::ChatTemplate chat{"<user>", "<end>\n<model>\n"};
  CHECK(encoded(sample(), chat) == Parts{"+", "t:<user>", "a b #4 c", " what now", "t:<end>\n<model>\n", " it is", " #4"});
  CHECK(encoded(sample(), chat, {.chat_template = false}) == Parts{"+a b #4 c", " what now it is", " #4"});
  tasks::Sample bare = sample();
  bare.answer_prefix.clear();  // no space behind a line break
  CHECK(encoded(bare, chat) == Parts{"+", "t:<user>", "a b #4 c", " what now", "t:<end>\n<model>\n", "#4"});
  bare.question.clear();
  CHECK(encoded(bare, {}) == Parts{"+a b #4 c", " #4"});
  bare.answers.clear();
  CHECK(encoded(bare, {}) == Parts{"+a b #4 c"});

  fake::Host host(fake::Script{chat, {}, nullptr});
  const std::vector<Token> context = encode_prompt(host, sample(), nullptr, {}).context;
  CHECK(context.size() == 6);
  CHECK(std::count(context.begin(), context.end(), fake::kStart) == 1);
  fake::Host names_start(fake::Script{{"<s> user", ""}, {}, nullptr});
  const std::vector<Token> once = encode_prompt(names_start, sample(), nullptr, {}).context;
  CHECK(std::count(once.begin(), once.end(), fake::kStart) == 1);
}

TEST_CASE("prompts are told apart by their tokens and by where the parts end, not by their ids", "[protocol]") {
  Prompt a;
  a.sample.id = "a";
  a.context = {1, 2, 3};
  a.question = {4};
  Prompt b = a;
  b.sample.id = "b";
  CHECK(token_hash(a) == token_hash(b));
  b.context = {1, 3, 2};
  CHECK(token_hash(a) != token_hash(b));
  b.context = {1, 2};
  b.question = {3, 4};
  CHECK(token_hash(a) != token_hash(b));
  b = a;
  std::swap(b.question, b.answer);
  CHECK(token_hash(a) != token_hash(b));
}

TEST_CASE("the update comes before the question, or after it", "[protocol]") {
  fake::Host host;
  const Prompt prompt = encode_prompt(host, sample(), nullptr, {});
  CHECK(prompt.context.size() == 5);
  CHECK(prompt.question.size() == 4);
  CHECK(prompt.answer == std::vector<Token>{fake::kNeedle + 4});
  present(host, CachePolicy{}, prompt, {});
  CHECK(host.calls == "reset;evaluate 5;update;evaluate 4;");
  host.calls.clear();
  present(host, CachePolicy{}, prompt, {.question_after = false});
  CHECK(host.calls == "reset;evaluate 5;evaluate 4;update;");
}
