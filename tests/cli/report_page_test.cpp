#include <regex>

#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

const std::string kHostile = "</script><img src=x onerror=alert(1)>\"'&|`\x1b[31m";

json record(const std::string& policy, const std::string& budget, double kept, double quality) {
  return {{"model", kHostile},
          {"architecture", "llama"},
          {"policy", policy},
          {"task", "passkey" + kHostile},
          {"length_tokens", 512},
          {"budget", budget},
          {"mode", policy == "full" ? "" : "uniform"},
          {"samples", 20},
          {"seed", 7},
          {"quality", quality},
          {"quality_ci95", {quality - 0.1, quality + 0.1}},
          {"quality_relative", quality / 0.9},
          {"answer_log_likelihood_delta", quality - 0.9},
          {"answer_log_likelihood_delta_ci95", {quality - 1.0, quality - 0.8}},
          {"logical_saving", 1 - kept},
          {"physical_saving", 0.9 - kept}};
}

json prompt_line() {
  return {{"record", "prompt"},
          {"model", kHostile},
          {"task", "passkey" + kHostile},
          {"length_tokens", 512},
          {"prompt", "p/1"},
          {"kinds", "xwpdwwww"},
          {"pieces", {"", "Key", ":", " 7", kHostile, " e", " f", " g"}}};
}

json retention_line(const std::string& policy) {
  return {{"record", "retention"},
          {"model", kHostile},
          {"policy", policy},
          {"task", "passkey" + kHostile},
          {"length_tokens", 512},
          {"budget", "25%"},
          {"mode", "uniform"},
          {"interval_tokens", 128},
          {"prompt", "p/1"},
          {"heads", {{0, 0, 2}, {3, 1, 3}}},
          {"kept_by", {2, 0, 0, 1, 0, 0, 1, 1}},
          {"timeline", {{4, 100}, {8, 120}}},
          {"kv_bytes_full", 400},
          {"score", 1.0},
          {"answer_log_likelihood_delta", -0.25}};
}

std::string results() {
  std::string text = record("full", "none", 1, 0.9).dump() + "\n";
  for (const auto& [budget, kept, quality] : {std::tuple("50%", 0.5, 0.8), std::tuple("25%", 0.25, 0.6)}) {
    text += record("h2o", budget, kept, quality).dump() + "\n";
    text += record("runs/mine/policy.json", budget, kept, quality + 0.1).dump() + "\n";
  }
  return text;
}

std::string details() {
  return prompt_line().dump() + "\n" + retention_line("h2o").dump() + "\n" + retention_line("runs/mine/policy.json").dump() +
         "\n";
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
  return out;
}

}  // namespace

TEST_CASE("inspect tells details from results") {
  const Folder folder;
  write(folder / "r.jsonl", results());
  write(folder / "d.jsonl", details());
  const Outcome outcome = run_program({"inspect", folder / "r.jsonl", folder / "d.jsonl", "--json", folder / "facts.jsonl"});
  REQUIRE(outcome.code == 0);
  const std::vector<json> facts = parse_lines(read(folder / "facts.jsonl"));
  REQUIRE(facts.size() == 2);
  CHECK(facts[0]["kind"] == "results");
  CHECK(facts[0]["records"] == 5);
  CHECK(facts[1]["kind"] == "details");
  CHECK(facts[1]["prompts"] == 1);
  CHECK(facts[1]["retentions"] == 2);
  CHECK(facts[1]["policies"] == json({"h2o", "runs/mine/policy.json"}));
}

