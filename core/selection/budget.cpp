#include "namm/selection.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace namm {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

[[noreturn]] void refuse(std::string_view text, const std::string& rule) {
  throw std::invalid_argument("budget: " + rule + ", is '" + std::string(text.substr(0, 40)) +
                              "'; write for example 25%, 0.25, 256 (tokens per head), 64MiB, 12.5%bytes or none");
}

std::string plain_number(double value) {
  std::array<char, 512> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  return {buffer.data(), result.ptr};
}

/// Digits with at most one point; no sign, exponent, blank or name ("inf").
bool read_number(std::string_view digits, double& value) {
  if (digits.empty() || digits.size() > 40 || digits == ".") return false;
  if (digits.find_first_not_of("0123456789.") != std::string_view::npos) return false;
  if (std::count(digits.begin(), digits.end(), '.') > 1) return false;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
  return result.ec == std::errc{} && result.ptr == digits.data() + digits.size();
}

bool strip_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  if (text.ends_with(' ')) text.remove_suffix(1);  // "25 %", "64 MiB"
  return true;
}

/// A percentage where it is short and exact, else the number itself.
std::string share_text(double value) {
  std::array<char, 32> digits;  // six: a hundred times 0.017 is not quite 1.7
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value * 100.0, std::chars_format::general, 6).ptr;
  const std::string percent = std::string(digits.data(), end) + "%";
  if (percent.find('e') == std::string::npos && parse_budget(percent).value == value) return percent;
  const std::string share = plain_number(value);
  return share.find('.') == std::string::npos ? share + ".0" : share;
}

}  // namespace

std::int64_t Budget::tokens(std::int64_t tokens_seen, double bytes_per_token, std::int64_t heads, double compression) const {
  double count = 0;
  switch (unit) {
    case Unit::unlimited:
      return -1;
    case Unit::fraction:
      count = value * static_cast<double>(tokens_seen) + 1e-6;  // 0.29 * 100 is 28.999999999999996
      break;
    case Unit::byte_fraction:
      count = value * compression * static_cast<double>(tokens_seen) + 1e-6;
      break;
    case Unit::tokens:
      count = value;
      break;
    case Unit::mebibytes:
      if (!(bytes_per_token > 0) || heads < 1) {
        throw std::invalid_argument("budget: a size in MiB needs the bytes per token and the number of heads, are " +
                                    plain_number(bytes_per_token) + " and " + std::to_string(heads));
      }
      count = value * kMebibyte / (bytes_per_token * static_cast<double>(heads));
      break;
  }
  constexpr double most = static_cast<double>(std::numeric_limits<std::int32_t>::max());
  return static_cast<std::int64_t>(std::clamp(std::floor(count), 1.0, most));
}

Budget parse_budget(std::string_view text) {
  if (text == "none") return {};
  std::string_view digits = text;
  Budget budget;
  const bool of_bytes = strip_suffix(digits, "bytes");
  const Budget::Unit share = of_bytes ? Budget::Unit::byte_fraction : Budget::Unit::fraction;
  if (strip_suffix(digits, "%")) {
    budget.unit = share;
    if (!read_number(digits, budget.value)) refuse(text, "must be a number before %");
    budget.value /= 100.0;
    if (!(budget.value > 0 && budget.value <= 1)) refuse(text, "a share must be above 0% and at most 100%");
    return budget;
  }
  if (!of_bytes && strip_suffix(digits, "MiB")) {
    budget.unit = Budget::Unit::mebibytes;
    if (!read_number(digits, budget.value) || !(budget.value > 0)) refuse(text, "must be a number above 0 before MiB");
    return budget;
  }
  if (!read_number(digits, budget.value)) refuse(text, "must be a share, a number of tokens or a size in MiB");
  if (digits.find('.') != std::string_view::npos) {
    budget.unit = share;
    if (!(budget.value > 0 && budget.value <= 1)) refuse(text, "a number with a decimal point is a share and must be in (0, 1]");
    return budget;
  }
  if (of_bytes) refuse(text, "a share of the bytes must have % or a decimal point");
  budget.unit = Budget::Unit::tokens;
  if (!(budget.value >= 1 && budget.value <= std::numeric_limits<std::int32_t>::max())) {
    refuse(text, "a number of tokens must be between 1 and 2147483647");
  }
  return budget;
}

std::string to_string(const Budget& budget) {
  switch (budget.unit) {
    case Budget::Unit::fraction:
      return share_text(budget.value);
    case Budget::Unit::byte_fraction:
      return share_text(budget.value) + "bytes";
    case Budget::Unit::tokens:
      return plain_number(budget.value);
    case Budget::Unit::mebibytes:
      return plain_number(budget.value) + "MiB";
    case Budget::Unit::unlimited:
      break;
  }
  return "none";
}

}  // namespace namm
