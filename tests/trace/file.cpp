// The file of a trace: what comes back, what is refused.
#include <algorithm>

#include "tests/check.hpp"
#include "tests/trace/made_up.hpp"
#include "trace/chunk.hpp"
#include "trace/reader.hpp"
#include "trace/writer.hpp"

using namespace made_up;

namespace {

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void write_two(const std::filesystem::path& path, const Settings& settings) {
  Writer writer(path, settings);
  writer.append(record(settings, 40, 0));
  writer.append(record(settings, 33, 1));
}

/// The places where chunks begin, and the end of the file.
std::vector<std::size_t> edges(const std::string& file) {
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at < file.size();) {
    out.push_back(at);
    ChunkHeader header;
    std::memcpy(&header, file.data() + at, sizeof header);
    at += sizeof header + header.bytes + padding(header.bytes);
  }
  out.push_back(file.size());
  return out;
}

}  // namespace

TEST_CASE("CRC-32C: the check value of RFC 3720 and pieces of any length", "[trace]") {
  const std::string digits = "123456789";
  CHECK(crc32c(std::as_bytes(std::span(digits))) == 0xe3069283u);
  CHECK(crc32c({}) == 0);
  const std::vector<std::byte> zeros(32);
  CHECK(crc32c(zeros) == 0x8a9136aau);  // RFC 3720, appendix B.4
}

TEST_CASE("a trace comes back as it was written", "[trace]") {
  const File file;
  for (const Rows rows : {Rows::none, Rows::f16, Rows::f32}) {
    Settings settings = made_up::settings();
    settings.rows = rows;
    settings.all_statistics = rows != Rows::none;
    file.remove();
    write_two(file.path(), settings);
    const Reader reader(file.path());
    CHECK(to_json(reader.settings()) == to_json(settings));
    CHECK(reader.whole_bytes() == reader.file_bytes());
    REQUIRE(reader.prompts().size() == 2);
    const PromptRecord expected = record(settings, 33, 1);
    const PromptRecord& got = reader.prompts()[1];
    CHECK(got.facts.id == "task/train/1");
    CHECK(got.facts.compressed == expected.facts.compressed);
    CHECK(got.facts.tail == expected.facts.tail);
    CHECK(got.facts.answer_tokens == 2);
    for (std::size_t l = 0; l < 2; ++l) {
      CHECK(same(got.layers[l].bytes(), expected.layers[l].bytes()));
      CHECK(got.layers[l].statistics(1, 2).accumulated.size() == 33);
      CHECK(got.layers[l].statistics(1, 2).spectrogram.size() == (settings.all_statistics ? 33u * kBins : 0u));
    }
    CHECK(record_bytes(settings, 33) == expected.layers[0].bytes().size() + expected.layers[1].bytes().size());
  }
}

TEST_CASE("a trace cut anywhere is a valid shorter one, or has no settings", "[trace]") {
  const File file;
  write_two(file.path(), made_up::settings());
  const std::string whole = file.read();
  const std::vector<std::size_t> at = edges(whole);
  REQUIRE(at.size() == 8);  // settings, two prompts of two layers, the end
  std::vector<std::size_t> lengths = at;
  for (std::size_t length = 0; length < whole.size(); length += 37) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    file.write(std::string_view(whole).substr(0, length));
    CAPTURE(length);
    if (length < at[1]) {
      CHECK_THROWS_WITH(Reader(file.path()), Contains(file.path().string()));
      continue;
    }
    const Reader reader(file.path());
    const std::size_t prompts = length >= at[7] ? 2 : length >= at[4] ? 1 : 0;
    CHECK(reader.prompts().size() == prompts);
    CHECK(reader.whole_bytes() == at[1 + 3 * prompts]);
  }
}

TEST_CASE("a cut trace is gone on with, and ends as one that was never cut", "[trace]") {
  const File file;
  const Settings settings = made_up::settings();
  write_two(file.path(), settings);
  const std::string whole = file.read();
  file.write(std::string_view(whole).substr(0, whole.size() - 100));
  const std::uint64_t keep = Reader(file.path()).whole_bytes();
  Writer(file.path(), keep).append(record(settings, 33, 1));
  CHECK(file.read() == whole);
  CHECK_THROWS_WITH(Writer(file.path(), settings), Contains("exists already"));
}

TEST_CASE("no flipped byte of a trace goes unnoticed", "[trace]") {
  const File file;
  Settings settings = made_up::settings();
  settings.all_statistics = false;
  settings.rows = Rows::none;
  settings.layers.resize(1);
  Writer(file.path(), settings).append(record(settings, 17, 0));
  std::string bytes = file.read();
  REQUIRE(Reader(file.path()).prompts().size() == 1);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char was = bytes[i];
    bytes[i] = static_cast<char>(was ^ (1 << (i % 8)));
    file.write(bytes);
    CAPTURE(i);
    CHECK_THROWS_AS(Reader(file.path()), std::runtime_error);
    bytes[i] = was;
  }
}

TEST_CASE("a trace whose checksums fit and whose numbers do not is refused", "[trace]") {
  const File file;
  const Settings settings = made_up::settings();
  Settings other = settings;
  other.interval_tokens = 32;  // another size of the layers
  Writer(file.path(), settings).append(record(other, 40, 0));
  CHECK_THROWS_WITH(Reader(file.path()), Contains("a layer of the size"));
  const auto changed = [&](const char* field, const nlohmann::json& value) {
    nlohmann::json json = to_json(settings);
    json[field] = value;
    return json;
  };
  CHECK_THROWS_WITH(settings_from_json(changed("version", 2)), Contains("version"));
  CHECK_THROWS_WITH(settings_from_json(changed("interval_tokens", 0)), Contains("interval_tokens"));
  CHECK_THROWS_WITH(settings_from_json(changed("keys", "f64")), Contains("keys"));
  CHECK_THROWS_WITH(settings_from_json(changed("layers", nlohmann::json::array())), Contains("layers"));
  CHECK_THROWS_WITH(settings_from_json(changed("surprise", 1)), Contains("surprise"));
  nlohmann::json head = to_json(settings);
  head["layers"][0]["recorded"] = {0, 2};
  CHECK_THROWS_WITH(settings_from_json(head), Contains("ascending KV heads"));
}
