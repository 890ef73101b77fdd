#include "base/json_limits.hpp"

#include <set>
#include <stdexcept>
#include <vector>

namespace namm::detail {
namespace {

/// Reads along without storing anything.
class LimitReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  LimitReader(std::size_t bytes, std::size_t most_values, RepeatedNames repeated)
      : bytes_(bytes), most_values_(most_values), repeated_(repeated) {}
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool key(string_t& name) override {
    if (repeated_ == RepeatedNames::refused && !names_.back().insert(name).second)
      throw std::runtime_error("must have every name once, has \"" + one_line(name.substr(0, 60)) +
                               "\" twice; copy or write the file anew");
    return count();
  }
  bool start_object(std::size_t) override {
    if (repeated_ == RepeatedNames::refused) names_.emplace_back();
    return enter();
  }
  bool end_object() override {
    if (repeated_ == RepeatedNames::refused) names_.pop_back();
    return leave();
  }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    std::string where("wrong at byte ");
    if (position > bytes_)
      where.assign("cut off after ").append(std::to_string(bytes_)).append(bytes_ == 1 ? " byte" : " bytes");
    else
      where.append(std::to_string(position));
    throw std::runtime_error("must be JSON, is " + where + "; copy or write the file anew");
  }

 private:
  bool count() {
    if (++values_ > most_values_)
      throw std::runtime_error("must hold at most " + std::to_string(most_values_) +
                               " values, holds more; check that it is the file meant");
    return true;
  }
  bool enter() {
    if (++depth_ > 32) throw std::runtime_error("must be at most 32 levels deep, is deeper; check that it is the file meant");
    return count();
  }
  bool leave() {
    --depth_;
    return true;
  }
  std::size_t bytes_, most_values_, values_ = 0, depth_ = 0;
  RepeatedNames repeated_;
  std::vector<std::set<std::string>> names_;  // of the objects that are open, if they must be looked at
};

}  // namespace

nlohmann::json parse_json(std::string_view text, std::size_t most_values, RepeatedNames repeated) {
  LimitReader reader(text.size(), most_values, repeated);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return nlohmann::json::parse(text.begin(), text.end());
}

nlohmann::json try_json(std::string_view text) {
  try {
    return parse_json(text);
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

std::string without_tags(std::string text) {
  constexpr std::string_view kTag = "[json.exception.";
  for (std::size_t at = 0; (at = text.find(kTag, at)) != std::string::npos;) {
    const std::size_t end = text.find("] ", at);
    text.erase(at, end == std::string::npos ? kTag.size() : end + 2 - at);
  }
  return text;
}

std::string one_line(std::string_view text) {
  std::string out = without_tags(std::string(text.substr(0, 400)));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  }
  return out;
}

}  // namespace namm::detail
