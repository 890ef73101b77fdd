#include "report/retention.hpp"

#include <cmath>
#include <sstream>

#include "report/retention_table.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::report;

namespace {

/// Fifty tokens, words but for a digit in front, watched in two heads of which one keeps everything and one nothing.
eval::DetailsFile watched(const std::string& memory = {}) {
  eval::DetailsFile out;
  eval::PromptDetails prompt;
  prompt.pieces.assign(50, " a");
  prompt.kinds = "d" + std::string(49, 'w');
  out.prompts = {prompt};
  eval::RetentionDetails retention;
  retention.policy = "h2o";
  retention.memory = memory;
  retention.task = "passkey";
  retention.budget = "50%";
  retention.mode = "uniform";
  retention.heads = {{0, 0, 50}, {4, 1, 0}};
  retention.kept_by.assign(50, 1);
  out.retentions = {retention};
  out.prompt_of = {0};
  return out;
}

}  // namespace

TEST_CASE("retention: shares by head, position and kind add up to the same entries") {
  eval::DetailsFile file = watched();
  auto& kept_by = file.retentions[0].kept_by;
  kept_by[0] = 2;  // the digit is kept by both, the last word by none
  kept_by[49] = 0;
  file.retentions[0].heads = {{0, 0, 49}, {4, 1, 1}};
  const auto found = retentions_of(file);
  REQUIRE(found.size() == 1);
  const Retention& one = found[0];
  CHECK(one.heads.at({0, 0}).share() == Approx(0.98));
  CHECK(one.heads.at({4, 1}).share() == Approx(0.02));
  CHECK(one.positions[0].kept == 3);  // two tokens in two heads
  CHECK(one.positions[0].tokens == 4);
  CHECK(one.positions[12].share() == Approx(0.5));
  CHECK(one.positions[24].share() == Approx(0.25));
  REQUIRE(one.tasks.size() == 1);
  const auto digits = static_cast<std::size_t>(eval::TokenKind::digits), words = static_cast<std::size_t>(eval::TokenKind::word);
  CHECK(one.tasks[0].kinds[digits].share() == 1);
  CHECK(one.tasks[0].kinds[words].kept == 48);
  CHECK(one.tasks[0].kinds[words].tokens == 98);
  CHECK(std::isnan(one.tasks[0].kinds[0].share()));
  for (const auto& all : {std::pair(50, 100)}) {
    KeptCount heads, positions, kinds;
    for (const auto& [place, count] : one.heads) heads += count;
    for (const KeptCount& count : one.positions) positions += count;
    for (const KeptCount& count : one.tasks[0].kinds) kinds += count;
    for (const KeptCount& sum : {heads, positions, kinds}) {
      CHECK(sum.kept == all.first);
      CHECK(sum.tokens == all.second);
    }
  }
  std::ostringstream out;
  print_kinds(out, found, TableFormat::markdown);
  CAPTURE(out.str());
  CHECK(out.str().find("| h2o    | 50%    | passkey | 50 % |") != std::string::npos);
  CHECK(out.str().find("49 %") != std::string::npos);
  CHECK(out.str().find("100 %") != std::string::npos);
}

TEST_CASE("retention: prompts of a task add up, tasks stand apart, the full cache is left out") {
  eval::DetailsFile file = watched();
  for (const char* task : {"passkey", "vt"}) {
    file.retentions.push_back(file.retentions[0]);
    file.retentions.back().task = task;
    file.prompt_of.push_back(0);
  }
  file.retentions.push_back(file.retentions[0]);
  file.retentions.back().policy = "full";
  file.prompt_of.push_back(0);
  const auto found = retentions_of(file);
  REQUIRE(found.size() == 1);
  CHECK(found[0].members == std::vector<std::size_t>{0, 1, 2});
  CHECK(found[0].heads.at({0, 0}).tokens == 150);
  REQUIRE(found[0].tasks.size() == 2);
  CHECK(found[0].tasks[0].kinds[static_cast<std::size_t>(eval::TokenKind::digits)].tokens == 4);
  CHECK(found[0].tasks[1].name == "vt");
}

TEST_CASE("retention: two contents of one name are not added up") {
  eval::DetailsFile file = watched("1111");
  file.retentions.push_back(watched("2222").retentions[0]);
  file.prompt_of.push_back(0);
  CHECK(retentions_of(file).size() == 2);
}
