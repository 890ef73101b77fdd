#include "base/base64.hpp"

#include <limits>
#include <random>
#include <stdexcept>

#include "tests/check.hpp"

using namespace namm;

namespace {
std::vector<std::uint8_t> bytes(std::string_view text) {
  return {text.begin(), text.end()};
}
}  // namespace

TEST_CASE("base64: the test vectors of RFC 4648", "[base64]") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(base64_encode(bytes(plain)) == encoded);
    CHECK(base64_decode(encoded) == bytes(plain));
  }
}

TEST_CASE("base64: everything that was not written by the encoder is refused", "[base64]") {
  for (const char* wrong : {"Z", "Zg=", "Zg", "=AAA", "Z===", "Zg==Zg==", "Zm9v!AAA", "Zm 9", "Zh==", "Zm9="}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(base64_decode(wrong), std::runtime_error);
  }
}

TEST_CASE("base64: doubles survive bit for bit", "[base64]") {
  std::mt19937_64 engine(7);
  std::vector<double> values = {
      0.0, -0.0, 1.0, -1.5, std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::max()};
  for (int i = 0; i < 100; ++i) values.push_back(static_cast<double>(engine()) * 1e-7);
  for (std::size_t count = 0; count <= values.size(); ++count) {
    const std::span<const double> part(values.data(), count);
    const std::vector<double> back = decode_doubles(encode_doubles(part), count, "numbers");
    REQUIRE(std::equal(part.begin(), part.end(), back.begin(), back.end(),
                       [](double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }));
  }
  CHECK(encode_doubles(std::vector<double>{1.0}) == "AAAAAAAA8D8=");  // little-endian on every machine
  CHECK_THROWS_AS(decode_doubles(encode_doubles(values), 3, "numbers"), std::runtime_error);
  CHECK_THROWS_AS(decode_doubles(encode_doubles(std::vector<double>{NAN}), 1, "numbers"), std::runtime_error);
}
