#include "report/content.hpp"

#include "report/means.hpp"
#include "report/policy_labels.hpp"
#include "tests/check.hpp"
#include "tests/report/rows.hpp"
#include "tests/support/folder.hpp"

using namespace namm;
using namespace namm::report;
using namespace namm::test;

namespace {

std::string result_line(const std::string& policy, const std::string& memory, double quality = 0.5) {
  eval::ResultRecord record = rows::row(policy, "passkey", quality);
  record.memory = memory;
  nlohmann::json json = to_json(record);
  if (memory.empty()) json.erase("memory");  // as files of before the field was written
  return json.dump() + "\n";
}

std::string details_lines(const std::string& policy, const std::string& memory) {
  const eval::PromptDetails prompt = {"m.gguf", "passkey", 512, "p/1", {"", " a"}, "xw", {}};
  eval::RetentionDetails retention;
  retention.model = "m.gguf";
  retention.policy = policy;
  retention.memory = memory;
  retention.task = "passkey";
  retention.budget = "25%";
  retention.mode = "uniform";
  retention.length_tokens = 512;
  retention.prompt = "p/1";
  retention.heads = {{0, 0, 1}};
  retention.kept_by = {1, 0};
  return to_json(prompt).dump() + "\n" + to_json(retention).dump() + "\n";
}

std::vector<std::string> names_of(const auto& items) {
  std::vector<std::string> out;
  for (const auto& item : items) out.push_back(item.policy);
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("report: `default` of two versions is two policies, in results and in details") {
  const Folder folder;
  write(folder / "old.jsonl", result_line("default", "3f2a000000000000", 0.3));
  write(folder / "new.jsonl", result_line("default", "71bc000000000000", 0.9) + result_line("h2o", "aaaa000000000000"));
  write(folder / "details.jsonl", details_lines("default", "71bc000000000000"));
  const ReportContent both = load_report({folder / "old.jsonl", folder / "new.jsonl", folder / "details.jsonl"});
  CHECK(names_of(both.records) == Names{"default 3f2a", "default 71bc", "h2o"});
  CHECK(names_of(both.details.retentions) == Names{"default 71bc"});
  CHECK(variants_of(both.records).size() == 3);
  // alone it is what its name says
  CHECK(names_of(load_report({folder / "new.jsonl", folder / "details.jsonl"}).records) == Names{"default", "h2o"});
}

TEST_CASE("report: a result that does not tell its content is not one that does") {
  const Folder folder;
  write(folder / "r.jsonl", result_line("default", "") + result_line("default", "71bc000000000000"));
  CHECK(names_of(load_report({folder / "r.jsonl"}).records) == Names{"default", "default 71bc"});
  write(folder / "old.jsonl", result_line("default", ""));
  CHECK(names_of(load_report({folder / "old.jsonl"}).records) == Names{"default"});
}

TEST_CASE("report: details that do not tell their content keep their name, and change no other") {
  const Folder folder;
  write(folder / "r.jsonl", result_line("default", "71bc000000000000"));
  write(folder / "d.jsonl", details_lines("default", ""));
  const ReportContent content = load_report({folder / "r.jsonl", folder / "d.jsonl"});
  CHECK(names_of(content.records) == Names{"default"});
  CHECK(names_of(content.details.retentions) == Names{"default"});
}

TEST_CASE("report: as many digits are shown as tell the contents apart") {
  const Folder folder;
  write(folder / "r.jsonl", result_line("default", "71bc0a0000000000") + result_line("default", "71bc0b0000000000"));
  CHECK(names_of(load_report({folder / "r.jsonl"}).records) == Names{"default 71bc0a", "default 71bc0b"});
}

TEST_CASE("report: two files of one name are told apart, by their folders or by what was in them") {
  using Labels = std::map<std::string, std::string>;
  CHECK(policy_labels(Names{"h2o", "a/policy.json", "b/best.json"}) ==
        Labels{{"h2o", "h2o"}, {"a/policy.json", "a"}, {"b/best.json", "best"}});
  CHECK(policy_labels(Names{"a/policy.safetensors", "b/best.safetensors"}) ==
        Labels{{"a/policy.safetensors", "a"}, {"b/best.safetensors", "best"}});
  CHECK(policy_labels(Names{"x/a/policy.json", "y/a/policy.json"}) ==
        Labels{{"x/a/policy.json", "x/a/policy.json"}, {"y/a/policy.json", "y/a/policy.json"}});
  const Folder folder;
  write(folder / "r.jsonl", result_line("a/policy.json", "1111000000000000") + result_line("a/policy.json", "2222000000000000"));
  const ReportContent content = load_report({folder / "r.jsonl"});
  CHECK(names_of(content.records) == Names{"a 1111", "a 2222"});
  CHECK(content.from_file.contains("a 1111"));
  CHECK(content.from_file.contains("a 2222"));
}
