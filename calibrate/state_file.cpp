#include "calibrate/state_file.hpp"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "namm/atomic_file.hpp"

namespace namm::calibrate {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "namm-calibration";

json packed(const std::vector<double>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(double));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return json::binary(std::move(bytes));
}

std::vector<double> unpacked(const json& value) {
  const auto& bytes = value.get_binary();
  if (bytes.size() % sizeof(double) != 0) throw std::invalid_argument("its sums are cut");
  std::vector<double> out(bytes.size() / sizeof(double));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace

void save_state(const std::filesystem::path& path, const json& identity, const ProbeFit& fit) {
  json content = {{"format", kFormat}, {"version", 1}, {"identity", identity}, {"recordings", fit.recordings()}};
  for (const std::vector<double>& sums : fit.state()) content["sums"].push_back(packed(sums));
  const std::vector<std::uint8_t> bytes = json::to_cbor(content);
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void load_state(const std::filesystem::path& path, const json& identity, ProbeFit& fit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + ": there is no calibration to resume; start one without --resume");
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  try {
    const json content = json::from_cbor(bytes);
    if (content.at("format") != kFormat || content.at("version") != 1) throw std::invalid_argument("it is of another version");
    if (content.at("identity") != identity)
      throw std::invalid_argument("it was begun with other settings: " + content.at("identity").dump());
    std::vector<std::vector<double>> sums;
    for (const json& one : content.at("sums")) sums.push_back(unpacked(one));
    fit.set_state(sums, content.at("recordings").get<std::size_t>());
  } catch (const json::exception&) {
    throw std::runtime_error(path.string() + ": damaged, cannot be resumed; remove it and start again");
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(path.string() + ": cannot be resumed: " + error.what());
  }
}

}  // namespace namm::calibrate
