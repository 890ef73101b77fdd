#include "calibrate/state_file.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/crc32c.hpp"

namespace namm::calibrate {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "namm-calibration";
constexpr int kVersion = 3;
constexpr std::size_t kLongestHeader = 1 << 16;
using Sums = std::array<std::uint32_t, 2>;  // CRC-32C of the header's line and of the numbers

std::uint32_t checksum(std::string_view text) {
  return crc32c(std::as_bytes(std::span(text)));
}

/// Names of files may hold any bytes; a text of JSON may not.
std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// What a run must agree on, but does not.
std::string difference(const json& identity, const json& other) {
  for (const auto& [name, value] : identity.items())
    if (!other.is_object() || !other.contains(name) || other.at(name) != value) return name;
  return "what is unknown here";
}

}  // namespace

void save_state(const std::filesystem::path& path, const json& identity, const ProbeFit& fit) {
  const std::vector<double> numbers = fit.state();
  const std::string header =
      text_of({{"format", kFormat}, {"version", kVersion}, {"identity", identity}, {"recordings", fit.recordings()}}) + "\n";
  const std::string_view body(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double));
  const Sums sums = {checksum(header), checksum(body)};
  const std::string_view pieces[] = {header, body, {reinterpret_cast<const char*>(sums.data()), sizeof sums}};
  write_file_atomically(path, pieces);
}

void load_state(const std::filesystem::path& path, const json& identity, std::size_t sources, ProbeFit& fit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + ": there is no calibration to resume; start one without --resume");
  const auto require = [&](bool right) {
    if (!right) throw std::runtime_error(path.string() + ": damaged, cannot be resumed; remove it and start again");
  };
  const std::uintmax_t size = std::filesystem::file_size(path);
  require(size > sizeof(Sums));
  Sums sums;
  file.seekg(-static_cast<std::streamoff>(sizeof sums), std::ios::end);
  file.read(reinterpret_cast<char*>(sums.data()), sizeof sums);
  file.seekg(0);
  std::string header(std::min<std::uintmax_t>(size - sizeof sums, kLongestHeader), '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  const std::size_t line = header.find('\n') + 1;
  require(file && line > 0);
  header.resize(line);
  require(checksum(header) == sums[0]);
  try {
    const json content = json::parse(header), wanted = json::parse(text_of(identity));
    if (content.at("format") != kFormat || content.at("version") != kVersion)
      throw std::invalid_argument("it is of another version of namm; begin another calibration");
    if (content.at("identity") != wanted)
      throw std::invalid_argument("it must be begun with the same settings and files, was with others (" +
                                  difference(wanted, content.at("identity")) + "); give those, or another --output");
    const json& count = content.at("recordings");
    require(count.is_number_unsigned() && count <= sources);
    const auto recordings = count.get<std::size_t>();
    const std::uintmax_t bytes = size - line - sizeof sums;
    if (bytes != fit.state_size(recordings) * sizeof(double))
      throw std::invalid_argument("calibration: must get " + std::to_string(fit.state_size(recordings)) + " numbers, got " +
                                  std::to_string(bytes / sizeof(double)));
    std::vector<double> numbers(fit.state_size(recordings));
    file.seekg(static_cast<std::streamoff>(line));
    file.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(bytes));
    require(file && checksum({reinterpret_cast<const char*>(numbers.data()), bytes}) == sums[1]);
    fit.set_state(numbers, recordings);
  } catch (const json::exception&) {
    require(false);
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(path.string() + ": cannot be resumed: " + error.what());
  }
}

}  // namespace namm::calibrate
