#include "base/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/json_limits.hpp"

namespace namm {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "numbers are read and written as they lie in memory");
constexpr std::size_t kLengthBytes = sizeof(std::uint64_t), kAlignment = 8;
constexpr std::string_view kMetadata = "__metadata__";

[[noreturn]] void refuse(const std::string& subject, const std::string& rule, const std::string& seen) {
  throw std::runtime_error(subject + " must be " + rule + ", is " + seen + "; copy or write the file anew");
}

std::string named(std::string_view name) {
  return "tensor " + detail::one_line(name.substr(0, 60));
}

std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 40 ? text.substr(0, 40) + "..." : text;
}

json read_header(std::string_view content) {
  std::uint64_t length = 0;
  std::memcpy(&length, content.data(), kLengthBytes);
  const std::size_t most = content.size() - kLengthBytes;
  if (length < 2 || length > most)
    refuse("header length", "from 2 to the " + std::to_string(most) + " bytes that follow", std::to_string(length));
  const std::string_view text = content.substr(kLengthBytes, length);
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos)  // where the JSON library would stop reading
    refuse("header", "JSON", "wrong at byte " + std::to_string(at + 1));
  try {
    return detail::parse_json(text, detail::kMostJsonValues, detail::RepeatedNames::refused);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(std::string("header ") + error.what());
  }
}

std::uint64_t whole_number(const json& value, const std::string& subject) {
  if (!value.is_number_unsigned()) refuse(subject, "a whole number", shown(value));
  return value.get<std::uint64_t>();
}

struct Place {
  std::uint64_t begin = 0, end = 0;
  Tensor tensor;
};

Place read_place(const std::string& name, const json& fields, std::uint64_t data_bytes) {
  Place out;
  out.tensor.name = name;
  const std::string subject = named(name);
  if (!fields.is_object() || fields.size() != 3 || !fields.contains("dtype") || !fields.contains("shape") ||
      !fields.contains("data_offsets"))
    refuse(subject, "an object of dtype, shape and data_offsets", shown(fields));
  const json &type = fields["dtype"], &shape = fields["shape"], &offsets = fields["data_offsets"];
  if (type == "F64")
    out.tensor.number_bytes = sizeof(double);
  else if (type != "F32")
    refuse(subject + ": dtype", "F32 or F64", shown(type));
  if (!shape.is_array()) refuse(subject + ": shape", "a list", shown(shape));
  std::uint64_t bytes = out.tensor.number_bytes;
  bool fits = true;
  for (const json& size : shape) {
    out.tensor.shape.push_back(whole_number(size, subject + ": every size of shape"));
    fits = fits && !__builtin_mul_overflow(bytes, out.tensor.shape.back(), &bytes);
  }
  if (!offsets.is_array() || offsets.size() != 2) refuse(subject + ": data_offsets", "two numbers", shown(offsets));
  out.begin = whole_number(offsets[0], subject + ": data_offsets[0]");
  out.end = whole_number(offsets[1], subject + ": data_offsets[1]");
  if (out.begin > out.end || out.end > data_bytes)
    refuse(subject + ": data_offsets", "ascending and within the " + std::to_string(data_bytes) + " bytes of numbers",
           shown(offsets));
  if (!fits || bytes != out.end - out.begin)
    refuse(subject + ": shape", "that of the " + std::to_string(out.end - out.begin) + " bytes that data_offsets name",
           shown(shape));
  return out;
}

template <class T>
void require_finite(const Tensor& tensor) {
  for (std::size_t i = 0; i < tensor.count(); ++i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof value, sizeof value);
    if (!std::isfinite(value))
      throw std::runtime_error(named(tensor.name) + "[" + std::to_string(i) + "] must be a finite number, is " +
                               (std::isnan(value) ? "NaN" : "infinite") + "; correct it or write the file anew");
  }
}

std::map<std::string, std::string> read_metadata(const json& fields) {
  if (!fields.is_object()) refuse("header: __metadata__", "an object of texts", shown(fields));
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : fields.items()) {
    if (!value.is_string()) refuse("header: __metadata__." + detail::one_line(name.substr(0, 60)), "text", shown(value));
    out[name] = value.get<std::string>();
  }
  return out;
}

}  // namespace

bool is_safetensors(std::string_view content) {
  return content.size() > kLengthBytes && content[kLengthBytes] == '{' &&
         content.substr(0, kLengthBytes).find('\0') != std::string_view::npos;
}

Safetensors read_safetensors(std::string_view content) {
  if (content.size() <= kLengthBytes)
    refuse("file", "a length of 8 bytes and a header", std::to_string(content.size()) + " bytes long");
  const json header = read_header(content);
  if (!header.is_object()) refuse("header", "a JSON object", shown(header));
  std::uint64_t length = 0;
  std::memcpy(&length, content.data(), kLengthBytes);
  const std::string_view data = content.substr(kLengthBytes + length);
  Safetensors out;
  std::vector<Place> places;
  for (const auto& [name, fields] : header.items()) {
    if (name == kMetadata)
      out.metadata = read_metadata(fields);
    else
      places.push_back(read_place(name, fields, data.size()));
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);  // those of no bytes first
  });
  std::uint64_t covered = 0;
  for (Place& place : places) {
    if (place.begin != covered)
      refuse(named(place.tensor.name) + ": data_offsets",
             "the " + std::to_string(covered) + " where the tensor before it ends: no gap, no byte twice",
             std::to_string(place.begin));
    covered = place.end;
    place.tensor.bytes = data.substr(place.begin, place.end - place.begin);
    place.tensor.number_bytes == sizeof(float) ? require_finite<float>(place.tensor) : require_finite<double>(place.tensor);
    out.tensors.push_back(std::move(place.tensor));
  }
  if (covered != data.size())
    refuse("bytes of numbers", "the " + std::to_string(covered) + " that tensors name", std::to_string(data.size()));
  return out;
}

std::string safetensors_header(const std::map<std::string, std::string>& metadata, std::span<const Tensor> tensors) {
  json header = json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t at = 0;
  for (const Tensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.number_bytes == sizeof(float) ? "F32" : "F64"},
                           {"shape", tensor.shape},
                           {"data_offsets", {at, at + tensor.bytes.size()}}};
    at += tensor.bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const std::uint64_t length = text.size();
  std::string out(kLengthBytes, '\0');
  std::memcpy(out.data(), &length, kLengthBytes);
  return out + text;
}

}  // namespace namm
