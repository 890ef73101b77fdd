#include "report/table.hpp"

#include <algorithm>
#include <sstream>

#include "report/fit_width.hpp"
#include "report/result_table.hpp"
#include "tests/check.hpp"
#include "tests/report/rows.hpp"

using namespace namm;
using namespace namm::report;

namespace {

std::vector<std::string> printed_lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::size_t widest(const std::string& text) {
  std::size_t out = 0;
  for (const std::string& line : printed_lines(text)) out = std::max(out, display_width(line));
  return out;
}

std::vector<eval::ResultRecord> long_names() {
  std::vector<eval::ResultRecord> out;
  for (const char* task : {"niah-multiquery", "kv-recall"})
    for (const char* policy :
         {"full", "experiments/of-last-week/smollm2-seed-1.json", "experiments/of-last-week/smollm2-seed-2.json"})
      for (const char* mode : {"uniform", "pooled"}) {
        if (std::string(policy) == "full" && std::string(mode) == "pooled") continue;
        eval::ResultRecord record = rows::row(policy, task, 0.05);
        if (!record.mode.empty()) record.mode = mode;
        record.model = "A-model-whose-name-is-so-long-that-no-heading-of-a-table-can-hold-it-in-one-line.Q4_K_M.gguf";
        record.logical_saving = record.physical_saving = 0.74;
        record.decode_tokens_per_second = 1234.5;
        out.push_back(record);
      }
  return out;
}

}  // namespace

TEST_CASE("a table on the screen has at most 100 columns, whatever policies are called, and begins with the mean") {
  std::ostringstream out;
  print_results(out, long_names(), TableFormat::text);
  CAPTURE(out.str());
  CHECK(widest(out.str()) <= 100);
  CHECK(out.str().rfind("mean over the 2 tables", 0) == 0);
  // told apart
  CHECK_THAT(out.str(), Contains("…") && Contains("seed-1.json") && Contains("seed-2.json"));
  CHECK_THAT(out.str(), !Contains("-0.05"));  // an interval of a score
  std::ostringstream wide;
  print_results(wide, long_names(), TableFormat::text, true);
  CHECK(widest(wide.str()) > 100);
  CHECK_THAT(wide.str(), Contains("smollm2-seed-1.json") && Contains("prefill t/s") && Contains("KL"));
  CHECK_THAT(out.str(), !Contains("prefill t/s"));
}

TEST_CASE("a table says how keys and values were held where that is not in 16 bits") {
  std::vector<eval::ResultRecord> records = {rows::row("full", "a", 1), rows::row("h2o", "a", 0.5)};
  const auto printed = [&] {
    std::ostringstream out;
    print_results(out, records, TableFormat::text);
    return out.str();
  };
  CHECK_THAT(printed(), !Contains("held as"));
  records[1].store = "q8_0,q4_0+4means";
  CHECK_THAT(printed(), Contains("held as") && Contains("q8_0,q4_0+4means") && Contains("f16"));
}

TEST_CASE("names that would become the same are not shortened") {
  std::vector<std::vector<std::string>> lines = {{std::string(60, 'a') + "1" + std::string(60, 'b'), "x"},
                                                 {std::string(60, 'a') + "2" + std::string(60, 'b'), "y"}};
  const auto before = lines;
  fit_first_column(lines, 40);
  CHECK(lines == before);
}

TEST_CASE("a table for LaTeX has as many cells in every row, and nothing in it is a command") {
  std::ostringstream out;
  print_table(out, {"policy", "freed"}, {{"a_b&c", "74 %"}, {"x\\y^z~#$", "1"}}, 1, TableFormat::latex);
  CAPTURE(out.str());
  CHECK_THAT(out.str(), Contains("\\begin{tabular}{lr}") && Contains("\\toprule") && Contains("a\\_b\\&c & 74 \\% \\\\"));
  CHECK_THAT(out.str(), Contains("x\\textbackslash{}y\\^{}z\\~{}\\#\\$ & 1 \\\\") && Contains("\\end{tabular}"));
}

TEST_CASE("LaTeX: signs of another font, and a first cell that would belong to the line before") {
  std::ostringstream out;
  print_table(out, {"[policy]", "n"}, {{"[a]<b>|c", "[1]"}, {"*", "2"}}, 1, TableFormat::latex);
  CAPTURE(out.str());
  CHECK_THAT(out.str(), Contains("\\toprule\n{[}policy] & n"));
  CHECK_THAT(out.str(), Contains("\n{[}a]\\textless{}b\\textgreater{}\\textbar{}c & [1] \\\\\n{*} & 2 "));
}
