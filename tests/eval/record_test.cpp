#include "eval/record.hpp"

#include <cmath>

#include "eval/record_file.hpp"
#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm::eval;
using namespace namm::test;
using nlohmann::json;

namespace {

/// Every field another value, none of them the one that a record begins with.
json filled() {
  json out = {
      {"model", "m.gguf"},
      {"architecture", "llama"},
      {"policy", "h2o"},
      {"task", "passkey"},
      {"budget", "25%"},
      {"mode", "pooled"},
      {"attachment", "callback"},
      {"length_tokens", 700},
      {"samples", 2},
      {"independent", 1},
      {"cut_prompts", 1},
      {"prompts", {{"unit", {"a", "b"}}, {"score", {0.25, 1}}, {"exact", {0, 1}}, {"answer_log_likelihood", {-0.5, nullptr}}}},
      {"seed", 18446744073709551615u},
      {"interval_tokens", 128},
      {"peak_rss_bytes", 123456789},
      {"workers", 3},
      {"threads", 2},
      {"version", "9.9"},
      {"commit", "0123456789ab-dirty"},
      {"store", "q8_0,q4_0"},
      {"memory", "0123456789abcdef"},
      {"settings", {{"split", "test"}, {"cells", 7}, {"compress", "once"}, {"store", "q8_0"}}}};
  double value = 0.1;
  for (const char* name : {"quality",
                           "quality_change",
                           "quality_change_p",
                           "quality_relative",
                           "exact",
                           "answer_log_likelihood",
                           "answer_log_likelihood_delta",
                           "answer_log_likelihood_delta_p",
                           "fidelity_kl",
                           "logical_saving",
                           "physical_saving",
                           "kv_bytes_peak",
                           "kv_bytes_final",
                           "kv_bytes_full",
                           "statistics_bytes_peak",
                           "entries_final",
                           "entries_full",
                           "cells_final",
                           "cells_peak",
                           "cells_allocated",
                           "prefill_tokens_per_second",
                           "decode_tokens_per_second"})
    out[name] = value += 1.0 / 3;
  for (const char* name :
       {"quality_ci95", "quality_change_ci95", "exact_ci95", "quality_relative_ci95", "answer_log_likelihood_delta_ci95"}) {
    out[name] = {value, value + 1};
    value += 1.0 / 3;
  }
  out["answer_nll_change"] = -out["answer_log_likelihood_delta"].get<double>();
  out["answer_nll_change_ci95"] = {-out["answer_log_likelihood_delta_ci95"][1].get<double>(),
                                   -out["answer_log_likelihood_delta_ci95"][0].get<double>()};
  return out;
}

/// The same as it comes back: who worked, and with how many, is written but not read.
json without_workers(json record) {
  record.erase("workers");
  record.erase("threads");
  return record;
}

}  // namespace

TEST_CASE("record: every field comes back as it was written, to the last bit") {
  const json before = filled();
  const json after = to_json(record_from_json(json::parse(before.dump())));
  CHECK(without_workers(after) == without_workers(before));
  std::size_t same = 0;
  for (const auto& [name, value] : after.items()) same += before.contains(name) ? 1 : 0;
  CHECK(same == before.size());
  CHECK(same == after.size());  // a field that is written but not in filled() is not tested: add it there
}

TEST_CASE("record: what is unknown is null, and cells are the callback's alone") {
  ResultRecord record = record_from_json(filled());
  record.fidelity_kl = NAN;
  record.quality_relative_ci95[0] = record.quality_relative_ci95[1] = INFINITY;
  record.attachment = "backend";
  const json written = to_json(record);
  CHECK(written["fidelity_kl"].is_null());
  CHECK(written["quality_relative_ci95"] == json({nullptr, nullptr}));
  CHECK(!written.contains("cells_final"));
  const ResultRecord back = record_from_json(written);
  CHECK(std::isnan(back.fidelity_kl));
  CHECK(std::isnan(back.quality_relative_ci95[1]));
  CHECK(std::isnan(back.cells_peak));
}

TEST_CASE("record: old lines without later fields still load") {
  const json old = {{"model", "m"}, {"architecture", "llama"}, {"policy", "default"}, {"task", "passkey"}, {"budget", "25%"}};
  const ResultRecord record = record_from_json(old);
  CHECK(record.memory.empty());
  CHECK(record.commit.empty());
  CHECK(record.mode.empty());
  CHECK(record.attachment == "backend");
  CHECK(record.seed == 0);
  CHECK(record.samples == 0);
  CHECK(std::isnan(record.quality));
  CHECK(std::isnan(record.quality_ci95[0]));
  CHECK(record.settings == json{{"compress", "chunked"}, {"store", "f16"}});
  CHECK(record.prompts.units.empty());
  CHECK(std::isnan(record.quality_change_p));
}

TEST_CASE("record: what is no record is refused with the field's name") {
  CHECK_THROWS_WITH(record_from_json(json::array()), Contains("JSON object"));
  for (const char* name : {"model", "architecture", "policy", "task", "budget"}) {
    json wrong = filled();
    wrong.erase(name);
    CHECK_THROWS_WITH(record_from_json(wrong), Contains(name));
    wrong[name] = 7;
    CHECK_THROWS_WITH(record_from_json(wrong), Contains(name));
  }
  for (const auto& [name, value] : std::vector<std::pair<const char*, json>>{{"quality", "high"},
                                                                             {"samples", -1},
                                                                             {"samples", 1e300},
                                                                             {"length_tokens", 3'000'000'000u},
                                                                             {"peak_rss_bytes", 1e16}}) {
    json wrong = filled();
    wrong[name] = value;
    CAPTURE(name);
    CHECK_THROWS_WITH(record_from_json(wrong), Contains(name));
  }
}

TEST_CASE("record: prompts that do not fit the record are refused") {
  const auto refused = [](auto change) {
    json wrong = filled();
    change(wrong["prompts"]);
    CHECK_THROWS_WITH(record_from_json(wrong), Contains("\"prompts\""));
  };
  refused([](json& prompts) { prompts = 7; });
  refused([](json& prompts) { prompts["score"] = {1}; });
  refused([](json& prompts) { prompts["unit"] = {"a", 2}; });
  refused([](json& prompts) { prompts["exact"] = {1, "no"}; });
  refused([](json& prompts) { prompts.erase("answer_log_likelihood"); });
}

TEST_CASE("record files: empty lines do not count, an unfinished last line only where a file is still written") {
  const Folder folder;
  const std::string line = filled().dump() + "\n";
  write(folder / "r.jsonl", line + "\n  \n" + line);
  CHECK(load_results(folder / "r.jsonl").size() == 2);
  write(folder / "r.jsonl", line + line.substr(0, 40));
  CHECK_THROWS_WITH(load_results(folder / "r.jsonl"), Contains("r.jsonl:2:"));
  CHECK(load_unfinished_results(folder / "r.jsonl").size() == 1);
  write(folder / "r.jsonl", "\n");
  CHECK_THROWS_WITH(load_results(folder / "r.jsonl"), Contains("is empty"));
  CHECK(load_unfinished_results(folder / "r.jsonl").empty());
}
