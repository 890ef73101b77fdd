#include "eval/details.hpp"

#include <cmath>

#include "eval/details_file.hpp"
#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm::eval;
using namespace namm::test;
using nlohmann::json;

namespace {

PromptDetails prompt() {
  return {"m.gguf", "passkey", 64, "p/1", {"", "The", " key", " is", " 7", "."}, "xfwfdp", {{3, 4}}};
}

RetentionDetails retention(const std::string& policy) {
  RetentionDetails out;
  out.model = "m.gguf";
  out.policy = policy;
  out.memory = "0123456789abcdef";
  out.task = "passkey";
  out.budget = "25%";
  out.mode = "uniform";
  out.length_tokens = 64;
  out.interval_tokens = 32;
  out.prompt = "p/1";
  out.heads = {{0, 0, 2}, {3, 1, 3}};
  out.kept_by = {2, 0, 0, 1, 1, 1};
  out.timeline = {{4, 100}, {6, 120}};
  out.kv_bytes_full = 400;
  out.score = 0.5;
  out.answer_log_likelihood_delta = -0.25;
  return out;
}

std::string line(const auto& details) {
  return to_json(details).dump() + "\n";
}

}  // namespace

TEST_CASE("details: both kinds of line come back as they were written") {
  const json one = to_json(prompt()), other = to_json(retention("h2o"));
  CHECK(to_json(prompt_details_from_json(json::parse(one.dump()))) == one);
  CHECK(to_json(retention_details_from_json(json::parse(other.dump()))) == other);
  RetentionDetails unknown = retention("h2o");
  unknown.answer_log_likelihood_delta = NAN;
  CHECK(to_json(unknown)["answer_log_likelihood_delta"].is_null());
  CHECK(std::isnan(retention_details_from_json(to_json(unknown)).answer_log_likelihood_delta));
  RetentionDetails counted = retention("h2o");
  counted.timeline = {{4, 100, 30}, {6, 120, 40}};  // with statistics
  CHECK(retention_details_from_json(to_json(counted)).timeline.back().statistics_bytes == 40);
  CHECK(retention_details_from_json(other).timeline.back().statistics_bytes == -1);
  json old = other;
  old.erase("memory");  // lines of before it was written
  CHECK(retention_details_from_json(old).memory.empty());
}

TEST_CASE("details: a line that does not fit is refused with the field's name") {
  const auto refused = [](json object, const char* name, const json& value) {
    object[name] = value;
    CAPTURE(name, value.dump());
    if (object["record"] == "prompt")
      CHECK_THROWS_WITH(prompt_details_from_json(object), Contains(name));
    else
      CHECK_THROWS_WITH(retention_details_from_json(object), Contains(name));
  };
  refused(to_json(prompt()), "kinds", "xfwfd");
  refused(to_json(prompt()), "kinds", "xfwfd?");
  refused(to_json(prompt()), "evidence", {{4, 3}});
  refused(to_json(prompt()), "evidence", {{3, 6}});
  refused(to_json(prompt()), "pieces", {1, 2});
  refused(to_json(prompt()), "length_tokens", -1);
  refused(to_json(retention("h2o")), "kept_by", {3, 0, 0, 0, 0, 0});
  refused(to_json(retention("h2o")), "heads", {{0, 0, 7}, {3, 1, 3}});
  refused(to_json(retention("h2o")), "heads", {{0, 0}});
  refused(to_json(retention("h2o")), "timeline", {{1, -1}});
  refused(to_json(retention("h2o")), "score", "good");
  refused(to_json(retention("h2o")), "memory", 7);
}

TEST_CASE("details files: a line that stands twice counts once, the later one, and a prompt comes before what was kept of it") {
  const Folder folder;
  RetentionDetails later = retention("h2o");
  later.score = 1;
  write(folder / "d.jsonl", line(prompt()) + line(retention("h2o")) + line(retention("tova")) + line(prompt()) + line(later));
  CHECK(is_details_file(folder / "d.jsonl"));
  DetailsFile file;
  load_details(folder / "d.jsonl", file);
  REQUIRE(file.prompts.size() == 1);
  REQUIRE(file.retentions.size() == 2);
  CHECK(file.retentions[0].policy == "h2o");
  CHECK(file.retentions[0].score == 1);
  CHECK(file.prompt_of == std::vector<std::size_t>{0, 0});

  RetentionDetails lonely = retention("h2o");
  lonely.prompt = "p/2";
  write(folder / "d.jsonl", line(prompt()) + line(lonely));
  CHECK_THROWS_WITH(load_details(folder / "d.jsonl", file), Contains("d.jsonl:2:") && Contains("prompt"));
  RetentionDetails longer = retention("h2o");
  longer.kept_by.push_back(0);
  write(folder / "d.jsonl", line(prompt()) + line(longer));
  CHECK_THROWS_WITH(load_details(folder / "d.jsonl", file), Contains("kept_by"));
}

TEST_CASE("details files: what two policies of one name kept is not one policy's") {
  const Folder folder;
  RetentionDetails other = retention("default");
  other.memory = "fedcba9876543210";
  write(folder / "d.jsonl", line(prompt()) + line(retention("default")) + line(other));
  DetailsFile file;
  load_details(folder / "d.jsonl", file);
  CHECK(file.retentions.size() == 2);
}
