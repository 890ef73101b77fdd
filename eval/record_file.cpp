#include "eval/record_file.hpp"

#include <fstream>
#include <stdexcept>

#include "base/json_limits.hpp"
#include "base/line_reader.hpp"

namespace namm::eval {
namespace {

constexpr std::size_t kLongestLine = std::size_t{64} << 20;  // a prompt takes about 70 bytes of it
constexpr std::size_t kMostRecords = 100'000;

/// Whether the last byte of a file ends a line; true if there is none.
bool ends_with_line(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() <= 0) return true;
  in.seekg(-1, std::ios::end);
  return in.get() == '\n';
}

std::vector<ResultRecord> read_records(const std::filesystem::path& path, bool cut) {
  LineReader reader(path, kLongestLine);
  std::vector<ResultRecord> out;
  std::string line, next;
  for (bool more = reader.next(line); more; line = next) {
    const std::string where = reader.where();
    more = reader.next(next);
    if ((!more && cut) || line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      out.push_back(record_from_json(detail::parse_json(line)));
    } catch (const std::exception& error) {
      throw std::runtime_error(where + detail::one_line(error.what()) + "; give a file written by 'namm eval --json'");
    }
    if (out.size() > kMostRecords)
      throw std::runtime_error(where + "results must be at most " + std::to_string(kMostRecords) + ", are more; split the file");
  }
  return out;
}

}  // namespace

std::vector<ResultRecord> load_results(const std::filesystem::path& path) {
  std::vector<ResultRecord> out = read_records(path, false);
  if (out.empty())
    throw std::runtime_error(path.string() + ": must hold results, is empty; give a file written by 'namm eval --json'");
  return out;
}

std::vector<ResultRecord> load_unfinished_results(const std::filesystem::path& path) {
  return read_records(path, !ends_with_line(path));
}

}  // namespace namm::eval