TEST_CASE("the page holds charts, tables and data, needs nothing else, and keeps markup of files as text") {
  const Folder folder;
  write(folder / "r.jsonl", results());
  write(folder / "d.jsonl", details());
  const Outcome outcome = run_program({"report", folder / "r.jsonl", folder / "d.jsonl", "--output", folder / "report.html"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const std::string page = read(folder / "report.html");
  CHECK(page.rfind("<!DOCTYPE html>", 0) == 0);
  CHECK(page.find("default-src 'none'") != std::string::npos);
  for (const char* outside : {"http://", "https://", "src=\"", "@import", "url("})
    CHECK(count(page, outside) == (std::string(outside) == "http://" ? 1 : 0));  // the name of the SVG namespace in the script
  CHECK(count(page, "<script") == 2);
  CHECK(count(page, "</script>") == 2);
  CHECK(count(page, "<img") == 0);
  CHECK(page.find('\x1b') == std::string::npos);
  CHECK(page.find("&lt;/script&gt;&lt;img src=x") != std::string::npos);
  CHECK(count(page, "<svg class='chart'") == 3);  // quality, log-likelihood, memory at 25 %
  CHECK(page.find("class='interval'") != std::string::npos);
  CHECK(count(page, "<div class=number>") >= 2);
  CHECK(page.find("id=verdict") < page.find("id=kept"));
  CHECK(page.find("id=kept") < page.find("id=curves"));
  CHECK(page.find("frees ") != std::string::npos);
  CHECK(count(page, "<th scope=row class=left>full</th>") >= 2);  // in the overview and in the tables
  for (const char* part : {"id=overview", "id=curves", "id=tables", "id=kept", "id=memory", "id=terms", ">mine<"})
    CHECK(page.find(part) != std::string::npos);

  // the script's data is what the details say
  const std::size_t begin = page.find(" id=data>") + 9, end = page.find("</script>", begin);
  const json data = json::parse(page.substr(begin, end - begin));
  REQUIRE(data["settings"].size() == 2);
  CHECK(data["first"] == 1);  // the policy from a file
  CHECK(data["prompts"][0]["pieces"][4] == kHostile);
  const json& mine = data["settings"][1];
  CHECK(mine["label"] == "mine, 25%, uniform");
  CHECK(mine["heads"] == json({{0, 0, 2, 8}, {3, 1, 3, 8}}));
  CHECK(mine["tasks"][0]["kinds"][5] == json({1, 2}));  // digits: one token, kept by one of two heads
  CHECK(mine["tasks"][0]["kinds"][8] == json({2, 2}));  // control tokens
  CHECK(mine["runs"][0]["kept_by"] == json({2, 0, 0, 1, 0, 0, 1, 1}));
}

TEST_CASE("points of a chart stand where their values say") {
  const Folder folder;
  write(folder / "r.jsonl", results());
  REQUIRE(run_program({"report", folder / "r.jsonl", "-o", folder / "report.html"}).code == 0);
  const std::string page = read(folder / "report.html");
  // h2o is the second line: 25 % kept has quality 0.6, 50 % 0.8; the axis of x is logarithmic, 25 to 50 %
  std::smatch found;
  const std::regex line("class='series s1' [^>]*><path class='line' d='M([0-9.]+) ([0-9.]+)L([0-9.]+) ([0-9.]+)'");
  REQUIRE(std::regex_search(page, found, line));
  const double x25 = std::stod(found[1]), y25 = std::stod(found[2]), x50 = std::stod(found[3]), y50 = std::stod(found[4]);
  CHECK(x25 < x50);
  CHECK(y50 < y25);  // up is better
  const std::regex tick("y1='([0-9.]+)' y2='[0-9.]+'/><text class='tick'[^>]*>([0-9.]+)</text>");
  double at06 = -1, at08 = -1;
  for (std::sregex_iterator it(page.begin(), page.end(), tick), none; it != none && at08 < 0; ++it) {
    if ((*it)[2] == "0.6") at06 = std::stod((*it)[1]);
    if ((*it)[2] == "0.8") at08 = std::stod((*it)[1]);
  }
  CHECK(y25 == Approx(at06).margin(0.11));
  CHECK(y50 == Approx(at08).margin(0.11));
}

TEST_CASE("Markdown has an overview and what was kept of each kind of token") {
  const Folder folder;
  write(folder / "r.jsonl", results());
  write(folder / "d.jsonl", details());
  REQUIRE(run_program({"report", folder / "d.jsonl", folder / "r.jsonl", "-o", folder / "report.md"}).code == 0);
  const std::string text = read(folder / "report.md");
  CHECK(text.find("### overview: ") == 0);
  for (const char* part : {"25% of full", "78 %", "| mine ", "### kept by kind of token", " 31 %", " 50 %"})
    CHECK(text.find(part) != std::string::npos);
  CHECK(text.find("<img") == text.find("\\<img") + 1);  // escaped
}

TEST_CASE("damaged details are refused with file and line") {
  const Folder folder;
  const std::string file = folder / "d.jsonl";
  const auto refused = [&](const json& line, const std::string& part) {
    write(file, prompt_line().dump() + "\n" + line.dump() + "\n");
    check_refused(run_program({"report", file, "-o", folder / "x.html"}), 1, {"d.jsonl:2:", part});
  };
  const json good = retention_line("h2o");
  const auto changed = [&](const char* name, const json& value) {
    json line = good;
    line[name] = value;
    return line;
  };
  refused(changed("kept_by", {2, 0}), "kept_by");
  refused(changed("kept_by", {3, 0, 0, 1, 0, 0, 1, 1}), "kept_by");
  refused(changed("kept_by", {-1, 0, 0, 1, 0, 0, 1, 1}), "kept_by");
  refused(changed("heads", {{0, 0, 9}, {3, 1, 3}}), "heads");
  refused(changed("heads", {{0, 0}, {3, 1}}), "heads");
  refused(changed("heads", {{1e300, 0, 1}}), "heads");
  refused(changed("timeline", {{4, -1}}), "timeline");
  refused(changed("timeline", {{4, 100, -2}}), "timeline");
  refused(changed("prompt", "another"), "prompt");
  refused(changed("policy", 7), "policy");
  json prompt = prompt_line();
  prompt["kinds"] = "xw?dwwww";
  refused(prompt, "kinds");
  prompt = prompt_line();
  prompt["evidence"] = {{2, 8}};
  refused(prompt, "evidence");
  prompt = prompt_line();  // what retentions of the one before count by
  prompt["kinds"] = "xwpdwww";
  prompt["pieces"].erase(std::size_t{0});
  refused(prompt, "must have the text of the one of that name before it (8 tokens), has another (7)");
  prompt = prompt_line();  // as many, but others
  prompt["pieces"][7] = " h";
  refused(prompt, "has another (8)");
  write(file, prompt_line().dump() + "\n{\"record\": \"retent");
  check_refused(run_program({"report", file}), 1, {"d.jsonl:2:"});
  CHECK(folder.names() == std::vector<std::string>{"d.jsonl"});
}
