#include "cli/result_file.hpp"

#include <stdexcept>

#include "namm/json_limits.hpp"
#include "tasks/line_reader.hpp"

namespace namm::cli {
namespace {

constexpr std::size_t kLongestLine = std::size_t{1} << 20;
constexpr std::size_t kMostRecords = 100'000;

}  // namespace

std::vector<ResultRecord> load_results(const std::filesystem::path& path) {
  tasks::LineReader reader(path, kLongestLine);
  std::vector<ResultRecord> out;
  for (std::string line; reader.next(line);) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      detail::check_json(line);
      out.push_back(record_from_json(nlohmann::json::parse(line)));
    } catch (const std::exception& error) {
      throw std::runtime_error(reader.where() + detail::one_line(error.what()) + "; give a file written by 'namm eval --json'");
    }
    if (out.size() > kMostRecords)
      throw std::runtime_error(reader.where() + "results must be at most " + std::to_string(kMostRecords) +
                               ", are more; split the file");
  }
  if (out.empty())
    throw std::runtime_error(path.string() + ": must hold results, is empty; give a file written by 'namm eval --json'");
  return out;
}

}  // namespace namm::cli
