#include "tests/fuzz/mutate.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string_view>

namespace namm::fuzz {
namespace {

constexpr std::uint64_t kLimits[] = {0,      1,          0x7f,       0x80,       0xff,       0x7fff,
                                     0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 62, ~0ull};
constexpr std::string_view kWords[] = {"-1",       "1e999", "null",   "[]", "{}", "\"\"", "18446744073709551615",
                                       "[[[[[[[[", "\xff",  "\\u0000"};

}  // namespace

std::string mutate(std::string content, std::mt19937& draw) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(draw() % n); };
  for (std::size_t changes = 1 + below(4); changes > 0 && !content.empty(); --changes) {
    const std::size_t at = below(content.size()), count = 1 + below(std::min<std::size_t>(content.size() - at, 16));
    switch (below(9)) {
      case 0:
        content[at] = static_cast<char>(content[at] ^ (1 << below(8)));
        break;
      case 1:
        content[at] = static_cast<char>(draw());
        break;
      case 2:
        content.replace(at, count, count, content[at]);
        break;
      case 3: {
        const std::uint64_t limit = kLimits[below(std::size(kLimits))];
        const std::size_t width = std::min(content.size() - at, std::size_t{1} << below(4));
        std::memcpy(content.data() + at, &limit, width);
        break;
      }
      case 4:
        content.replace(at, count, kWords[below(std::size(kWords))]);
        break;
      case 5:
        content.erase(at, count);
        break;
      case 6:
        content.insert(below(content.size()), content.substr(at, count));
        break;
      case 7:
        content.insert(at, 1 + below(8), static_cast<char>(draw()));
        break;
      default:
        content.resize(at);
    }
  }
  return content;
}

}  // namespace namm::fuzz
