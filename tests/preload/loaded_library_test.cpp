// Programs that load llama.cpp for themselves, where the preloaded library does not stand in the search order.
#include <cmath>

#include "tests/preload/attached.hpp"

using namespace namm::test;

namespace {

Words program() {
  return {NAMM_LOADING_PROGRAM, NAMM_LLAMA_LIBRARY, model_file(), "200"};
}

Outcome attached_loader(const Words& options) {
  Words words = {"attach"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back("--");
  for (const std::string& word : program()) words.push_back(word);
  return run_program(words);
}

}  // namespace

TEST_CASE("a program that loads llama.cpp for itself is attached to", "[preload][attach]") {
  const auto plain = numbers(run_command(program())), full = numbers(attached_loader({"--policy", "full"}));
  REQUIRE(plain.size() == 2);
  REQUIRE(full.size() == 2);
  CHECK(full[0][0] == 0);
  double apart = 0, top = 0;
  for (std::size_t i = 0; i < plain[1].size(); ++i) {
    apart = std::max(apart, std::abs(plain[1][i] - full[1][i]));
    top = std::max(top, std::abs(plain[1][i]));
  }
  CHECK(apart < 0.01 * top);
  const Outcome evicting = attached_loader(kEvicting);
  CHECK_THAT(evicting.err, Contains("policy h2o-mean attached"));
  CHECK(numbers(evicting)[0][0] == 191);  // the update at 192
}
