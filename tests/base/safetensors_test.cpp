#include "base/safetensors.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "tests/check.hpp"

using namespace namm;

namespace {

template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  std::string out;
  for (const T value : values) out.append(reinterpret_cast<const char*>(&value), sizeof value);
  return out;
}

/// A file of this header and these bytes.
std::string file(const std::string& header, const std::string& data = {}) {
  return bytes_of<std::uint64_t>({header.size()}) + header + data;
}

std::string refusal(const std::string& content) {
  try {
    read_safetensors(content);
  } catch (const std::runtime_error& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

const std::string kEight = bytes_of({1.5f, -2.0f});

/// One tensor `a` of two F32 numbers, but for `fields` in the place of its own.
std::string one(const std::string& fields, const std::string& data = kEight) {
  return file("{\"a\":{" + fields + "}}", data);
}

}  // namespace

TEST_CASE("safetensors: the bytes of a file") {
  const std::string doubles = bytes_of({0.1});
  const std::vector<Tensor> tensors = {{"b", 8, {1}, doubles}, {"a.weights", 4, {2}, kEight}};
  const std::string written = safetensors_header({{"kind", "made up"}}, tensors) + doubles + kEight;
  // by hand from the format's description: 152 = 0x98 bytes of header, 2 blanks among them
  const std::string expected =
      std::string("\x98\0\0\0\0\0\0\0", 8) +
      R"({"__metadata__":{"kind":"made up"},"a.weights":{"data_offsets":[8,16],"dtype":"F32","shape":[2]},)"
      R"("b":{"data_offsets":[0,8],"dtype":"F64","shape":[1]}})" +
      "  " + std::string("\x9a\x99\x99\x99\x99\x99\xb9\x3f\0\0\xc0\x3f\0\0\0\xc0", 16);
  CHECK(written == expected);
  REQUIRE(is_safetensors(written));
  const Safetensors back = read_safetensors(written);
  CHECK(back.metadata == std::map<std::string, std::string>{{"kind", "made up"}});
  REQUIRE(back.tensors.size() == 2);
  CHECK(back.tensors[0].name == "b");
  CHECK(back.tensors[0].bytes == doubles);
  CHECK(back.tensors[1].name == "a.weights");
  CHECK(back.tensors[1].shape == std::vector<std::uint64_t>{2});
  CHECK(back.tensors[1].count() == 2);
  CHECK(back.tensors[1].bytes == kEight);
}

TEST_CASE("safetensors: what the format allows is read") {
  CHECK(read_safetensors(file("{}")).tensors.empty());
  CHECK(read_safetensors(file("{}   ")).metadata.empty());
  const std::string fields = R"("dtype":"F32","shape":[2,1,1],"data_offsets":[0,8])";
  CHECK(read_safetensors(one(fields)).tensors[0].shape == std::vector<std::uint64_t>{2, 1, 1});
  CHECK(read_safetensors(one(R"("dtype":"F64","shape":[],"data_offsets":[0,8])", bytes_of({0.5}))).tensors[0].count() == 1);
  // no numbers, and a tensor behind them; in any order
  const Safetensors two = read_safetensors(file(R"({"z":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]},)"
                                                R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                                                kEight));
  CHECK(two.tensors[0].name == "a");
  CHECK(two.tensors[1].count() == 0);
}

TEST_CASE("safetensors: what begins like one") {
  CHECK(is_safetensors(file("{}")));
  CHECK(is_safetensors(file("{") + std::string(300, ' ')));
  CHECK_FALSE(is_safetensors(file("[]")));
  CHECK_FALSE(is_safetensors(R"({"long":{"json":"text"}})"));  // a brace is where a header's would be
  CHECK_FALSE(is_safetensors("        {}"));
  CHECK_FALSE(is_safetensors(std::string("\2\0\0\0\0\0\0\0", 8)));
  CHECK_FALSE(is_safetensors(""));
}

TEST_CASE("safetensors: everything else is refused in one line") {
  const std::string right = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  const std::string anew = "; copy or write the file anew";
  CHECK(refusal(one(right)) == "accepted");
  CHECK(refusal("") == "file must be a length of 8 bytes and a header, is 0 bytes long" + anew);
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, std::uint64_t{1} << 62, std::numeric_limits<std::uint64_t>::max()})
    CHECK(refusal(bytes_of({length}) + "{}") ==
          "header length must be from 2 to the 2 bytes that follow, is " + std::to_string(length) + anew);
  CHECK(refusal(file("[]")) == "header must be a JSON object, is []" + anew);
  CHECK(refusal(file("{\"a\"")) == "header must be JSON, is cut off after 4 bytes" + anew);
  CHECK(refusal(file("{} x")) == "header must be JSON, is wrong at byte 4" + anew);
  CHECK(refusal(file(std::string("{}\0\0", 4))) == "header must be JSON, is wrong at byte 3" + anew);
  CHECK(refusal(file("{\"a\":\"\xff\"}")) == "header must be JSON, is wrong at byte 7" + anew);
  CHECK(refusal(file("{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}")) ==
        "header must be at most 32 levels deep, is deeper; check that it is the file meant");
  CHECK(refusal(file("{\"a\":{" + right + "},\"a\":{" + right + "}}", kEight)) ==
        "header must have every name once, has \"a\" twice" + anew);
  CHECK(refusal(one("\"dtype\":\"F64\"," + right)) == "header must have every name once, has \"dtype\" twice" + anew);
  CHECK(refusal(file(R"({"__metadata__":[]})")) == "header: __metadata__ must be an object of texts, is []" + anew);
  CHECK(refusal(file(R"({"__metadata__":{"a":1}})")) == "header: __metadata__.a must be text, is 1" + anew);
  CHECK(refusal(file(R"({"a":7})")) == "tensor a must be an object of dtype, shape and data_offsets, is 7" + anew);
  CHECK(refusal(one(right + ",\"more\":1")).starts_with("tensor a must be an object of dtype, shape and data_offsets, is {"));
  CHECK(refusal(one(R"("dtype":"BF16","shape":[4],"data_offsets":[0,8])")) ==
        "tensor a: dtype must be F32 or F64, is \"BF16\"" + anew);
  CHECK(refusal(one(R"("dtype":7,"shape":[2],"data_offsets":[0,8])")) == "tensor a: dtype must be F32 or F64, is 7" + anew);
  CHECK(refusal(one(R"("dtype":"F32","shape":2,"data_offsets":[0,8])")) == "tensor a: shape must be a list, is 2" + anew);
  for (const char* const size : {"-2", "2.0", "1e3", "null", "\"2\"", "18446744073709551616"})
    CHECK(refusal(one(std::string(R"("dtype":"F32","shape":[)") + size + R"(],"data_offsets":[0,8])"))
              .starts_with("tensor a: every size of shape must be a whole number, is "));
  // 2^62 numbers of 4 bytes are 0 bytes in 64 bits, and so are 2^32 x 2^32; a 0 does not hide it
  for (const char* const shape : {"[3]", "[1]", "[]", "[4611686018427387904]", "[4611686018427387906]", "[4294967296,4294967296]",
                                  "[9223372036854775808,2,0]", "[2,0]"})
    CHECK(refusal(one(std::string(R"("dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,8])"))
              .starts_with("tensor a: shape must be that of the 8 bytes that data_offsets name, is ["));
  CHECK(refusal(one(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])", ""))
            .starts_with("tensor a: shape must be that of the 0 bytes"));
  for (const char* const offsets : {"[8,0]", "[0,9]", "[0,16]", "[9,9]", "[0,18446744073709551615]", "[18446744073709551608,0]"})
    CHECK(refusal(one(std::string(R"("dtype":"F32","shape":[2],"data_offsets":)") + offsets)) ==
          "tensor a: data_offsets must be ascending and within the 8 bytes of numbers, is " + std::string(offsets) + anew);
  for (const char* const offsets : {"[0]", "[0,8,8]", "{}", "8"})
    CHECK(refusal(one(std::string(R"("dtype":"F32","shape":[2],"data_offsets":)") + offsets))
              .starts_with("tensor a: data_offsets must be two numbers, is "));
  CHECK(refusal(one(R"("dtype":"F32","shape":[2],"data_offsets":[-1,8])")) ==
        "tensor a: data_offsets[0] must be a whole number, is -1" + anew);
  // gaps in front, between and behind; bytes that are in two tensors
  CHECK(refusal(one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])")) ==
        "tensor a: data_offsets must be the 0 where the tensor before it ends: no gap, no byte twice, is 4" + anew);
  CHECK(refusal(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])")) ==
        "bytes of numbers must be the 4 that tensors name, is 8" + anew);
  CHECK(refusal(one(right, kEight + "x")) == "bytes of numbers must be the 8 that tensors name, is 9" + anew);
  const auto pair = [](const char* first, const char* second) {
    return file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + std::string(first) +
                    R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}",
                bytes_of({1.0f, 2.0f, 3.0f}));
  };
  CHECK(refusal(pair("[0,4]", "[8,12]")).starts_with("tensor b: data_offsets must be the 4 where"));
  CHECK(refusal(pair("[0,4]", "[0,4]")).starts_with("tensor b: data_offsets must be the 4 where"));
  CHECK(refusal(pair("[2,6]", "[0,4]")).starts_with("tensor a: data_offsets must be the 4 where"));
  for (const auto& [value, name] : {std::pair(NAN, "NaN"), std::pair(INFINITY, "infinite"), std::pair(-INFINITY, "infinite")}) {
    CHECK(refusal(one(right, bytes_of({1.0f, value}))) ==
          "tensor a[1] must be a finite number, is " + std::string(name) + "; correct it or write the file anew");
    CHECK(refusal(one(R"("dtype":"F64","shape":[1],"data_offsets":[0,8])", bytes_of<double>({value}))) ==
          "tensor a[0] must be a finite number, is " + std::string(name) + "; correct it or write the file anew");
  }
}

TEST_CASE("safetensors: any cut is refused") {
  const std::string whole = safetensors_header({{"kind", "made up"}}, std::vector<Tensor>{{"a", 4, {2}, kEight}}) + kEight;
  CHECK(refusal(whole) == "accepted");
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK(refusal(whole.substr(0, size)) != "accepted");
}
